"""Two families of errors: what a person gave us, and what the model itself got wrong.

An :class:`InputError` is reported in one line and ends the command with status 2.  A :class:`ModelError` means that
the modelled kernel broke one of its own assertions or an invariant; it is never swallowed.

Every exception here takes exactly one argument, because SimPy re-raises a process failure as ``type(e)(*e.args)``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Bad input or usage.  The message names the place, the value and what would be right."""


class ModelError(Exception):
    """The model of the machine or of the kernel contradicts itself."""


class KernelAssertion(ModelError):
    """A KASSERT of NetBSD on the modelled path does not hold."""


class MachineCheck(ModelError):
    """The modelled kernel did something that real hardware would answer with a double or triple fault."""


def closest(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known word nearest to *word*, or an empty string."""
    alike = {name.lower(): name for name in sorted(known)}
    match = difflib.get_close_matches(word.lower(), alike, n=1, cutoff=0.5)
    return f"; did you mean '{alike[match[0]]}'?" if match else ""


def kassert(holds: bool, what: str) -> None:
    """Raise :class:`KernelAssertion` unless *holds*.  Each call stands for a KASSERT or panic of the sources."""
    if not holds:
        raise KernelAssertion(what)
