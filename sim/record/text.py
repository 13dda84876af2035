"""Entries of the ring buffers as lines of ftrace text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from struct import Struct

from sim.record.events import Event
from sim.record.spool import Entry

LEGEND = (
    "#                                          _-----=> irqs-off/BH-disabled",
    "#                                         / _----=> need-resched",
    "#                                        | / _---=> hardirq/softirq",
    "#                                        || / _--=> preempt-depth",
    "#                                        ||| / _-=> migrate-disable",
    "#           TASK-PID       TGID    CPU#  |||||     TIMESTAMP  FUNCTION",
    "#              | |           |       |   |||||        |         |",
)
_COMMON = Struct("<HBBi")  # type, flags, preemption count, pid
# Bits of the flags (include/linux/trace_events.h of Linux).
IRQS_OFF, NEED_RESCHED_LAZY, NEED_RESCHED, HARDIRQ, SOFTIRQ, PREEMPT_RESCHED, NMI, BH_OFF = (1 << n for n in range(8))
_NAMED = {
    "sched_switch": re.compile(r"next_comm=(?P<comm>.*) next_pid=(?P<pid>\d+) "),
    "sched_wakeup": re.compile(r"comm=(?P<comm>.*) pid=(?P<pid>\d+) "),
    "sched_wakeup_new": re.compile(r"comm=(?P<comm>.*) pid=(?P<pid>\d+) "),
    "sched_process_fork": re.compile(r"child_comm=(?P<comm>.*) child_pid=(?P<pid>\d+)"),
    "sched_process_exec": re.compile(r"filename=(?:.*/)?(?P<comm>.{1,15}).* pid=(?P<pid>\d+) "),
}


def kind_of(entry: Entry) -> int:
    """Return the number of an entry's event."""
    return int(_COMMON.unpack_from(entry.page, entry.at)[0])


class Names:
    """Who is who: names and processes of tasks, as far as they are known."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self.comm = {0: "<idle>"}
        self.process: dict[int, int] = {}
        for task in proc.glob("[0-9]*/task/[0-9]*"):
            try:
                self.comm[int(task.name)] = (task / "comm").read_text(encoding="utf-8", errors="replace").strip("\n")
            except OSError:  # it has ended meanwhile
                continue
            self.process[int(task.name)] = int(task.parts[-3])

    def add_processes(self, saved: str) -> None:
        """Take what the kernel noted (``saved_tgids``: lines of task and process)."""
        for line in saved.splitlines():
            task, process = line.split()
            self.process[int(task)] = int(process)


class Lines:
    """Prints entries.

    Attributes:
        counts: how many of each event have been printed.
        lost: how many events are marked as lost in the text.
    """

    def __init__(self, events: Mapping[int, Event], names: Names) -> None:
        self.counts: Counter[str] = Counter()
        self.lost = 0
        self._events = events
        self._names = names

    def print(self, found: Iterable[Entry]) -> Iterator[str]:
        """Yield a line for each entry."""
        comm, process = self._names.comm, self._names.process
        for entry in found:
            if entry.lost:
                self.lost += entry.lost
                yield f"CPU:{entry.cpu} [LOST {entry.lost} EVENTS]\n"
                continue
            kind, flags, preempt, tid = _COMMON.unpack_from(entry.page, entry.at)
            event = self._events.get(kind)
            if event is None:
                continue
            name, fields = event.name, event.show(entry.page, entry.at)
            if name in _NAMED:
                self._learn(name, fields)
            self.counts[name] += 1
            seconds, ns = divmod(entry.time, 1_000_000_000)
            yield (
                f"{comm.get(tid, '<...>'):>16}-{tid:<7} ({process.get(tid, '-------'):>7}) [{entry.cpu:03d}] "
                f"{_marks(flags, preempt)} {seconds:5d}.{ns:09d}: {name}: {fields}\n"
            )

    def _learn(self, name: str, fields: str) -> None:
        """Take a task's name from an event that has it."""
        match = _NAMED[name].search(fields)
        if match is not None and match["pid"] != "0":
            self._names.comm[int(match["pid"])] = match["comm"]


def _marks(flags: int, preempt: int) -> str:
    """The column of letters: interrupts off, must reschedule, kind of interrupt, depth of preemption and migration."""
    off = "D" if flags & IRQS_OFF and flags & BH_OFF else "d" if flags & IRQS_OFF else "b" if flags & BH_OFF else "."
    wanted = {
        NEED_RESCHED: "n", PREEMPT_RESCHED: "p", NEED_RESCHED_LAZY: "l", NEED_RESCHED | PREEMPT_RESCHED: "N",
        NEED_RESCHED_LAZY | PREEMPT_RESCHED: "L", NEED_RESCHED | NEED_RESCHED_LAZY: "b",
        NEED_RESCHED | NEED_RESCHED_LAZY | PREEMPT_RESCHED: "B",
    }.get(flags & (NEED_RESCHED | NEED_RESCHED_LAZY | PREEMPT_RESCHED), ".")  # fmt: skip
    hard, soft = flags & HARDIRQ, flags & SOFTIRQ
    normal = "H" if hard and soft else "h" if hard else "s" if soft else "."
    inside = ("Z" if hard else "z") if flags & NMI else normal
    depth, migrate = preempt & 15, preempt >> 4
    return off + wanted + inside + (f"{depth:x}" if depth else ".") + (f"{migrate:x}" if migrate else ".")
