"""What a passage comes to when it is played: sums by tally, and the pages that all of it uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.hardware.caches import Caches
from sim.hardware.known_hits import KnownHits, Page
from sim.hardware.steps import CLI, CR3, INVLPG, INVPCID, PGE, REG, RMW, SPL, STI, STORE, Proc
from sim.timed.passages.passage import Counts, Entry, Passage
from sim.timed.passages.watch import Mark

DIFFERS, LATE = 1, 2
Values = dict[tuple[int, Any], Any]  # by place: an object's id, and the name, key or index of something in it
Segment = tuple[tuple[Mark, ...], Counts]  # what hooks hear, and what is charged then


class Played:
    """A passage that can be played.

    Attributes:
        stands: whether all that it needs is there, pages aside (takes nothing that matters).
        play: plays it, by the time and the time of what comes next: DIFFERS, LATE, None or the steps left.
        cycles: how long it takes if all its pages are known to hit.
        segments: what is charged to one tally after another.
        owed, counts: sums of all steps.
        pairs: PCID and mode, and page, of all its translations; None if it flushes something.
        repeats: whether playing it again is the same once more: nothing depends on its time.
        reads, leaves: values that it finds, and those that are left where it has written.
        changed: the objects and lists that it changes on the way, by their ids.
        relied: what a CPU relies on that stands aside for it (:mod:`sim.timed.passages.holding`), once it is known.
        late: how often there was no room for it.
        walk: makes its steps one by one, by what begins the procedure; None if that has not been worth it yet.
    """

    __slots__ = (
        "changed", "counts", "cycles", "late", "leaves", "owed", "pairs", "passage", "play", "reads", "relied",
        "repeats", "segments", "stands", "walk",
    )  # fmt: skip

    def __init__(self, passage: Passage, cpu: object) -> None:
        entries = passage.entries
        self.passage = passage
        self.play: Callable[[int, int], Any]
        self.stands: Callable[[object], bool]
        self.walk: Callable[[Callable[[], Proc]], Proc] | None = None
        self.relied: Any = None
        self.late = 0
        self.cycles = sum(entry.cycles for entry in entries)
        self.segments = _segments(passage)
        self.owed = sum(entry.owed for entry in entries)
        self.counts = added([*(entry.counts for entry in entries), passage.after])
        self.pairs = None if any(map(_flushes, entries)) else [pair for entry in entries for pair in entry.pages]
        heard = {mark.hook for marks, _ in self.segments for mark in marks}
        self.repeats = not passage.mutexes and self.pairs is not None and heard <= {"call_begin", "call_end"}
        self.reads: Values = {(id(read.holder), read.key): read.value for read in passage.reads}
        changed = [change for entry in entries for change in changes(entry, cpu)]
        self.leaves: Values = {(id(holder), key): value for holder, key, value in changed}
        self.leaves |= {(id(holder), key): value for _, holder, key, value in passage.writes}
        self.changed = frozenset(holder for holder, _ in self.leaves)

    def merge(self, known: KnownHits, caches: Caches) -> None:
        """If all its pages are known to hit, remember them as one sequence; their lines were used just now."""
        pages: list[Page] = []
        for mode, pair in self.pairs or ():
            uses = known.pages.get(mode, {}).get(pair)
            if uses is None:
                return
            pages.append(uses)
        known.add_sequence(self, self.passage.pcid, pages).cached = caches.now


def _flushes(entry: Entry) -> bool:
    """Whether translations may be gone after the step."""
    op = entry.step[0]
    return op in (PGE, INVLPG, INVPCID) or op is CR3 and not entry.step[4]


def changes(entry: Entry, cpu: object) -> list[tuple[Any, Any, Any]]:
    """What a step changes, but for what translations do: objects or lists, names or indices there, values it leaves."""
    op, _, *operands = entry.step
    if op in (STORE, RMW):
        return [(operands[0].v, operands[1], entry.stored)]
    registers = {
        CLI: ("intr",), STI: ("intr",), SPL: ("ipl",), CR3: ("cr3_pa", "pcid"), REG: operands[:1]
    }.get(op, ())  # fmt: skip
    values = [op is STI] if op in (CLI, STI) else operands[1:] if op is REG else operands
    return [(cpu, name, value) for name, value in zip(registers, values, strict=False)]


def _segments(passage: Passage) -> list[Segment]:
    """Charges between what hooks hear."""
    segments: list[Segment] = [((), {})]
    for entry in passage.entries:
        if entry.marks:
            segments.append((entry.marks, {}))
        _add(segments[-1][1], entry.charges)
    if passage.marks:
        segments.append((passage.marks, {}))
    return [segment for segment in segments if segment[0] or segment[1]]


def added(parts: list[Counts]) -> Counts:
    """The sums by name."""
    total: Counts = {}
    for part in parts:
        _add(total, part)
    return total


def _add(total: Counts, part: Counts) -> None:
    for name, n in part.items():
        total[name] = total.get(name, 0) + n
