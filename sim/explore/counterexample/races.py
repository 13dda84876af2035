"""Which steps of a counterexample race or answer one another across CPUs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sim.explore.model import NEEDS
from sim.explore.path import Node, Path

if TYPE_CHECKING:
    from sim.explore.counterexample import TraceStep

# What only orders transitions.
_ORDER_ONLY = frozenset({"c", "e", "ended", "p", "runqueue", "promised", "user", "walk", "attributes"})


class Arrow(NamedTuple):
    """From one step to a later or (``missed``) an earlier one of another CPU, by number from 1.

    Attributes:
        kind: ``interrupt``: it was sent, and lands; ``seen``: it was stored, and is read; ``over``: it was stored, and
            another store takes its place, unread; ``missed``: it was stored, but a read did not see it, because it
            came before or while the store was in its buffer (of several reads by one CPU the last; walks that come
            with a flush or a change of tables count here only); ``ended``: the procedure that had it on its stack
            returned, and it is still used.
        what: the interrupt or the word.
    """

    tail: int
    head: int
    kind: str
    what: str


def arrows(steps: Sequence[TraceStep]) -> list[Arrow]:
    """All arrows, by the step that they start at."""
    path, stored = Path(), when_stored(steps)
    writer: dict[Hashable, int] = {}
    readers: dict[Hashable, set[int]] = {}  # CPUs that have read what the writer wrote
    found: list[Arrow] = []
    for at, step in enumerate(steps):
        path.enter(Node(at, at, 0, [], {}))
        for node in path.go(step.number, step.touched, 0):
            if steps[node.depth].cpu != step.cpu:
                found += _missed(steps[node.depth], node.depth, step, stored.get(at, at))
        for location, mode in step.touched:
            last = writer.get(location)
            known = last is None or location in step.walked
            name = "" if known or last is None else _name(location, (steps[last], step))
            if name and last is not None and step.cpu not in {steps[last].cpu, *readers[location]}:
                kind = "ended" if _ends(steps[last], location) else _kind(location)
                if kind == "seen" and mode > 0 and _only_stores(step, name):
                    kind = "over"
                found.append(Arrow(stored.get(last, last) + 1, at + 1, kind, name))
                readers[location].add(step.cpu)
            if mode > 0:
                writer[location], readers[location] = at, set()
    late = {(it.tail, it.what, steps[it.head - 1].cpu): it for it in sorted(found) if it.kind == "missed"}
    return sorted({*late.values(), *(it for it in found if it.kind != "missed")})


def _kind(location: Hashable) -> str:
    return "interrupt" if isinstance(location, tuple) and location[0] == "i" else "seen"


def _ends(step: TraceStep, location: Hashable) -> bool:
    """Whether the word was on a stack that is left in this step."""
    return isinstance(location, tuple) and any(it == ("ended", location[0]) for it, _ in step.touched)


def _only_stores(step: TraceStep, name: str) -> bool:
    """Whether a word is stored without a look at it, as a locked update takes one."""
    return any(f" {name} = " in line for line in step.lines)


def _name(location: Hashable, steps: Iterable[TraceStep]) -> str:
    """What people call a word or an interrupt, as these steps do; nothing for what only orders transitions."""
    if not isinstance(location, tuple) or location[0] in _ORDER_ONLY:
        return ""
    if location[0] == "ad":
        return _name(location[1:], steps)  # A and D of that entry
    if location[0] == "i":
        return "interrupt"
    name, index = location[:2]
    first = f"{name}[0]"  # so called if there are others
    return f"{name}[{index}]" if index or any(first in line for step in steps for line in step.lines) else str(name)


def still_pending(steps: Sequence[TraceStep]) -> list[tuple[int, int]]:
    """The steps that have sent interrupts which have not landed by the end, by number from 1, each with the CPU."""
    sent: dict[Hashable, int] = {}
    for number, step in enumerate(steps, 1):
        for location, mode in step.touched:
            if isinstance(location, tuple) and location[0] == "i":
                if step.actor == "interrupt" and mode == NEEDS:
                    sent.pop(location, None)
                elif mode > 0:
                    sent[location] = number
    return [(number, location[1]) for location, number in sent.items() if isinstance(location, tuple)]


def when_stored(steps: Sequence[TraceStep]) -> dict[int, int]:
    """The step that made each store that drains, by the step in which it does."""
    made: dict[Hashable, int] = {}
    found: dict[int, int] = {}
    for at, step in enumerate(steps):
        for location, _ in step.touched:
            if isinstance(location, tuple) and location[0] == "p":
                if location in made:
                    found[at] = made[location]
                made[location] = at
    return found


def _missed(reader: TraceStep, first: int, writer: TraceStep, stored: int) -> list[Arrow]:
    """Arrows from a store to the reads that came before it, or before it was drained; to end a life is no store."""
    one = dict(reader.touched)
    return [
        Arrow(stored + 1, first + 1, "missed", _name(location, (reader, writer)))
        for location, mode in writer.touched
        if _name(location, ()) and _kind(location) == "seen" and mode > 0 and one.get(location, 1) <= 0
        if not _ends(writer, location)
    ]
