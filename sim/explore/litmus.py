"""A litmus program as data: what the reader makes and the driver runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from sim.hardware.paging import Geometry

NAMING_A_PAGE = frozenset(
    {
        "enter",
        "enter_read",
        "enter_again",
        "replace",
        "remove",
        "munmap",
        "mremap",
        "madvise",
        "mprotect_none",
        "zap",
        "protect",
        "mprotect",
        "read",
        "write",
        "touch",
        "look",
        "recall",
        "copyin",
        "copyout",
    }
)


ON_KERNEL_PAGES = frozenset({"kenter", "kzalloc", "kremove", "kfree", "kzap", "kread", "kwrite"})


class Op(NamedTuple):
    """One operation.

    Attributes:
        pmap: the pmap meant; empty: the LWP's own.
        slot, page, pages: the first page of a range, and how many there are; *page* alone is one of the kernel's.
        name: a name or a number; of ``device`` the CPU, and perhaps a channel, or a verb and a page.
        more: the system call goes on with the next operation.
        to: slot and page that the first one of the range is moved to.
    """

    verb: str
    text: str
    pmap: str = ""
    slot: int = 0
    page: int = 0
    pages: int = 1
    name: str = ""
    more: bool = False
    to: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class LitmusLwp:
    """An LWP: its pmap (empty for a kernel LWP), its CPU, its operations, and whether it keeps to that CPU.

    ``forked``: it is not there until another one forks it, with a pmap of its own.
    """

    name: str
    pmap: str
    cpu: int
    ops: tuple[Op, ...]
    bound: bool = True
    forked: bool = False


@dataclass(frozen=True, slots=True)
class Litmus:
    """A litmus program.

    Attributes:
        says: what it is about, in a sentence.
        covers: sections of the reference that it exercises.
        slots: user slots of the L4 page.
        pmaps: initial pages (slot, index) of each pmap.
        shared: pages mapped at several places: where each is, as pmap, slot, index.
        lwps: the first one of each CPU runs when exploration begins, the others are on its run queue.
        violates: invariants that may break without a planted bug, by profile; empty where it holds.  A key like
            ``svs-netbsd9@10`` is for that assignment of roles to CPUs, where it is not as for the others.
        outcomes: allowed final outcomes; empty if any is.
        where: the file it came from.
        shipped: it comes with the project, so that its name alone finds it.
        kernel: how many pages of kernel memory are mapped first.
        unused: places (pmap, slot, index) of pages that are mapped ahead of any use: their entries lack A and D.
        mwait: idle CPUs wait in MWAIT, else in HLT.
        pcid: CPUs have PCID and INVPCID, which profiles that can use then do.
        roles: which CPU has which role, if that is not as in the file; see :mod:`sim.explore.mirror`.
    """

    name: str
    says: str
    cpus: int
    slots: int
    pmaps: dict[str, tuple[tuple[int, int], ...]]
    lwps: tuple[LitmusLwp, ...]
    covers: tuple[str, ...] = ()
    violates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outcomes: tuple[str, ...] = ()
    shared: dict[str, tuple[tuple[str, int, int], ...]] = field(default_factory=dict)
    where: str = ""
    shipped: bool = False
    kernel: int = 0
    unused: frozenset[tuple[str, int, int]] = frozenset()
    mwait: bool = True
    pcid: bool = True
    roles: str = ""

    @property
    def geometry(self) -> Geometry:
        """Three levels of 8 entries (16 if there are many slots): one middle level of the hardware's is left out."""
        bits = 3 if self.slots <= 3 else 4
        return Geometry(levels=3, bits=bits, user_slots=self.slots, pte_slot=self.slots)

    @property
    def user_vas(self) -> tuple[int, ...]:
        """Addresses of the pages that are there first and of those that operations name."""
        pages = {page for pages in self.pmaps.values() for page in pages}
        pages |= {(slot, page) for places in self.shared.values() for _, slot, page in places}
        ops = [op for lwp in self.lwps for op in lwp.ops if op.verb in NAMING_A_PAGE]
        pages |= {(op.slot, op.page + i) for op in ops for i in range(op.pages)}
        pages |= {(op.to[0], op.to[1] + i) for op in ops if op.verb == "mremap" for i in range(op.pages)}
        return tuple(sorted(self.va(*page) for page in pages))

    def uses(self, verb: str) -> bool:
        """Whether an operation has that verb."""
        return any(op.verb == verb for lwp in self.lwps for op in lwp.ops)

    @property
    def kernel_pages(self) -> int:
        """How many pages of kernel memory there can be: the first ones, and up to the last that operations name."""
        ops = [op for lwp in self.lwps for op in lwp.ops]
        named = [op.page for op in ops if op.verb in ON_KERNEL_PAGES]
        named += [int(op.name.split()[2]) for op in ops if op.verb == "device" and len(op.name.split()) == 3]
        return max([self.kernel, *(page + 1 for page in named)])

    @property
    def entries(self) -> int:
        """How many operations map a page."""
        mapping = ("enter", "enter_read", "replace", "touch", "look", "recall")
        return sum(op.verb in mapping for lwp in self.lwps for op in lwp.ops)

    def va(self, slot: int, page: int) -> int:
        """Virtual address of page *page* of user slot *slot*."""
        return self.geometry.va_of_slot(slot) + (page << 12)
