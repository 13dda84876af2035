"""One CPU as a SimPy process: it takes the steps of whatever runs on it and lets their time pass.

An effect happens when its step begins; then the step's cycles pass, charged to one cause.  Interrupts are recognised
between steps, and inside the steps that last: computing, spinning, waiting for a lock, halt.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from simpy import Interrupt
from simpy.events import Event

from sim.causes import LOCK_WAIT
from sim.errors import ModelError
from sim.hardware.apic import Apic
from sim.hardware.cpu import VECTOR_TIMER
from sim.hardware.lock import Mutex
from sim.hardware.steps import Op, Step, conditions
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp
from sim.kernel.traps import interrupt
from sim.timed.clock import FIRST_CPU_PRIORITY
from sim.timed.core import Core
from sim.timed.interconnect import Interconnect
from sim.timed.lock_statistics import LockStatistics
from sim.timed.meter import Meter
from sim.timed.quick_steps import QuickSteps


class CpuProcess:
    """Runs one CPU.

    Attributes:
        apic: its interrupts that are pending, and what the CPU lets through.
        waiting: what the ledger charges if the run ends now.
        pause: the event that it waits for while a step's cycles pass.
        spinning: the step in which it waits for another CPU, if it does.
        idle_exit, idle_exits: cycles to leave the idle state, for the clock alone and each time for anything else.
        before_post: called with the CPU's index before an interrupt arrives.
        accepted, returned: called when an interrupt is taken in an LWP's context, and when its handler has ended.
    """

    def __init__(
        self, core: Core, meter: Meter, quick: QuickSteps, kernel: Kernel, interconnect: Interconnect,
        locks: LockStatistics, idle_exit: int, idle_exits: Iterator[int],
    ) -> None:  # fmt: skip
        self.core = core
        self.cpu = core.cpu
        self.index = core.index
        self.meter = meter
        self.env = meter.clock
        self.quick = quick
        self.kernel = kernel
        self.interconnect = interconnect
        self.locks = locks
        self.idle_exit = idle_exit
        self.idle_exits = idle_exits
        self.apic = Apic(core.cpu)
        self.priority = FIRST_CPU_PRIORITY + core.index
        self.pause = self.env.pause()
        self.waiting = "idle"
        self.spinning: Step | None = None
        self.halted = False
        self.interruptible = False
        self.granted: Event | None = None
        self.process: Any = None
        self.before_post: Callable[[int], None] = lambda index: None
        self.accepted: Callable[[Lwp, int], None] = lambda lwp, vector: None
        self.returned: Callable[[Lwp], None] = lambda lwp: None
        lasting = {Op.WORK: self._work, Op.USER: self._work, Op.ACQUIRE: self._acquire, Op.WAIT: self._wait,
                   Op.HALT: self._halt, Op.MWAIT: self._mwait}  # fmt: skip
        self.lasting: list[Any] = [lasting.get(op) for op in Op]

    # --- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> Generator[Event, Any, None]:
        """The SimPy process."""
        core, quick, lasting, env, pending = self.core, self.quick.handlers, self.lasting, self.env, self.apic.pending
        fast, queue, again, priority = env.fast, env.waiting(), env.again, self.priority
        step: Step | None = None
        while True:
            if pending:
                step = self._deliver(step)
            if step is None:
                try:
                    step = core.lwp.frames[-1].send(core.value)
                    core.value = None
                    core.slow += 1
                except StopIteration:
                    step = self._take_up()
                    if step is None:
                        continue
            cycles = quick[step[0]](step)
            if cycles < 0:
                step = yield from lasting[step[0]](step)
                continue
            step = None
            if cycles:
                target = env._now + cycles
                if fast and (not queue or queue[0][0] > target):  # as env.jump does, without a call
                    env._now = target
                else:
                    yield again(self.pause, cycles, priority)

    def _take_up(self) -> Step | None:
        """An interrupt's flow of control has ended: take up what it interrupted."""
        lwp = self.core.lwp
        lwp.frames.pop()
        if not lwp.frames:
            raise ModelError(f"{lwp.l_name}: its flow of control ended on cpu{self.index}") from None
        interrupted: Step | None
        self.core.value, interrupted, vector = lwp.saved.pop()
        self.apic.returned(vector)
        self.returned(lwp)
        return interrupted

    def _deliver(self, step: Step | None) -> Step | None:
        """Push the handler of a deliverable interrupt; *step* (if any) is continued after it."""
        vector = self.apic.deliverable()
        if vector is None:
            return step
        payload = self.apic.accept(vector)
        lwp = self.core.lwp
        lwp.saved.append((self.core.value, step, vector))
        self.core.value = None
        lwp.frames.append(interrupt(self.kernel, lwp, vector, payload))
        self.accepted(lwp, vector)
        return None

    def post(self, vector: int, payload: tuple[object, ...] = ()) -> None:
        """An interrupt arrives; if the CPU is in a lasting step it could interrupt, that step is cut short."""
        self.before_post(self.index)
        self.apic.post(vector, payload)
        if self.interruptible and (self.halted or self.apic.deliverable() is not None):
            self.interruptible = False
            self.process.interrupt()

    # --- steps that last --------------------------------------------------------------------------------------------

    def _work(self, step: Step) -> Generator[Event, Any, Step | None]:
        """Computing: passes at once if nothing can happen, else until done or interrupted."""
        env = self.env
        cycles: int = step[2]
        start = env.cycle
        cause = self.waiting = step[1].cause
        if env.jump(cycles):
            self.meter.charge(cause, cycles, start)
            return None
        event = env.again(self.pause, cycles, self.priority)
        done = not self.apic.pending or self.apic.deliverable() is None
        if done:  # as in _pass, without a generator of its own
            self.interruptible = True
            try:
                yield event
            except Interrupt:
                done = False
            self.interruptible = False
        if not done:  # that event is still to come
            self.pause = env.pause()
        spent = env.cycle - start
        self.meter.charge(cause, spent, start)
        left = cycles - spent
        if done or left <= 0:
            return None
        return (step[0], step[1], left)

    def _pass(self, event: Event, cause: str) -> Generator[Event, Any, bool]:
        """Wait for *event*; false if an interrupt came first."""
        self.waiting = cause
        if self.apic.pending and self.apic.deliverable() is not None:
            return False
        self.interruptible = True
        try:
            yield event
        except Interrupt:
            return False
        finally:
            self.interruptible = False
        return True

    def _spin(self, step: Step, event: Event, cause: str) -> Generator[Event, Any, bool]:
        """The same while another CPU is waited for."""
        self.spinning = step
        try:
            return (yield from self._pass(event, cause))
        finally:
            self.spinning = None

    def _acquire(self, step: Step) -> Generator[Event, Any, Step | None]:
        """Take a mutex, spinning while another CPU holds it."""
        mutex: Mutex = step[2]
        if mutex.owner is not None:
            if mutex.owner is self.cpu:
                raise ModelError(f"cpu{self.index}: {step[1]}: {mutex.name} taken while held (locking against myself)")
            start = self.env.cycle
            cause = LOCK_WAIT.get(mutex.lock_class, "lock wait")
            self.granted = self.env.event()
            mutex.waiters.append(self)
            got = yield from self._spin(step, self.granted, cause)
            waited = self.env.cycle - start
            self.meter.charge(cause, waited, start)
            self.meter.hooks.count(self.core.ci, f"{mutex.lock_class} contended")
            if not got and mutex.owner is not self.cpu:
                mutex.waiters.remove(self)
                return step
            self.locks.waited(mutex, waited)
        else:
            mutex.owner = self.cpu
        mutex.since = self.env.cycle
        cycles = self.meter.pay(step, self.meter.costs["locked_rmw"], self.meter.line(mutex.word, 0, write=True))
        if not self.env.jump(cycles):
            yield self.env.again(self.pause, cycles, self.priority)
        return None

    def _wait(self, step: Step) -> Generator[Event, Any, Step | None]:
        """Spin until a word's value satisfies its predicate."""
        polled = conditions(step)
        ended_by = [(words, index) for words, index, holds in polled if holds(words.v[index])]
        if not ended_by:
            start = self.env.cycle
            self.granted = self.env.event()
            for condition in polled:
                self.interconnect.watch(*condition, self)
            cause = step[1].cause
            yield from self._spin(step, self.granted, cause)
            self.meter.charge(cause, self.env.cycle - start, start)
            for condition in polled:
                self.interconnect.unwatch(condition[0], self)
            return step
        self.core.value = step[2].v[step[3]]
        cycles = self.meter.pay(step, self.meter.costs["load"], self.meter.line(*ended_by[0], write=False))
        if not self.env.jump(cycles):
            yield self.env.again(self.pause, cycles, self.priority)
        return None

    def _halt(self, step: Step) -> Generator[Event, Any, Step | None]:
        """Interrupts on, and nothing until one comes; then the time it takes to leave the idle state."""
        self.cpu.intr = True
        yield from self._idle(self.env.event())
        return None

    def _mwait(self, step: Step) -> Generator[Event, Any, Step | None]:
        """The same, and a store to the monitored line ends the wait too, once the line has come over."""
        words, index = step[2], step[3]
        self.granted = self.env.event()
        if words.v[index]:
            self.granted.succeed()
        else:
            self.interconnect.watch(words, index, bool, self)
        yield from self._idle(self.granted)
        self.interconnect.unwatch(words, self)
        return None

    def _idle(self, woken: Event) -> Generator[Event, Any, None]:
        """Wait for an interrupt, or to be *woken*; then leave the idle state."""
        self.halted = True
        if not self.apic.pending:
            yield from self._pass(woken, "idle")
        self.halted = False
        start = self.meter.account.until  # where the halt began, or as much later as a doze has passed over
        self.meter.charge("idle", self.env.cycle - start, start)
        cycles = self.idle_exit if tuple(self.apic.pending) == (VECTOR_TIMER,) else next(self.idle_exits)
        self.meter.charge("idle", cycles, self.env.cycle)
        if not self.env.jump(cycles):
            yield self.env.again(self.pause, cycles, self.priority)
