"""What the LWPs of a litmus program ask of one another: whether they can have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sim.explore.litmus import LitmusLwp, Op
from sim.inputs.shown import cut, shown
from sim.inputs.table import Table

Place = tuple[str, int, int]  # pmap, slot, page

# Verbs after which a page may be missing, so that the next use faults.
UNMAPPING = frozenset({"remove", "munmap", "madvise", "mprotect_none", "zap", "mremap", "exec"})


def together(tables: Sequence[Table], lwps: Sequence[LitmusLwp], shared: set[Place]) -> None:
    """Check the LWPs of a program, each with its table; *shared*: where pages are that have an owner's lock.

    Raises InputError.
    """
    _children(tables, lwps)
    _others(tables, lwps)
    _one_toucher(tables, lwps, shared)
    _one_sleeper(tables, lwps)


def _children(tables: Sequence[Table], lwps: Sequence[LitmusLwp]) -> None:
    """An LWP that is forked is so once, by another one of its CPU, and nobody else has its pmap."""
    parents = {op.name: lwp for lwp in lwps for op in lwp.ops if op.verb == "fork" and op.name}
    forks = [op.name for lwp in lwps for op in lwp.ops if op.verb == "fork" and op.name]
    pmaps = [lwp.pmap for lwp in lwps]
    for table, lwp in zip(tables, lwps, strict=True):
        if lwp.forked and (forks.count(lwp.name) > 1 or lwp.name == parents[lwp.name].name):
            raise table.fail("name", f"'{lwp.name}' is forked more than once, or by itself")
        if lwp.forked and lwp.cpu != parents[lwp.name].cpu:
            raise table.fail("cpu", f"'{lwp.name}' begins on the CPU of '{parents[lwp.name].name}', who forks it")
        if lwp.forked and pmaps.count(lwp.pmap) > 1:
            raise table.fail("pmap", f"'{lwp.pmap}' is the pmap of another LWP, too")


def _others(tables: Sequence[Table], lwps: Sequence[LitmusLwp]) -> None:
    """Who is awaited, or given the CPU, is another LWP, and can be on that CPU."""
    by_name = {lwp.name: lwp for lwp in lwps}

    def wrong(lwp: LitmusLwp, op: Op) -> str:
        other = by_name[op.name]
        if other is lwp:  # which can give way while nobody else is there
            return "that is the LWP itself" if op.verb == "await" else ""
        if op.verb == "switch" and lwp.bound and other.bound and lwp.cpu != other.cpu:
            return f"'{lwp.name}' is bound to CPU {lwp.cpu}, '{other.name}' to CPU {other.cpu}"
        return ""

    for table, lwp in zip(tables, lwps, strict=True):
        for op in (op for op in lwp.ops if op.verb in ("await", "switch")):
            what = wrong(lwp, op)
            if what:
                raise table.fail("ops", f"{shown(op.text)}: {what}")


def _one_toucher(tables: Sequence[Table], lwps: Sequence[LitmusLwp], shared: set[Place]) -> None:
    """Two faults on one page at a time need the lock of its owner, which only pages that are shared have."""
    touchers: dict[Place, str] = {}
    for table, lwp in zip(tables, lwps, strict=True):
        for op in (op for op in lwp.ops if op.verb in ("touch", "look")):
            if (lwp.pmap, op.slot, op.page) in shared:
                continue
            first = touchers.setdefault((lwp.pmap, op.slot, op.page), lwp.name)
            if first != lwp.name:
                raise table.fail("ops", f"{shown(op.text)}: '{first}' touches that page, too; one LWP may here")


def _one_sleeper(tables: Sequence[Table], lwps: Sequence[LitmusLwp]) -> None:
    """Each channel has one LWP that sleeps there."""
    sleepers: dict[str, str] = {}
    for table, lwp in zip(tables, lwps, strict=True):
        for channel in (op.name for op in lwp.ops if op.verb == "block"):
            if sleepers.setdefault(channel, lwp.name) != lwp.name:
                what = f"'{sleepers[channel]}' blocks on '{cut(channel)}', too; a channel has one sleeper here"
                raise table.fail("ops", what)


def inherited(pmaps: Mapping[str, Sequence[tuple[int, int]]], lwps: Sequence[LitmusLwp]) -> set[Place]:
    """Pages (pmap, slot, page) that are there, so that no use faults, until an LWP is forked, and are shared then."""
    verbs = {lwp.pmap: {op.verb for other in lwps if other.pmap == lwp.pmap for op in other.ops} for lwp in lwps}
    forking = {lwp.pmap for lwp in lwps for op in lwp.ops if op.verb == "fork" and op.name}
    kept = [name for name in forking if not verbs[name] & UNMAPPING]
    return {(name, slot, page) for name in kept for slot, page in pmaps.get(name, ())}
