"""What the first pass over a recording learns, for the second and for the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from scenarios.recordings.evidence import Evidence
from scenarios.recordings.header import Header
from scenarios.recordings.kept_lines import KeptLines
from scenarios.recordings.life import Life
from scenarios.recordings.whose import EVERYBODY, Whose
from sim.timed.amounts import Amounts

WOKEN_BY_TASK, NEVER_WOKEN = -1, -2
PACE_LINES = 16  # lines whose distance is measured at once, for stamps may be no finer than a microsecond
SLEEP_BITS = 32  # an IPI's outcome is a task's serial and, in its low bits, which sleep of that task it ended


@dataclass(slots=True)
class FirstSeen:
    """A task that nobody in the recording created: when and how it first shows, whether it was asleep then."""

    life: Life
    time: int
    asleep: bool
    born: bool

    @property
    def comm(self) -> str:
        """The name it had then, even if a later line was the first to tell."""
        return self.life.called


@dataclass(slots=True)
class Spent:
    """What some tasks did in all: their time on CPUs (ns), lines printed for them meanwhile, system calls, switches.

    ``began`` and ``ended``: when the first of them was on a CPU first, and the last of them last (-1: never).
    """

    tasks: int = 0
    cpu_ns: int = 0
    lines: int = 0
    calls: int = 0
    switches: int = 0
    began: int = -1
    ended: int = -1

    def add(self, life: Life) -> None:
        """Add what one task took under one name."""
        self.tasks += 1
        self.cpu_ns += life.cpu_ns
        self.lines += life.lines
        self.calls += life.calls
        self.switches += life.switches
        if life.began >= 0:
            self.began = life.began if self.began < 0 else min(self.began, life.began)
            self.ended = max(self.ended, life.since)


@dataclass(slots=True)
class Survey:
    """What the first pass learned (times in ns); ``lines`` are the events that the second reads."""

    path: Path
    lines: KeptLines = field(default_factory=KeptLines)
    whose: Whose = EVERYBODY
    header: Header = field(default_factory=Header)
    evidence: Evidence = field(default_factory=Evidence)
    first: int = 0
    last: int = 0
    events: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    overwritten: int = 0
    users: int = 0
    perhaps_users: int = 0
    everybody: Spent = field(default_factory=Spent)
    chosen: Spent = field(default_factory=Spent)
    switches: int = 0
    switches_lost: int = 0
    cpus: set[int] = field(default_factory=set)
    tasks: list[FirstSeen] = field(default_factory=list)
    sleeps: Amounts = field(default_factory=Amounts)
    unknown: dict[str, int] = field(default_factory=dict)
    tolerated: dict[str, int] = field(default_factory=dict)
    timer: list[int] = field(default_factory=list)
    idle_exit: list[int] = field(default_factory=list)
    fault_gaps: list[int] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    paces: list[int] = field(default_factory=list)
    idle_devices: int = 0

    def tolerate(self, what: str, n: int = 1) -> None:
        """Count the use of a rule."""
        self.tolerated[what] = self.tolerated.get(what, 0) + n

    def without_gaps(self, began: int, ended: int) -> int:
        """How long it is from one time to the other, gaps left out in which nothing was recorded."""
        return ended - began - sum(end - start for start, end in self.gaps if began <= start and end <= ended)

    @property
    def gap_ns(self) -> int:
        """The sum of all gaps."""
        return sum(end - start for start, end in self.gaps)

    @property
    def calls_show(self) -> bool:
        """Whether a task without system calls made none: they were recorded, and not of one process only."""
        return "calls" in self.evidence.seen and self.header.pid is None
