"""The first pass over a recording: it validates the file and learns what must be known before the replay.

Kept per task: one number for each sleep (how it ended).  Kept per recording: who is there, how long it lasts, what the
recorded machine's timer interrupt and idle exit took.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scenarios.recordings import fields
from scenarios.recordings.lines import Line, LineReader
from scenarios.recordings.linux import IRQ_ENTRY, IRQ_EXIT, KNOWN_UNUSED
from sim.timed.amounts import Amounts

WOKEN_BY_TASK, NEVER_WOKEN = -1, -2
SAMPLES = 4096
SLEEP_BITS = 32  # an IPI's outcome is a tid and, in its low bits, which sleep of that task it ended


@dataclass(slots=True)
class FirstSeen:
    """A task that nobody in the recording created: when and how it first shows, whether it was asleep then."""

    tid: int
    comm: str
    tgid: int
    time: int
    asleep: bool
    born: bool


@dataclass(slots=True)
class Survey:
    """What the first pass learned (times in ns)."""

    path: Path
    first: int = 0
    last: int = 0
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
    idle_devices: int = 0


def identity(tid: int, generation: dict[int, int]) -> str:
    """A task's key: its tid, with a number once the tid has been used again."""
    n = generation.get(tid, 0)
    return f"{tid}#{n}" if n else str(tid)


class _Surveyor:
    """State of the first pass."""

    def __init__(self, path: Path) -> None:
        self.survey = Survey(path)
        self.known: set[int] = set()
        self.dead: set[int] = set()
        self.inside: set[int] = set()
        self.asleep: dict[int, int] = {}
        self.current: dict[int, int] = {}
        self.woken_idle: dict[int, int] = {}
        self.irq: dict[int, tuple[str, int]] = {}
        self.called: dict[int, tuple[int, int]] = {}
        self.open_call: dict[int, int] = {}
        self.ordinal: dict[str, int] = {}
        self.fault_at: dict[int, int] = {}
        self.generation: dict[int, int] = {}

    def see(self, line: Line, tid: int, comm: str, *, asleep: bool = False, born: bool = False) -> bool:
        """Note a task at its first sight; return whether it was that."""
        if not tid or tid in self.known:
            return False
        self.known.add(tid)
        tgid = line.tgid if tid == line.tid else 0
        self.survey.tasks.append(FirstSeen(tid, comm, tgid, line.time, asleep, born))
        return True

    def take(self, line: Line) -> None:
        """Take one event."""
        survey = self.survey
        survey.cpus.add(line.cpu)
        name = line.name
        if line.tid and line.tid not in self.dead:
            self.see(line, line.tid, line.comm)
        if line.tid in self.asleep and fields.shows_running(name):
            self.woken_unseen(line.tid, line.time)
        gap = self.fault_at.pop(line.tid, None)
        if gap is not None and len(survey.fault_gaps) < SAMPLES:
            survey.fault_gaps.append(line.time - gap)
        if fields.is_enter(name):
            self.inside.add(line.tid)
        elif fields.is_exit(name):
            self.inside.discard(line.tid)
        elif name == "page_fault_user":
            self.fault_at[line.tid] = line.time
        elif name == "sched_switch":
            self.switch(line)
        elif name in ("sched_wakeup", "sched_wakeup_new"):
            self.wake(line)
        elif name == "sched_process_fork":
            made = fields.fork(line)
            if made is not None:
                self.dead.discard(made[1])
                self.known.add(made[1])
        elif name == "ipi_send_cpu":
            self.call(line)
        elif name in IRQ_ENTRY:
            self.irq.setdefault(line.cpu, (IRQ_ENTRY[name], line.time))
        elif name in IRQ_EXIT:
            self.irq_end(line)
        elif name not in KNOWN_UNUSED and name not in ("sched_process_exec", "sched_process_exit"):
            survey.unknown[name] = survey.unknown.get(name, 0) + 1

    def irq_end(self, line: Line) -> None:
        """An interrupt ends; time the timer's."""
        begun = self.irq.pop(line.cpu, None)
        if begun is None:
            return
        if begun[0] == "local_timer" and len(self.survey.timer) < SAMPLES:
            self.survey.timer.append(line.time - begun[1])
        if begun[0] == "irq_handler" and line.tid == 0:
            self.survey.idle_devices += 1

    def switch(self, line: Line) -> None:
        """A switch: sleeps begin; an idle CPU that was called starts working."""
        found = fields.switch(line)
        if found is None:
            return
        self.survey.switches += 1
        if self.current.get(line.cpu, found.prev) != found.prev:
            self.survey.switches_lost += 1
        self.see(line, found.prev, found.prev_comm)
        self.see(line, found.next, found.next_comm)
        if found.dead:
            self.close_call(found.prev)
            self.known.discard(found.prev)
            self.dead.add(found.prev)
            self.generation[found.prev] = self.generation.get(found.prev, 0) + 1
        elif found.blocked and found.prev:
            self.asleep[found.prev] = line.time
        if found.next in self.asleep:
            self.woken_unseen(found.next, line.time)
        called = self.woken_idle.pop(found.next, None)
        if called is not None and found.prev == 0 and len(self.survey.idle_exit) < SAMPLES:
            self.survey.idle_exit.append(line.time - called)
        self.current[line.cpu] = found.next

    def woken_unseen(self, tid: int, time: int) -> None:
        """A task runs that was asleep: its wake-up is not in the recording."""
        self.end_sleep(tid, time, by_task=False)
        self.survey.tolerated["wakeups_missing"] = self.survey.tolerated.get("wakeups_missing", 0) + 1

    def wake(self, line: Line) -> None:
        """A wake-up: decide whether it depends on a task's progress or comes from outside."""
        found = fields.wakee(line)
        if found is None:
            return
        tid, comm, target = found
        born = line.name == "sched_wakeup_new"
        if born:
            self.dead.discard(tid)
        slept_before = self.see(line, tid, comm, asleep=not born, born=born) and not born
        if self.current.get(target, -1) == 0:
            self.woken_idle[tid] = line.time
        if tid in self.asleep or slept_before:
            by_task = depends(line, line.tid in self.inside) or self.by_call(line, tid)
            self.end_sleep(tid, line.time, by_task=by_task)

    def call(self, line: Line) -> None:
        """A task sends an IPI: perhaps a wake-up that the other CPU will carry out in its interrupt handler."""
        target = fields.ipi_target(line)
        if target is None:
            return
        self.called.pop(target, None)
        if line.tid == 0:
            return
        self.close_call(line.tid)
        self.open_call[line.tid] = 0
        if depends(line, line.tid in self.inside):
            self.called[target] = (line.tid, line.time)

    def close_call(self, sender: int) -> None:
        """Write down whom the sender's last IPI woke, and from which of its sleeps (0: nobody)."""
        woken = self.open_call.pop(sender, None)
        if woken is not None:
            self.survey.sleeps.append(f"ipi/{identity(sender, self.generation)}", woken)

    def by_call(self, line: Line, tid: int) -> bool:
        """Whether this wake-up, in an interrupt, is what a task's IPI to this CPU asked for."""
        if line.flags and "h" not in line.flags:
            return False
        sender, sent = self.called.pop(line.cpu, (0, 0))
        if not sender or self.open_call.get(sender) != 0 or sent < self.asleep.get(tid, 0):
            return False
        self.open_call[sender] = tid << SLEEP_BITS | self.ordinal.get(identity(tid, self.generation), 0) + 1
        return True

    def end_sleep(self, tid: int, time: int, *, by_task: bool) -> None:
        """Write down how a sleep ended."""
        begun = self.asleep.pop(tid, self.survey.first)
        key = identity(tid, self.generation)
        self.ordinal[key] = self.ordinal.get(key, 0) + 1
        self.survey.sleeps.append(key, WOKEN_BY_TASK if by_task else time - begun)


def depends(line: Line, inside: bool) -> bool:
    """Whether a wake-up is the work of the task it is printed for, rather than of an interrupt that hit it."""
    if line.tid == 0:
        return False
    if line.flags:
        return not any(mark in line.flags[:4] for mark in "hHzZ")
    return inside


def make_survey(path: Path, progress: Callable[[int], None] | None = None) -> Survey:
    """Read the recording once.  Raises InputError for what is no recording."""
    surveyor = _Surveyor(path)
    survey = surveyor.survey
    reader = LineReader(path)
    for line in reader:
        if not survey.first:
            survey.first = line.time
        survey.last = line.time
        surveyor.take(line)
        if progress is not None and reader.events % 65536 == 0:
            progress(reader.events)
    for what, n in reader.tolerated.items():
        survey.tolerated[what] = survey.tolerated.get(what, 0) + n
    for sender in list(surveyor.open_call):
        surveyor.close_call(sender)
    survey.sleeps.finish()
    return survey
