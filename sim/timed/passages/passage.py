"""What is recorded of a passage."""

from __future__ import annotations

from typing import Any, NamedTuple

from sim.hardware.memory import Words
from sim.hardware.steps import Step
from sim.timed.passages.watch import Mark, Read, Section

Counts = dict[str, int]


class Sample(NamedTuple):
    """Time, charges of the tally in use, debt and counters; what was used last of known pages, and caches' state."""

    time: int
    charges: Counts
    owed: int
    counts: Counts
    used: tuple[object, object]


class Made(NamedTuple):
    """A step that has been made: its cycles, the value that a word has now, and what is there after it."""

    cycles: int
    stored: Any
    after: Sample


class Entry(NamedTuple):
    """A step of a passage.

    Attributes:
        section: what the procedure has read and written since the step before.
        counted: what it counted itself.
        result: what was sent back.
        cycles: how long it took, but for what it translates.
        charges: counts and cycles by cause, packed as in a tally.
        owed: what the LWP owes for it.
        counts: what the procedure and the step counted.
        stored: the value that a word has afterwards.
        marks: what hooks have heard before it.
        pages: what a live step translates: PCID and mode, as :class:`~sim.hardware.known_hits.KnownHits` has them, and
            the pair.
    """

    step: Step
    section: Section
    counted: Counts
    result: Any
    cycles: int
    charges: Counts
    owed: int
    counts: Counts
    stored: Any
    marks: tuple[Mark, ...]
    pages: tuple[tuple[int, tuple[int, int]], ...]


class Line(NamedTuple):
    """A cache line that has to be this CPU's: to be read, or written."""

    words: Words
    line: int
    write: bool


class Passage(NamedTuple):
    """What has been recorded.

    Attributes:
        reads: what the procedure and its loads found before the passage changed it.
        lines, mutexes: what must be here, and free.
        after: what the procedure counts after its last step.
        writes: kind, holder, key and value of what it changed itself.
        last: the cause charged last.
        marks: what hooks have heard after the last step.
        end: what the procedure has read and written since then.
        pcid: the PCID at its beginning.
    """

    entries: list[Entry]
    reads: list[Read]
    lines: list[Line]
    mutexes: list[Any]
    after: Counts
    writes: list[tuple[str, Any, Any, Any]]
    last: str
    marks: tuple[Mark, ...]
    end: Section
    pcid: int
