"""The second pass: from events to the items of all tasks' programs."""

from __future__ import annotations

from collections.abc import Callable

from scenarios.recordings import fields
from scenarios.recordings.address_space import map_operation
from scenarios.recordings.interrupts import Interrupts
from scenarios.recordings.items import Items
from scenarios.recordings.learned import NEVER_WOKEN, SLEEP_BITS, WOKEN_BY_TASK, Survey
from scenarios.recordings.life import Kernel, Life, WokenBy
from scenarios.recordings.lines import NS, Line
from scenarios.recordings.linux import CLONE, CLONE3, CLONE_VM, IRQ_ENTRY, IRQ_EXIT, SYSCALLS, VFORK, fold, is_user
from scenarios.recordings.tasks import Space, Task, operation_item, wake_up
from scenarios.recordings.tracer import Tracer
from scenarios.recordings.who_runs import Lives
from sim.hardware.steps import Access
from sim.kernel import program

UNKNOWN_CALL = -2


class Replay(Lives):
    """Turns events into items of tasks; :meth:`advance` takes one event more.

    Attributes:
        tasks: those alive where the reader is, by serial.
        items: what their programs are made of.
    """

    def __init__(self, survey: Survey, frequency_hz: int, fault_ns: int, tracer: Tracer) -> None:
        super().__init__(survey.first, survey.whose)
        self.survey = survey
        self.hz = frequency_hz
        self.event_cycles = round(tracer.event_ns * frequency_hz / NS)
        self.scale = None if tracer.scale == 1 else tracer.scale
        self.fault_cycles = max(fault_ns * frequency_hz // NS - self.event_cycles, 0)
        self.lines = iter(survey.lines)
        self.assumptions: dict[str, int] = {}
        self.tasks: dict[int, Task] = {}
        self.items = Items()
        self.interrupts = Interrupts()
        self.outcomes = survey.sleeps.reader()
        self.foreign = survey.evidence.foreign
        self.finished = False
        self._handlers: dict[str, Callable[[Line, Task], None]] = {
            "sys_enter": self._enter,
            "sys_exit": self._leave,
            "page_fault_user": self._fault,
            "sched_process_exec": self._exec,
            "ipi_send_cpu": self._send,
            "page_fault_kernel": self._kernel_fault,
        }

    def count(self, what: str, n: int = 1) -> None:
        """Count the use of a rule."""
        self.assumptions[what] = self.assumptions.get(what, 0) + n

    def cycles(self, time: int) -> int:
        """Cycles since the recording began."""
        return (time - self.first) * self.hz // NS

    def add(self, life: Life, space: Space, *, system: bool) -> Task:
        """A task joins."""
        task = self.tasks[life.serial] = Task(life, space, self.items, system=system)
        return task

    def who(self, life: Life) -> program.Who:
        """Whose LWP a task is, by what is known of it now."""
        return program.Who(life.comm, life.tgid or life.tid, life.tid, self.whose.picks(life))

    def is_system(self, serial: int) -> bool:
        """Whether a task that joins now will turn out to be a kernel thread."""
        kernel = Kernel(self.outcomes.next(f"kernel/{serial}", Kernel.NO.value))
        return kernel is Kernel.YES or kernel is Kernel.IF_CALLS_SHOW and self.survey.calls_show

    def advance(self) -> None:
        """Take one more event, or end all tasks."""
        line = next(self.lines, None)
        if line is None:
            self.finished = True
            for left in self.tasks.values():
                self._stretch(left, self.survey.last)
                self._handle_fault(left, 0)
                self._left_over(left)
                left.end()
            return
        life = self.follow(line)
        name = line.name
        task = self.tasks.get(life.serial) if life is not None else None
        handler = self._handlers.get(name)
        if handler is not None:
            if task is not None:
                handler(line, task)
        elif name in IRQ_ENTRY or name in IRQ_EXIT:
            self._interrupt(line, life)
        elif task is not None and fields.is_enter(name):
            self._enter(line, task)
        elif task is not None and fields.is_exit(name):
            self._leave(line, task)
        if self.event_cycles:
            self._traced(line, life)

    def _traced(self, line: Line, life: Life | None) -> None:
        """The tracer's time for this line lies in the stretch that begins here: after a switch, the next task's."""
        if line.name == "sched_switch":
            life = self.running.get(line.cpu)
        task = self.tasks.get(life.serial) if life is not None else None
        if task is not None and not self.interrupts.inside(line.cpu):
            task.tracer += self.event_cycles

    # --- time -------------------------------------------------------------------------------------------------------

    def _stretch(self, task: Task, now: int) -> None:
        """End the stretch that the task has been computing in, and begin another."""
        life = task.life
        if not life.on_cpu:
            return
        first, hz = self.first, self.hz
        spent = (now - first) * hz // NS - (life.since - first) * hz // NS
        life.since = now
        task.seen = True
        if task.device:
            task.put(("i", "device", task.device))
            task.device = 0
        if task.tracer and spent > 0:
            taken = min(task.tracer, spent)
            task.tracer -= taken
            spent -= taken
            self.count("tracer_cycles", taken)
        if self.scale is not None and spent > 0 and self.whose.picks(life):
            spent = spent * self.scale.numerator // self.scale.denominator
        spent -= self._handle_fault(task, spent)
        if spent <= 0:
            return
        if task.name is None:
            task.put(("u", spent, () if task.system else task.space.touches(life.serial)))
        else:
            task.put(("w", spent))

    def _left_over(self, task: Task) -> None:
        """The task is over: what of the tracer's time no stretch of it had room for."""
        if task.tracer:
            self.count("tracer_cycles_left_in", task.tracer)

    def _handle_fault(self, task: Task, available: int) -> int:
        """Put the fault that the stretch began with, if any; return the cycles that its handler takes of them."""
        if task.pending_fault is None:
            return 0
        va, access = task.pending_fault
        task.pending_fault = None
        handler = min(available, self.fault_cycles)
        task.put(("f", va, int(access), max(handler, 1)))
        self.count("fault_time_estimated")
        return handler

    def _interrupt(self, line: Line, life: Life | None) -> None:
        """Interrupt time is not the task's; what the model makes itself is dropped, devices are kept."""
        task = self.tasks.get(life.serial) if life is not None else None
        own = task is None or task.system or task.name is not None
        over = self.interrupts.take(line, own_account=own)
        if over is None:
            return
        if over.dropped:
            self.count("interrupts_made_by_the_model")
        if task is None or life is None or not life.on_cpu:
            return
        if not over.kept or own:
            # In the kernel, a device's time stays part of the stretch.
            life.since = min(life.since + over.dropped, line.time)
            return
        if not over.tail:
            self._stretch(task, over.begun)
        task.device += self.cycles(line.time) - self.cycles(line.time - over.kept)
        life.since = line.time

    # --- system calls and faults ------------------------------------------------------------------------------------

    def _enter(self, line: Line, task: Task) -> None:
        found = fields.enter(line)
        if found is None:
            self.on_unreadable(line)
            return
        self._stretch(task, line.time)
        if task.name is not None:
            self.count("syscall_exit_missing")
            task.close()
        number = found.number
        if self.foreign and line.name == "sys_enter":
            task.open(f"syscall {number}", UNKNOWN_CALL, ())
            return
        task.open(SYSCALLS.get(number) or f"syscall {number}", number, found.args)
        if found.pages:
            task.space.point(task.life.serial, found.pages)

    def _leave(self, line: Line, task: Task) -> None:
        seen = task.seen
        self._stretch(task, line.time)
        if task.name is None:
            if seen:
                self.count("syscall_entry_missing")
            return
        value = fields.leave(line)
        if value is None:
            self.on_unreadable(line)
        elif value >= 0:
            moved = map_operation(task, value)
            if moved:
                self.count("addresses_moved", moved)
        task.close()

    def _fault(self, line: Line, task: Task) -> None:
        found = fields.fault(line)
        if found is None:
            self.on_unreadable(line)
            return
        address, code = found
        if not is_user(address):
            self.count("faults_outside_user_space")
            return
        self._stretch(task, line.time)
        access = Access.EXEC if code & 0x10 else Access.WRITE if code & 2 else Access.READ
        if task.name is not None:
            # The event is one of user mode only: the call was left before.
            self.count("syscall_exit_missing")
            task.close()
        task.pending_fault = (fold(address), access)
        task.space.fault(task.life.serial, address, access)
        if fold(address) != address:
            self.count("addresses_moved")

    def _kernel_fault(self, line: Line, task: Task) -> None:
        """The kernel touched a page that was not there; user pages that it copies to and from are counted."""
        found = fields.fault(line)
        if found is not None and is_user(found[0]):
            self.count("faults_inside_syscalls")

    def _exec(self, line: Line, task: Task) -> None:
        self._stretch(task, line.time)
        task.space.leave(task.life.serial)
        task.space = Space(resident=False)
        task.in_kernel("(exec)", ("exec", *self.who(task.life)))

    def _send(self, line: Line, task: Task) -> None:
        """An IPI that made the other CPU wake somebody: the wake-up is this task's doing."""
        if fields.ipi_target(line) is None:
            return
        serial, sleep = divmod(self.outcomes.next(f"ipi/{task.life.serial}", 0), 1 << SLEEP_BITS)
        if serial:
            self._stretch(task, line.time)
            task.in_kernel("(wake)", wake_up(serial, sleep))

    # --- hooks of the state machine ---------------------------------------------------------------------------------

    def on_first_sight(self, life: Life, line: Line, *, born: bool) -> None:
        # The survey has found it before; its task goes on with this pass's life.
        task = self.tasks.get(life.serial)
        if task is not None:
            life.tgid = task.life.tgid
            task.life = life

    def on_gap(self, now: int) -> None:
        self.interrupts.forget()
        for life in self.running.values():
            task = self.tasks.get(life.serial) if life is not None else None
            if task is not None:
                self._stretch(task, self.latest)

    def on_fork(self, parent: Life, child: Life, line: Line) -> None:
        maker = self.tasks[parent.serial]
        self._stretch(maker, line.time)
        system = self.is_system(child.serial)
        shares = system or self._shares(maker, child)
        space = maker.space if shares else Space(resident=maker.space.resident)
        if not shares:
            maker.space.read_only(0, 1 << 48)
        self.add(child, space, system=system)
        who = tuple(self.who(child))
        maker.in_kernel("(fork)", ("fork", child.serial, shares, who, system, space.resident))

    def _shares(self, maker: Task, child: Life) -> bool:
        """Whether a new task shares its maker's address space."""
        if maker.system:
            return False
        if self.outcomes.next(f"thread/{child.serial}", 0):
            return True
        if maker.name is None:
            self.count("fork_kind_unknown")
            return False
        return maker.nr in (VFORK, CLONE3) or maker.nr == CLONE and bool(maker.args and maker.args[0] & CLONE_VM)

    def on_reuse(self, life: Life, line: Line) -> None:
        self.count("pid_reused")
        self.on_death(life, line)

    def on_death(self, life: Life, line: Line) -> None:
        task = self.tasks.pop(life.serial, None)
        if task is not None:
            self._exits(task)

    def _exits(self, task: Task) -> None:
        """The task's program ends with exit."""
        self._handle_fault(task, 0)
        self._left_over(task)
        task.in_kernel("(exit)", ("x",))
        task.space.leave(task.life.serial)
        task.end()

    def on_lost_switch(self, life: Life, line: Line) -> None:
        self.count("switches_missing")

    def on_unreadable(self, line: Line) -> None:
        self.count("unreadable_fields")

    def on_switch(self, prev: Life | None, following: Life | None, line: Line) -> None:
        task = self.tasks.get(prev.serial) if prev is not None else None
        if task is not None:
            self._stretch(task, line.time)

    def on_sleep(self, life: Life) -> None:
        task = self.tasks.get(life.serial)
        if task is not None:
            self.sleep(task)

    def sleep(self, task: Task) -> None:
        """The task sleeps; if nothing ever wakes it, it exits."""
        sleep = self.sleep_of(task)
        if sleep is None:
            self._exits(task)
            self.count("asleep_at_the_end")
        else:
            task.in_kernel("(block)", operation_item(sleep))

    def sleep_of(self, task: Task) -> program.Block | program.Sleep | None:
        """How the task sleeps: on a channel if a task wakes it, for a time if something outside does; None: no end."""
        outcome = self.outcomes.next(f"sleep/{task.life.serial}", NEVER_WOKEN)
        if outcome == NEVER_WOKEN:
            return None
        if outcome == WOKEN_BY_TASK:
            return program.Block(task.channel)
        self.count("sleeps_ended_from_outside")
        return program.Sleep(max(outcome * self.hz // NS, 1))

    def on_wake(self, life: Life, waker: Life | None, line: Line, how: WokenBy) -> None:
        task = self.tasks.get(waker.serial) if waker is not None and how is WokenBy.TASK else None
        if task is not None:
            self._stretch(task, line.time)
            task.in_kernel("(wake)", wake_up(life.serial, life.sleeps))
