"""Who lives, runs and sleeps, line by line: one state machine that both passes over a recording share.

The first pass (survey) writes down how each sleep ended; the second (replay) reads that when the sleep begins.  Both
derive from :class:`Lives`, so that they can't disagree about which task a line speaks of: a tid is used again, deaths
and switches are lost, and each life still has one number in both passes.
"""

from __future__ import annotations

from scenarios.recordings import fields
from scenarios.recordings.life import NAMELESS, Kernel, Life, WokenBy
from scenarios.recordings.lines import Line
from scenarios.recordings.linux import IRQ_ENTRY, IRQ_EXIT
from scenarios.recordings.whose import EVERYBODY, Whose

# What a task does again and again, by the event's name: whether a system call is open afterwards, and whether the
# latest was a fault.
_OFTEN = {"sys_enter": (True, False), "sys_exit": (False, False), "page_fault_user": (False, True)}
GAP_NS = 60_000_000_000  # nothing at all happens for so long only where nothing was recorded


class Lives:
    """The state machine.  The methods ``on_…`` tell a pass what happens, before the state follows."""

    def __init__(self, first: int = 0, whose: Whose = EVERYBODY) -> None:
        self.first = first
        self.whose = whose
        self.alive: dict[int, Life] = {}
        self.running: dict[int, Life | None] = {}
        self.latest = -1  # before the first line; stamps begin with 0
        self.called: dict[int, Life] = {}
        self.interrupted: set[int] = set()
        self.woken_shows = False  # whether wake-ups are recorded when done; if not, when they begin has to do
        self._serials = 0

    # --- what a pass may want to know -------------------------------------------------------------------------------

    def on_first_sight(self, life: Life, line: Line, *, born: bool) -> None:
        """A task that nobody in the recording created; ``life.asleep`` tells whether it slept till now."""

    def on_fork(self, parent: Life, child: Life, line: Line) -> None:
        """A task was created."""

    def on_reuse(self, life: Life, line: Line) -> None:
        """The tid of *life* is somebody else's from now on; its death was not recorded."""

    def on_death(self, life: Life, line: Line) -> None:
        """The task's last switch."""

    def on_run(self, life: Life, line: Line) -> None:
        """The task is found running without a switch to it; ``life.since`` is set."""

    def on_exec(self, life: Life, line: Line) -> None:
        """The task executes a program; it still has its old name."""

    def on_lost_switch(self, life: Life, line: Line) -> None:
        """Somebody else runs on the CPU on which *life* ran."""

    def on_unreadable(self, line: Line) -> None:
        """The fields of an event are not understood."""

    def on_gap(self, now: int) -> None:
        """Nothing was recorded from ``latest`` to *now*: whoever runs did not, all that time."""

    def on_switch(self, prev: Life | None, following: Life | None, line: Line) -> None:
        """A switch, before *prev* sleeps or dies."""

    def on_sleep(self, life: Life) -> None:
        """A sleep begins; ``life.sleeps`` is its number, from 1."""

    def on_wake(self, life: Life, waker: Life | None, line: Line, how: WokenBy) -> None:
        """A sleep ends; *waker* is the task the line is printed for or, if by a call, the IPI's sender."""

    # --- the machine ------------------------------------------------------------------------------------------------

    def follow(self, line: Line) -> Life | None:
        """Let the state follow one line; return the life of the task that it is printed for (None: idle)."""
        name = line.name
        if 0 <= self.latest < line.time - GAP_NS:
            self._gap(line.time)
        self.latest = line.time
        if name in _OFTEN and (life := self._goes_on(line)) is not None:
            return life
        if name == "sched_process_exec":
            self._rename(line)
        life = self._printed_for(line)
        if name == "sched_switch":
            self._switch(line)
        elif name in ("sched_wakeup", "sched_wakeup_new") or name == "sched_waking" and not self.woken_shows:
            self._wakeup(line, life)
        elif name == "sched_process_fork":
            self._fork(line, life)
        elif name == "ipi_send_cpu":
            self._call(line, life)
        elif life is not None and (fields.is_enter(name) or fields.is_exit(name)):
            life.inside = fields.is_enter(name)
            life.traced, life.faulted = True, False
        elif life is not None and name == "page_fault_user":
            life.inside = False
            life.traced = life.faulted = True
        elif life is not None and name == "sched_process_exec":
            self.on_exec(life, line)
            life.comm = line.comm
        if not line.flags:
            self._context(line)
        return life

    def _goes_on(self, line: Line) -> Life | None:
        """The most frequent case, by a short way: a user task does what it does often, where it is known to run."""
        life = self.alive.get(line.tid)
        if life is None or not life.user or life.asleep is not None or not life.on_cpu:
            return None
        if self.running.get(line.cpu) is not life:
            return None
        if line.tgid:
            life.tgid = line.tgid
            life.tree = life.tree or line.tgid == self.whose.pid
        life.inside, life.faulted = _OFTEN[line.name]
        life.traced = True
        if not line.flags:
            self.interrupted.discard(line.cpu)
        return life

    def _gap(self, now: int) -> None:
        """Take the time in which nothing was recorded from those that seem to have run."""
        self.on_gap(now)
        for life in self.running.values():
            if life is not None and life.on_cpu:
                life.since = now

    def _context(self, line: Line) -> None:
        """Where no flags are printed: follow hard interrupts by their events."""
        name = line.name
        if name in IRQ_ENTRY:
            if IRQ_ENTRY[name] != "softirq":
                self.interrupted.add(line.cpu)
        elif name in IRQ_EXIT or fields.shows_running(name):
            self.interrupted.discard(line.cpu)

    def _printed_for(self, line: Line) -> Life | None:
        """The task that a line is printed for, put on the CPU if the line proves that it runs."""
        if line.tid <= 0:
            return None
        life = self.alive.get(line.tid)
        if life is None:
            if line.cpu in self.running and not fields.shows_running(line.name):
                return None  # what a switch itself prints may carry the task just left, perhaps a dead one
            life = self._see(line, line.tid, line.comm)
        if line.tgid:
            life.tgid = line.tgid
            life.tree = life.tree or line.tgid == self.whose.pid
        if fields.shows_running(line.name) or life.fresh and life.asleep is None:
            woken = life.asleep is not None
            if woken:
                self._wake(life, None, line, WokenBy.UNSEEN)
            self._runs(life, line, woken=woken)
            life.user = life.user or fields.only_users(line.name)
        return life

    def _new(self, tid: int, comm: str) -> Life:
        self._serials += 1
        life = self.alive[tid] = Life(self._serials, tid, comm, tree=tid == self.whose.pid)
        return life

    def _see(self, line: Line, tid: int, comm: str, *, asleep: bool = False, born: bool = False) -> Life:
        """A task shows up that nobody created."""
        life = self._new(tid, comm)
        if asleep:
            life.asleep, life.sleeps = self.first, 1
        self.on_first_sight(life, line, born=born)
        return life

    def _runs(self, life: Life, line: Line, *, woken: bool) -> None:
        """A line proves that *life* runs on its CPU: put right what missing switches left wrong."""
        before = self.running.get(line.cpu)
        if life.on_cpu and before is life:
            return
        since = line.time
        if before is not None and before is not life and before.on_cpu and before.cpu == line.cpu:
            # Its switch-out is missing: it keeps what it showed, the rest is the other's, unless that slept till now.
            since = line.time if woken else before.since
            self.on_lost_switch(before, line)
            before.on_cpu = False
        if not life.on_cpu:
            life.since = since
            life.on_cpu = True
            self.on_run(life, line)
        life.cpu, life.fresh = line.cpu, False
        self.running[line.cpu] = life

    def _switch(self, line: Line) -> None:
        found = fields.switch(line)
        if found is None:
            self.on_unreadable(line)
            return
        prev = self._named(line, found.prev, found.prev_comm)
        following = self._named(line, found.next, found.next_comm)
        if following is not None and following.asleep is not None and following is not prev:
            self._wake(following, None, line, WokenBy.UNSEEN)
        before = self.running.get(line.cpu)
        if before is not None and before is not prev and before.on_cpu and before.cpu == line.cpu:
            self.on_lost_switch(before, line)  # or it would seem to run until it shows up again
            before.on_cpu = False
        self.on_switch(prev, following, line)
        if prev is not None:
            prev.on_cpu = False
            if found.dead:
                self.on_death(prev, line)
                self.alive.pop(prev.tid, None)
                prev.sent = None  # what it asked for and has not got yet comes from outside
            elif found.blocked:
                prev.idles = prev.idles or found.idles
                prev.blocks = prev.blocks or not (prev.inside or prev.faulted)
                self._sleep(prev, line)
        if following is not None:
            following.on_cpu, following.fresh = True, False
            following.since, following.cpu = line.time, line.cpu
        self.running[line.cpu] = following

    def _named(self, line: Line, tid: int, comm: str) -> Life | None:
        """The task that a field names."""
        if tid <= 0:
            return None
        life = self.alive.get(tid)
        if life is None:
            return self._see(line, tid, comm)
        if life.comm == NAMELESS:
            life.comm = life.called = comm
        return life

    def _sleep(self, life: Life, line: Line) -> None:
        if life.asleep is not None:
            self._wake(life, None, line, WokenBy.UNSEEN)
        life.asleep = line.time
        life.sleeps += 1
        self.on_sleep(life)

    def _wake(self, life: Life, waker: Life | None, line: Line, how: WokenBy) -> None:
        self.on_wake(life, waker, line, how)
        life.asleep = None

    def _wakeup(self, line: Line, waker: Life | None) -> None:
        """A wake-up: decide whether it depends on a task's progress or comes from outside."""
        found = fields.wakee(line)
        if found is None:
            self.on_unreadable(line)
            return
        tid, comm, _ = found
        born = line.name == "sched_wakeup_new"
        self.woken_shows = self.woken_shows or line.name == "sched_wakeup"
        life = self.alive.get(tid) or self._see(line, tid, comm, asleep=not born, born=born)
        if life.asleep is None:
            return
        if self._depends(line, waker):
            self._wake(life, waker, line, WokenBy.TASK)
            return
        sender = self._sender(line, life)
        self._wake(life, sender, line, WokenBy.OUTSIDE if sender is None else WokenBy.CALL)

    def _call(self, line: Line, sender: Life | None) -> None:
        """A task sends an IPI: perhaps a wake-up that the other CPU will carry out in its interrupt handler."""
        target = fields.ipi_target(line)
        if target is None:
            self.on_unreadable(line)
            return
        self.called.pop(target, None)
        if sender is not None and self._depends(line, sender):
            sender.sent = (line.time, target)
            self.called[target] = sender

    def _sender(self, line: Line, sleeper: Life) -> Life | None:
        """Whose IPI to this CPU asked for the wake-up of *sleeper* in an interrupt, if anybody's."""
        if line.flags and "h" not in line.flags:
            return None
        sender = self.called.pop(line.cpu, None)
        if (
            sender is None
            or sender.sent is None
            or sender.sent[1] != line.cpu
            or sender.sent[0] < (sleeper.asleep or 0)
        ):
            return None
        sender.sent = None
        return sender

    def _fork(self, line: Line, printed_for: Life | None) -> None:
        found = fields.fork(line)
        if found is None:
            self.on_unreadable(line)
            return
        self._retire(found[1], line)
        parent = self.alive.get(found[0]) or printed_for
        if parent is None or parent.tid not in self.alive:
            self._see(line, found[1], found[2], born=True)
            return
        child = self._new(found[1], found[2])
        child.made_by_kernel = parent.kernel is Kernel.YES
        child.tree = child.tree or parent.tree
        self.on_fork(parent, child, line)

    def _retire(self, tid: int, line: Line) -> None:
        """A tid gets a new owner: whoever had it has died unseen."""
        old = self.alive.pop(tid, None)
        if old is not None:
            self.on_reuse(old, line)
            old.on_cpu, old.sent = False, None

    def _rename(self, line: Line) -> None:
        """A thread that executes a program takes over its process's tid; the other threads are gone."""
        found = fields.execution(line)
        if found is None:
            self.on_unreadable(line)
            return
        if found[0] == found[1] or found[1] not in self.alive:
            return
        self._retire(found[0], line)
        life = self.alive.pop(found[1])
        life.tid = found[0]
        self.alive[life.tid] = life

    def _depends(self, line: Line, printed_for: Life | None) -> bool:
        """Whether a wake-up is the work of the task it is printed for, rather than of an interrupt that hit it."""
        if printed_for is None or printed_for.asleep is not None:
            return False
        if line.flags:
            return not any(mark in line.flags[:4] for mark in "hHzZ")
        # Without flags: a task is in the kernel in a call or a fault, and perhaps if it never shows any.
        in_kernel = printed_for.inside or printed_for.faulted or not printed_for.traced
        return in_kernel and line.cpu not in self.interrupted
