"""Families of errors: what a person gave us, what the modelled kernel ran into, what the model itself got wrong.

An :class:`InputError` is reported in one line and ends the command with status 2.  A :class:`ModelError` is never
swallowed: a timed run ends with its traceback and status 70.  A :class:`KernelEvent` is one that says what the modelled
*kernel* did wrong; an exploration, which looks for such events, reports them, and only them, as broken invariants.

Every exception here takes exactly one argument, because SimPy re-raises a process failure as ``type(e)(*e.args)``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class InputError(Exception):
    """Bad input or usage.  The message names the place, the value and what would be right."""


class ModelError(Exception):
    """The model of the machine or of the kernel contradicts itself."""


class Standstill(Exception):
    """In a timed run the clock goes on and no LWP ever will: the modelled kernel is in a deadlock or a livelock.

    The message says since when, which CPU waits for what, and who sleeps where.  The command ends with status 4.
    """


class KernelEvent(ModelError):
    """The modelled kernel did what no kernel may do; *invariant* is the name under which explorations judge it."""

    invariant: ClassVar[str]


class KernelAssertion(KernelEvent):
    """A KASSERT of NetBSD on the modelled path does not hold."""

    invariant = "kassert"


class StalePmap(KernelEvent):
    """A pmap is used that was destroyed."""

    invariant = "kassert"


class PageMisused(KernelEvent):
    """A page is freed twice, or used as a table while it is none."""

    invariant = "page-ownership"


class Overrun(KernelEvent):
    """More is written into an array than it holds."""

    invariant = "in-bounds"


class BoundLwpMoved(KernelEvent):
    """An LWP that is bound to a CPU is queued on another one."""

    invariant = "one-cpu"


class UsedAfterEnd(KernelEvent):
    """Memory is used whose life is over: a variable of a function that has returned."""

    invariant = "use-after-end"


class MachineCheck(KernelEvent):
    """The modelled kernel did something that real hardware would answer with a double or triple fault."""

    invariant = "kernel-mapped"


class HalfPatched(KernelEvent):
    """A CPU runs code of which only a part has been patched."""

    invariant = "whole-code"


class EntryStackFault(MachineCheck):
    """Entry or exit code touched a stack or UTLS page that the loaded tables do not map."""

    invariant = "entry-stack"


def closest(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known word nearest to *word*, or an empty string."""
    alike = {name.lower(): name for name in sorted(known)}
    match = difflib.get_close_matches(word.lower(), alike, n=1, cutoff=0.5)
    return f"; did you mean '{alike[match[0]]}'?" if match else ""


def kassert(holds: bool, what: str) -> None:
    """Raise :class:`KernelAssertion` unless *holds*.  Each call stands for a KASSERT or panic of the sources."""
    if not holds:
        raise KernelAssertion(what)
