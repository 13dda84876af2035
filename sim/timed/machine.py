"""The timed machine: hardware, kernel and SimPy processes of one run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from sim.errors import ModelError
from sim.hardware.cpu import VECTOR_DEVICE, VECTOR_TIMER, Cpu
from sim.hardware.paging import Geometry, PhysMem
from sim.hardware.topology import Topology
from sim.kernel import process, program
from sim.kernel.disable import xcall_thread
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import LSRUN, LSSLEEP, PRI_KTHREAD, Lwp, Process
from sim.kernel.program import LwpSpec, Workload
from sim.timed.amounts import Amounts
from sim.timed.clock import Clock
from sim.timed.cpu_process import CpuProcess
from sim.timed.ledger import Account
from sim.timed.recorder import Recorder
from sim.timed.timeline import Timeline, TimelineCpu, TimelineRecorder

if TYPE_CHECKING:
    from sim.hardware.lock import Mutex
    from sim.hardware.memory import Words
    from sim.kernel.designs.base import Design
    from sim.timed.costs import CostTable

HZ = 100
PSTATS_TICKS = HZ  # sched_pstats once a second
WINDOW_TICKS = 1  # ledger windows of 10 ms

Watcher = tuple[int, Callable[[Any], bool], CpuProcess]


class TimedMachine:
    """Everything of one run; :meth:`run` runs it to the end."""

    def __init__(
        self,
        workload: Workload,
        design: Design,
        costs: CostTable,
        cpus: int,
        deductions: Amounts,
        *,
        fast: bool,
        window: tuple[int, int] | None = None,
    ) -> None:
        self.workload = workload
        self.costs = costs
        self.env = Clock(fast=fast)
        self.topology = Topology(cpus, costs.topology)
        geometry = Geometry()
        self.mem = PhysMem(geometry)
        self.tick = costs.frequency_hz // HZ
        self.cost_by_name = costs.cycles()
        if workload.timer_work is not None:
            self.cost_by_name["timer_work"] = workload.timer_work
        self.idle_exit = workload.idle_exit if workload.idle_exit is not None else self.cost_by_name["hlt_wakeup"]
        self.line_cost = [
            [self.cost_by_name[f"line_{self.topology.distance(a, b)}"] for b in range(cpus)] for a in range(cpus)
        ]
        self.ipi_cost = [
            [self.cost_by_name[f"ipi_latency_{self.topology.distance(a, b)}"] for b in range(cpus)] for a in range(cpus)
        ]
        hardware = [Cpu(i, costs.make_tlb(geometry), geometry) for i in range(cpus)]
        self.kernel = Kernel(hardware, self.mem, geometry, design, self.topology)
        if workload.kernel_pages:
            self.kernel.set_working_set(workload.kernel_pages)
        self.accounts = [Account(i, self.tick * WINDOW_TICKS) for i in range(cpus)]
        self.recorder = self._recorder(window, deductions)
        self.recorder.on_create = self.add_lwp
        self.recorder.on_exit = self._lwp_exited
        self.kernel.hooks = self.recorder
        self.watchers: dict[int, list[Watcher]] = {}
        self.lock_waits: dict[str, int] = {}
        self.timers: dict[str, Event] = {}
        self.outstanding = 0
        self.done = self.env.event()
        self.blocked_at_end = 0
        self.cpus = [(CpuProcess if window is None else TimelineCpu)(self, ci) for ci in self.kernel.cpus]
        self.on_tick: Callable[[int], None] = lambda now: None

    def _recorder(self, window: tuple[int, int] | None, deductions: Amounts) -> Recorder:
        """The recorder, with a timeline of *window* (cycles) if one is wanted."""
        make = Recorder if window is None else TimelineRecorder
        recorder = make(lambda: self.env.cycle, self.accounts, self.tick * WINDOW_TICKS, deductions)
        if isinstance(recorder, TimelineRecorder) and window is not None:
            recorder.attach(Timeline(*window, self.costs.frequency_hz))
        return recorder

    # --- services of CPU processes ----------------------------------------------------------------------------------

    def send_ipi(self, source: int, vector: int, targets: int) -> None:
        """IPIs fly for as long as the topology says, then are pended at each target."""
        for cpu in self.cpus:
            if targets >> cpu.index & 1:
                self.env.call_after(self.ipi_cost[source][cpu.index], lambda _, cpu=cpu: cpu.post(vector, ()))

    def grant(self, mutex: Mutex, source: int) -> None:
        """Hand a released mutex to its first waiter, who sees it when the line has come over."""
        waiter: CpuProcess = mutex.waiters.popleft()
        mutex.owner = waiter.cpu
        event = waiter.granted
        assert event is not None
        self.env.call_after(self.line_cost[waiter.index][source], lambda _: event.triggered or event.succeed())

    def watch(self, words: Words, index: int, predicate: Callable[[Any], bool], cpu: CpuProcess) -> None:
        """*cpu* spins on a word."""
        self.watchers.setdefault(id(words), []).append((index, predicate, cpu))

    def unwatch(self, words: Words, cpu: CpuProcess) -> None:
        """*cpu* no longer spins on it."""
        left = [w for w in self.watchers.get(id(words), []) if w[2] is not cpu]
        if left:
            self.watchers[id(words)] = left
        else:
            self.watchers.pop(id(words), None)

    def wake_watchers(self, words: Words, index: int, source: int) -> None:
        """A word was written: those whose predicate holds now see it when the line has come over."""
        for at, predicate, cpu in list(self.watchers[id(words)]):
            if at == index and predicate(words.v[index]):
                self.unwatch(words, cpu)
                event = cpu.granted
                assert event is not None
                delay = self.line_cost[cpu.index][source] if cpu.index != source else 0
                self.env.call_after(delay, lambda _, event=event: event.triggered or event.succeed())

    def arm_timer(self, lwp: Lwp, cycles: int) -> None:
        """Start the sleep timer of an LWP (its own SimPy process waits it out)."""
        self.outstanding += 1
        self.timers.pop(lwp.key).succeed(cycles)

    # --- processes --------------------------------------------------------------------------------------------------

    def add_lwp(self, lwp: Lwp) -> None:
        """Begin the SimPy process that is an LWP's life off the CPU: waiting for its timers."""
        self.timers[lwp.key] = self.env.event()
        self.env.process(self._lwp(lwp))

    def _lwp(self, lwp: Lwp) -> Generator[Event, Any, None]:
        """Wait out each sleep of the LWP, then raise the interrupt that wakes it."""
        while True:
            cycles = yield self.timers[lwp.key]
            if cycles is None:
                return
            self.timers[lwp.key] = self.env.event()
            yield self.env.after(cycles, 1)
            self.outstanding -= 1
            self.cpus[lwp.l_cpu.ci_index].post(VECTOR_DEVICE, (("wake", f"timer/{lwp.key}"),))

    def _clock(self, cpu: CpuProcess) -> Generator[Event, Any, None]:
        """The local APIC timer of one CPU at HZ, staggered over CPUs."""
        yield self.env.after((cpu.index + 1) * self.tick // len(self.cpus), 1)
        while True:
            if cpu.index == 0:
                self.on_tick(self.env.cycle)
                self._look_for_standstill()
            cpu.post(VECTOR_TIMER, ())
            yield self.env.after(self.tick, 1)

    def _scheduler(self) -> Generator[Event, Any, None]:
        """The scheduler's periodic part, as a callout on CPU 0."""
        while True:
            yield self.env.after(PSTATS_TICKS * self.tick, 1)
            self.cpus[0].post(VECTOR_DEVICE, (("pstats",),))

    def _devices(self) -> Generator[Event, Any, None]:
        """Device interrupts of the workload at their times."""
        for item in self.workload.interrupts:
            if item.at > self.env.cycle:
                yield self.env.after(item.at - self.env.cycle, 1)
            self.cpus[item.cpu % len(self.cpus)].post(VECTOR_DEVICE, (("work", item.cycles),))

    def _start_later(self, lwp: Lwp, at: int) -> Generator[Event, Any, None]:
        """An LWP that becomes runnable at a given time."""
        yield self.env.after(at, 1)
        self._enqueue_now(lwp)
        self.outstanding -= 1
        self.cpus[lwp.l_cpu.ci_index].post(VECTOR_DEVICE, (("resched",),))

    def _enqueue_now(self, lwp: Lwp) -> None:
        """Make an LWP runnable where its creator would have put it."""
        lwp.l_stat = LSRUN
        lwp.l_cpu.ci_runqueue.add(lwp)
        lwp.l_cpu.ci_want_resched.v[0] = 1

    def _look_for_standstill(self) -> None:
        """All CPUs halted, no timer armed, LWPs left: nobody will ever wake them."""
        if self.recorder.live and not self.outstanding and all(c.halted and not c.apic.pending for c in self.cpus):
            self.blocked_at_end = self.recorder.live
            if not self.done.triggered:
                self.done.succeed()

    def _lwp_exited(self, lwp: Lwp) -> None:
        """The run ends with the last LWP of the workload."""
        waiting = self.timers.pop(lwp.key, None)
        if waiting is not None and not waiting.triggered:
            waiting.succeed(None)
        if not self.recorder.live and not self.done.triggered:
            self.done.succeed()

    # --- building and running ---------------------------------------------------------------------------------------

    def _populate(self) -> None:
        """Create the workload's first processes and LWPs, and the xcall threads."""
        kernel = self.kernel
        for ci in kernel.cpus:
            spec = LwpSpec(f"xcall/{ci.ci_index}", iter(()), "kernel", system=True, priority=PRI_KTHREAD, bound=True)
            lwp = process.new_lwp(kernel, spec, kernel.kernel_proc, ci, spec.name)
            lwp.frames = [xcall_thread(kernel, lwp)]
            self._enqueue_now(lwp)
        processes: dict[str, Process] = {"kernel": kernel.kernel_proc}
        for number, spec in enumerate(self.workload.lwps):
            group = "kernel" if spec.system else spec.group
            if group not in processes:
                processes[group] = process.first_process(kernel, group)
            ci = kernel.cpus[(number if spec.cpu is None else spec.cpu) % len(kernel.cpus)]
            lwp = process.new_lwp(kernel, spec, processes[group], ci, f"{number}:{spec.name}")
            if spec.asleep is not None:
                self._put_to_sleep(lwp, spec.asleep)
            elif spec.start:
                self.outstanding += 1
                self.env.process(self._start_later(lwp, spec.start))
            else:
                self._enqueue_now(lwp)

    def _put_to_sleep(self, lwp: Lwp, sleep: program.Block | program.Sleep) -> None:
        """Let an LWP be asleep from the start: it needs no CPU until it is woken."""
        if isinstance(sleep, program.Sleep):
            self.arm_timer(lwp, sleep.cycles)
            lwp.channel = f"timer/{lwp.key}"
        else:
            lwp.channel = sleep.channel
        lwp.l_stat = LSSLEEP
        self.kernel.channels[lwp.channel] = lwp

    def _start(self) -> None:
        """Create everything that lives in the machine; nothing has happened yet."""
        self._populate()
        for cpu in self.cpus:
            cpu.process = self.env.process(cpu.run())
            self.env.process(self._clock(cpu))
        self.env.process(self._scheduler())
        self.env.process(self._devices())
        if not self.recorder.live:
            raise ModelError("the workload has no LWPs")

    def run(self) -> int:
        """Run to the end of the workload; return the elapsed cycles."""
        self._start()
        self.env.run(until=self.done)
        end = self.env.cycle
        for cpu, account in zip(self.cpus, self.accounts, strict=True):
            account.finish(end, cpu.waiting if cpu.interruptible else account.current)
        return end

    def run_until(self, cycle: int) -> bool:
        """Run to *cycle* instead, before anything else of that time; return whether the workload ended earlier."""
        self._start()
        self.env.run(until=self.env.any_of([self.done, self.env.after(cycle, 0)]))
        return self.env.cycle < cycle
