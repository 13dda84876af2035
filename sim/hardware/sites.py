"""Sites: the places in the kernel's procedures at which steps are made.

A *site* is a constant, made once when its module is imported.  It knows what drivers need to know of a step besides
what the machine does: the names that people see, the cause that the ledger charges, and what the judges of an
exploration look for.  A procedure's sites are declared above it, in a class with the procedure's name::

    class PmapActivate(Procedure, name="pmap_activate", cause="context switch"):
        want_pmapload = site("ci_want_pmapload")

and a step names its site: ``yield store(ci.ci_want_pmapload, 0, 1, PmapActivate.want_pmapload)``.  Drivers compare
sites and read their fields; the texts are for people alone, so that a change of a text changes nothing else.

Sites that several procedures have in common (those of a mutex that each of them takes, say) are declared in a class
without a name, from which the procedures' classes inherit; each gets sites of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, cast

from sim.causes import cause_named
from sim.errors import ModelError

KERNEL_DATA = "kernel data"  # the step reads the CPU's own data, which only kernel tables map
SAVED_RAX = "saved rax"  # the step overwrites %rax, which is the user's


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A place in a procedure; ``str`` gives ``"procedure:what"``.

    Attributes:
        procedure, what: NetBSD's name of the procedure, and what the step is for.
        cause: the ledger's cause.
        stack: the step touches a kernel stack, an entry stack or a trap frame on one.
        utls: the step touches the UTLS page.
        pops_frame: the step reads the trap frame on the way to user mode, from which segment registers are loaded.
        needs: what has to be so before the step, besides what the step itself says: ``KERNEL_DATA`` or ``SAVED_RAX``.
    """

    procedure: str
    what: str
    cause: str
    stack: bool
    utls: bool
    pops_frame: bool
    needs: str

    def __str__(self) -> str:
        return f"{self.procedure}:{self.what}"


SITES: dict[tuple[str, str], Site] = {}  # all there are, by procedure and what


class _Declared(NamedTuple):
    """A site as a class body has it, before the class has a name."""

    what: str
    cause: str
    stack: bool
    utls: bool
    pops_frame: bool
    needs: str


def site(
    what: str,
    cause: str = "",
    *,
    stack: bool = False,
    utls: bool = False,
    pops_frame: bool = False,
    needs: str = "",
) -> Site:
    """Declare a site in the body of a :class:`Procedure`; *cause* only if it is not the procedure's."""
    return cast(Site, _Declared(what, cause, stack, utls, pops_frame, needs))


def by_level(what: str) -> tuple[Site, ...]:
    """Declare a site for each level of the page tables, to be indexed by it; *what* has ``{}`` for the number."""
    return tuple(site(what.format(level)) for level in range(6))


class Procedure:
    """A procedure and its sites.

    A subclass with a *name* is a procedure: its sites are made, with its *cause* unless they say another one.  One
    without is a group of sites for procedures to inherit.  Raises ModelError for an unknown cause or a site made twice.
    """

    name: ClassVar[str] = ""
    cause: ClassVar[str] = ""

    def __init_subclass__(cls, *, name: str = "", cause: str = "") -> None:
        cls.name, cls.cause = name, cause
        if not name:
            return
        declared = {key: value for base in reversed(cls.__mro__) for key, value in vars(base).items()}
        for key, value in declared.items():
            if isinstance(value, _Declared):
                setattr(cls, key, _make(name, cause, value))
            elif isinstance(value, tuple) and value and all(isinstance(item, _Declared) for item in value):
                setattr(cls, key, tuple(_make(name, cause, item) for item in value))

    @classmethod
    def site(cls, what: str) -> Site:
        """The procedure's site *what*, made at its first use: for texts that are not known before a program is read."""
        return SITES.get((cls.name, what)) or _make(cls.name, cls.cause, _Declared(what, "", False, False, False, ""))


def _make(procedure: str, cause: str, declared: _Declared) -> Site:
    key = (procedure, declared.what)
    if key in SITES:
        raise ModelError(f"site {procedure}:{declared.what} is made twice")
    charged = cause_named(declared.cause or cause).name
    made = SITES[key] = Site(procedure, declared.what, charged, *declared[2:])
    return made


def unknown_site(step: object) -> ModelError:
    """The error for a step whose site was not made here, or for what is no step."""
    if not isinstance(step, tuple) or len(step) < 2:
        return ModelError(f"{step!r:.100} is no step: an operation, a site, and what it needs")
    return ModelError(f"step {step[0]!r} has an unknown site: {step[1]!r} (sites are made by sim.hardware.sites)")
