"""The first pass over a recording: it validates the file and learns what must be known before the replay.

Kept in files: one number for each sleep (how it ended) and each IPI (whom it woke).  Kept in memory: who was there
before, how long the recording lasts, what the recorded machine's timer interrupt and idle exit took.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scenarios.recordings import fields
from scenarios.recordings.header import Header
from scenarios.recordings.interrupts import Interrupts
from scenarios.recordings.learned import PACE_LINES, SLEEP_BITS, WOKEN_BY_TASK, FirstSeen, Survey
from scenarios.recordings.life import Kernel, Life, WokenBy
from scenarios.recordings.lines import Line, LineReader
from scenarios.recordings.linux import IRQ_ENTRY, IRQ_EXIT, KNOWN_UNUSED
from scenarios.recordings.who_runs import Lives
from scenarios.recordings.whose import EVERYBODY, Whose

SAMPLES = 4096
WHOLE = 100  # a recording that lacks more than this part of what the recorder wrote has been cut
NAMES = 100  # so many unknown events are counted by name


class Surveyor(Lives):
    """State of the first pass."""

    def __init__(self, path: Path, whose: Whose) -> None:
        super().__init__(0, whose)
        self.survey = Survey(path, whose=whose)
        self.evidence = self.survey.evidence
        self.interrupts = Interrupts()
        self.current: dict[int, int] = {}
        self.woken_idle: dict[int, int] = {}
        self.entered: dict[Life, int] = {}
        self.open_call: dict[Life, int] = {}
        self.fault_at: dict[int, int] = {}
        self.parent: dict[Life, Life] = {}

    def take(self, lines: list[Line]) -> None:
        """Take some events, and keep them for the second pass."""
        for line in lines:
            self._take(line)
        if lines:
            self.survey.last = lines[-1].time
            self.survey.lines.append(lines)

    def _take(self, line: Line) -> None:
        """Take one event."""
        survey, time, name = self.survey, line.time, line.name
        survey.cpus.add(line.cpu)
        life = self.follow(line)
        kind = self.evidence.take(line)
        if life is not None:
            if life.on_cpu:
                self._spend(life, time)
            if name != "sched_switch":
                life.lines += 1
                if life.lines - life.paced_lines >= PACE_LINES:
                    self._pace(life)
            if self.parent and life.tgid:
                self._same_process(life)
            if kind == "calls":
                life.calls += 1
                if len(survey.calls) < SAMPLES and self.whose.picks(life):
                    self.entered[life] = time
            elif kind == "returns" and (entered := self.entered.pop(life, None)) is not None:
                survey.calls.append(time - entered)
        faulted = self.fault_at.pop(line.tid, None) if self.fault_at else None
        if faulted is not None and len(survey.fault_gaps) < SAMPLES:
            survey.fault_gaps.append(time - faulted)
        if name == "page_fault_user":
            self.fault_at[line.tid] = time
        elif name == "ipi_send_cpu":
            self._sent(line, life)
        elif kind is None:
            self._other(line, life)

    def _other(self, line: Line, life: Life | None) -> None:
        """Take an event that says nothing of what a task does."""
        name, unknown = line.name, self.survey.unknown
        if name in IRQ_ENTRY or name in IRQ_EXIT:
            self._interrupt(line, life)
        elif name not in KNOWN_UNUSED:
            if name not in unknown and len(unknown) >= NAMES:
                name = "others"
            unknown[name] = unknown.get(name, 0) + 1

    @staticmethod
    def _spend(life: Life, now: int) -> None:
        """The task has been on its CPU until now."""
        if life.began < 0:
            life.began = life.since
        life.cpu_ns += now - life.since
        life.since = now

    def _pace(self, life: Life) -> None:
        """Note how far apart the latest lines of one of those asked for are, on its CPU."""
        if len(self.survey.paces) < SAMPLES and self.whose.picks(life):
            self.survey.paces.append((life.cpu_ns - life.paced_ns) // (life.lines - life.paced_lines))
        life.paced_ns, life.paced_lines = life.cpu_ns, life.lines

    def _over(self, life: Life) -> None:
        """Nothing more will be seen of a task: what it was, and what it took."""
        survey = self.survey
        kernel = life.kernel
        if kernel is Kernel.NO:
            survey.users += 1
        else:
            survey.perhaps_users += kernel is Kernel.IF_CALLS_SHOW
            survey.sleeps.append(f"kernel/{life.serial}", kernel.value)
        self._settle(life)

    def _settle(self, life: Life) -> None:
        """Add what a task took under its present name to the sums."""
        self.survey.everybody.add(life)
        if self.whose.picks(life):
            self.survey.chosen.add(life)
        life.cpu_ns = life.lines = life.calls = life.switches = life.paced_ns = life.paced_lines = 0
        life.began = -1

    def _interrupt(self, line: Line, life: Life | None) -> None:
        """An interrupt begins or ends; the timer's is timed, with the soft interrupts behind it."""
        over = self.interrupts.take(line, own_account=life is None or life.inside)
        if over is None:
            return
        if over.kind == "local_timer":
            if not over.tail and len(self.survey.timer) < SAMPLES:
                self.survey.timer.append(over.dropped)
            elif over.tail and self.survey.timer:
                self.survey.timer[-1] += over.dropped
        if over.kept and life is None:
            self.survey.idle_devices += 1

    def _same_process(self, life: Life) -> None:
        """The task's process is known: note once whether it is a thread of its creator's."""
        parent = self.parent.pop(life, None)
        if parent is not None and parent.tgid == life.tgid:
            self.survey.sleeps.append(f"thread/{life.serial}", 1)

    # --- hooks of the state machine ---------------------------------------------------------------------------------

    def on_first_sight(self, life: Life, line: Line, *, born: bool) -> None:
        self.survey.tasks.append(FirstSeen(life, line.time, life.asleep is not None, born))

    def on_fork(self, parent: Life, child: Life, line: Line) -> None:
        self.parent[child] = parent

    def on_switch(self, prev: Life | None, following: Life | None, line: Line) -> None:
        survey = self.survey
        survey.switches += 1
        if prev is not None:
            prev.switches += 1
            self.entered.pop(prev, None)
            if prev.on_cpu:
                self._spend(prev, line.time)
        if following is not None:
            following.lines += 1
            following.switches += 1
        ran, runs = prev.serial if prev else 0, following.serial if following else 0
        if self.current.get(line.cpu, ran) != ran:
            survey.switches_lost += 1
        called = self.woken_idle.pop(runs, None)
        if called is not None and prev is None and len(survey.idle_exit) < SAMPLES:
            survey.idle_exit.append(line.time - called)
        self.current[line.cpu] = runs

    def on_gap(self, now: int) -> None:
        self.interrupts.forget()
        running = [life for life in self.running.values() if life is not None and life.on_cpu]
        for life in running:
            self._spend(life, self.latest)
        if running:
            self.survey.gaps.append((self.latest, now))

    def on_exec(self, life: Life, line: Line) -> None:
        if life.on_cpu:
            self._spend(life, line.time)
        self._settle(life)

    def on_death(self, life: Life, line: Line) -> None:
        self._over(life)
        self.evidence.died(life.tid)
        self._close_call(life)
        self.entered.pop(life, None)
        self.parent.pop(life, None)
        self.woken_idle.pop(life.serial, None)
        for what in ("sleep", "ipi", "thread", "kernel"):
            self.survey.sleeps.close(f"{what}/{life.serial}")

    def on_reuse(self, life: Life, line: Line) -> None:
        self.on_death(life, line)

    def on_wake(self, life: Life, waker: Life | None, line: Line, how: WokenBy) -> None:
        if how is WokenBy.UNSEEN:
            self.survey.tolerate("wakeups_missing")
        else:
            found = fields.wakee(line)
            if found is not None and self.current.get(found[2], -1) == 0:
                self.woken_idle[life.serial] = line.time
        if how is WokenBy.CALL and waker is not None:
            self.open_call[waker] = life.serial << SLEEP_BITS | life.sleeps
        begun = self.first if life.asleep is None else life.asleep
        by_task = how in (WokenBy.TASK, WokenBy.CALL)
        self.survey.sleeps.append(f"sleep/{life.serial}", WOKEN_BY_TASK if by_task else line.time - begun)

    def _sent(self, line: Line, sender: Life | None) -> None:
        """An IPI was sent: what the sender's last one did is known now."""
        if sender is not None and fields.ipi_target(line) is not None:
            self._close_call(sender)
            self.open_call[sender] = 0

    def _close_call(self, sender: Life) -> None:
        """Write down whom the sender's last IPI woke, and from which of its sleeps (0: nobody)."""
        woken = self.open_call.pop(sender, None)
        if woken is not None:
            self.survey.sleeps.append(f"ipi/{sender.serial}", woken)

    def finish(self) -> Survey:
        """The recording has ended."""
        for sender in list(self.open_call):
            self._close_call(sender)
        for life in self.alive.values():
            if life.on_cpu:
                self._spend(life, self.latest)
            self._over(life)
        self.survey.sleeps.finish()
        return self.survey


def make_survey(path: Path, whose: Whose = EVERYBODY, report: Callable[[float], None] | None = None) -> Survey:
    """Read the recording once.  Raises InputError for what is no recording.

    *report* is told what share of it has been read.
    *whose* is singled out; if everybody is, and the recorder wrote down which process it ran, that one is.
    """
    reader = LineReader(path, report)
    surveyor: Surveyor | None = None
    for lines in reader.blocks():
        if surveyor is None and lines:
            surveyor = _begin(path, reader, whose, lines[0].time)
        if surveyor is not None:
            surveyor.take(lines)
    if surveyor is None:
        surveyor = _begin(path, reader, whose, 0)
    survey = surveyor.finish()
    survey.events, survey.overwritten = reader.events, reader.overwritten
    survey.header.whole = reader.events * WHOLE >= survey.header.events * (WHOLE - 1)
    for what, n in reader.tolerated.items():
        survey.tolerate(what, n)
    for name, n in reader.odd.items():
        survey.unknown[name] = survey.unknown.get(name, 0) + n
    survey.evidence.judge(path, sorted(survey.unknown), tasks=survey.users)
    return survey


def _begin(path: Path, reader: LineReader, whose: Whose, first: int) -> Surveyor:
    """The state before the first event: all comments of the recorder stand before it."""
    header = Header(reader.header)
    if whose.everybody and header.pid is not None:
        whose = Whose(pid=header.pid)
    header.asked = whose == Whose(pid=header.pid)
    surveyor = Surveyor(path, whose)
    surveyor.survey.header = header
    surveyor.survey.first = surveyor.first = first
    return surveyor
