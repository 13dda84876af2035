"""The timed machine: hardware, kernel and SimPy processes of one run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from simpy.events import Event

from sim.errors import ModelError
from sim.hardware.cpu import VECTOR_DEVICE, VECTOR_TIMER, Cpu
from sim.hardware.paging import Geometry, PhysMem
from sim.hardware.topology import Topology
from sim.kernel import process, program
from sim.kernel.boot import enter_pages, first_process, make_runnable, start_xcall_threads
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.designs.base import Design
from sim.kernel.hooks import Hooks
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import LSSLEEP, Lwp, Process
from sim.kernel.program import Who, Workload
from sim.timed.clock import Clock
from sim.timed.core import Core
from sim.timed.costs import HZ, CostTable
from sim.timed.cpu_process import CpuProcess
from sim.timed.debts import Payments
from sim.timed.descriptors import descriptor_reads
from sim.timed.doze import Doze
from sim.timed.interconnect import Interconnect
from sim.timed.ledger import Account, Ledger
from sim.timed.meter import Charges, Meter
from sim.timed.part import PartRecorder
from sim.timed.parts import Parts
from sim.timed.passages.aside import Aside
from sim.timed.passages.counting import Counting, uncounted
from sim.timed.passages.player import Player, lasting
from sim.timed.phases import Phases
from sim.timed.quick_account import QuickAccount
from sim.timed.quick_steps import QuickSteps
from sim.timed.recorder import Frame, Recorder, frame
from sim.timed.short_steps import shorten
from sim.timed.sleep_timers import SleepTimers
from sim.timed.slot_copies import copier
from sim.timed.tallies import IDLE
from sim.timed.timeline import Timeline
from sim.timed.timeline_taps import CpuTap, TimelineAccount, TimelineHooks, show_locks
from sim.timed.watchdog import Watchdog

PSTATS_TICKS = HZ  # sched_pstats once a second
WINDOW_TICKS = 1  # ledger windows of 10 ms


class TimedMachine:
    """Everything of one run; :meth:`run` runs it to the end.

    Attributes:
        outstanding: LWPs that are to start later.
        on_tick: called at each tick of CPU 0 with the time.
        timeline: of the stretch *window*, [start, end) cycles; None without one.
    """

    def __init__(
        self,
        workload: Workload,
        design: Design,
        costs: CostTable,
        cpus: int,
        deductions: Payments,
        *,
        fast: bool,
        window: tuple[int, int] | None = None,
    ) -> None:
        self.workload = workload
        self.costs = costs
        self.env = Clock(fast=fast)
        self.topology = Topology(cpus, costs.topology)
        self.mem = PhysMem(Geometry())
        self.tick = costs.frequency_hz // HZ
        since = 0 if workload.part is None else workload.part.since
        self.phases = Phases(workload.draw, workload.seed, cpus, self.tick, since)
        self.cost_by_name = _costs(costs, workload)
        self.interconnect = Interconnect(self.env, self._by_distance("line"), self._by_distance("ipi_latency"))
        self.aside = Aside(self.env, self.interconnect, busy=workload.part is not None)
        self.kernel = self._kernel(design)
        make = QuickAccount if fast and window is None else Account  # a timeline has to see every charge
        self.accounts: list[Ledger] = [make(i, self.tick * WINDOW_TICKS) for i in range(cpus)]
        self.recorder = self._recorder(deductions)
        self.timeline = None if window is None else Timeline(*window, costs.frequency_hz)
        self.timers = SleepTimers(self.env, self._wake)
        self.recorder.on_create, self.recorder.on_exit = self.timers.add, self._lwp_exited
        self.kernel.hooks = hooks = self._hooks()
        self.cpus = [self._cpu(ci, hooks) for ci in self.kernel.cpus]
        self.interconnect.ports += self.cpus
        self.doze = self._doze(skips=fast and window is None)
        self.outstanding = 0
        self.watchdog = Watchdog(self.kernel, self.cpus, self.accounts, self.recorder, self._awaits_timer,
                                 tick=self.tick, frequency_hz=costs.frequency_hz)  # fmt: skip
        self.done = self.env.event()
        self.blocked_at_end = 0
        self.on_tick: Callable[[int], None] = lambda now: None

    def _recorder(self, deductions: Payments) -> Recorder:
        """What writes down everything, or only what lies in the workload's part."""
        self._counting: dict[int, Counting] = {}
        given = (self.env.now_function(), self.accounts, self.tick * WINDOW_TICKS, deductions)
        part = self.workload.part
        return Recorder(*given) if part is None else PartRecorder(*given, part)

    def _kernel(self, design: Design) -> Kernel:
        """The kernel on its CPUs, with the working set that the workload gives it."""
        geometry, workload = self.mem.geometry, self.workload
        hardware: list[Cpu[Any]] = [Cpu(i, self.costs.make_tlb(geometry), geometry) for i in range(self.topology.cpus)]
        kernel = Kernel(hardware, self.mem, geometry, design, self.topology, mwait=self.costs.mwait)
        if workload.kernel_pages or workload.direct_map or workload.text_pages > 1:
            kernel.set_working_set(workload.kernel_pages, direct=workload.direct_map, text=workload.text_pages)
        return kernel

    def _by_distance(self, what: str) -> list[list[int]]:
        """Cycles of what happens from one CPU to another."""
        costs, distance, cpus = self.cost_by_name, self.topology.distance, range(self.topology.cpus)
        return [[costs[f"{what}_{distance(a, b)}"] for b in cpus] for a in cpus]

    def _doze(self, *, skips: bool) -> Doze:
        """Who watches for long idleness; *skips*: whether seconds that repeat are passed over."""
        return Doze(self.env, self.kernel, self.cpus, self.accounts, self.recorder, period=PSTATS_TICKS * self.tick,
                    ticks=PSTATS_TICKS, skips=skips)  # fmt: skip

    def _hooks(self) -> Hooks:
        """What the kernel and the CPUs report to."""
        if self.timeline is None:
            return self.recorder
        self.recorder.locks.listener = show_locks(self.timeline, self.env)
        return TimelineHooks(self.recorder, self.timeline, self.env)

    def _cpu(self, ci: CpuInfo, hooks: Hooks) -> CpuProcess:
        """Put a CPU together, with a tap where a timeline is kept."""
        core = Core(ci)
        ci.ci_idlelwp.who = Who(IDLE, tid=ci.ci_index, chosen=False)
        self.recorder.idle_lwp(ci.ci_idlelwp)
        own = self.accounts[core.index]
        account: Charges = own if self.timeline is None else TimelineAccount(own, self.timeline, core)
        transfer = self.interconnect.line_cost[core.index]
        meter = Meter(core, self.env, account, self.recorder.debts, hooks, self.cost_by_name, transfer)
        locks = self.recorder.locks
        caches = core.cpu.caches = self.costs.make_caches()
        descriptors = {} if self.costs.no_descriptors else descriptor_reads(self.kernel.layout, core.index)
        quick = QuickSteps(core, meter, self.mem, self.interconnect, locks, self.timers, self.recorder.tallies,
                           caches, descriptors)  # fmt: skip
        idle_exit = self.cost_by_name["hlt_wakeup"] if self.workload.idle_exit is None else self.workload.idle_exit
        idle_exits = self.phases.idle_exits(core.index, idle_exit, self.workload.idle_exits)
        cpu = CpuProcess(core, meter, quick, self.kernel, self.interconnect, locks, idle_exit, idle_exits)
        if isinstance(own, QuickAccount):
            self._shorten(Parts(quick, core, self.env, own, self.recorder.debts, self.mem), cpu)
        if self.timeline is not None:
            CpuTap(cpu, self.timeline, len(self.kernel.cpus))
        return cpu

    def _shorten(self, parts: Parts, cpu: CpuProcess) -> None:
        """Give a CPU the short ways of the fast engine."""
        shorten(parts)
        count = partial(self.recorder.count, cpu.core.ci, "cache-line transfers")
        player = self.recorder.players[cpu.index] = Player(parts, self.kernel, cpu.apic.pending, self.recorder,
                                                             self.aside)  # fmt: skip
        cpu.lasting += [*lasting(cpu.lasting), partial(self.aside.wait, cpu)]
        cpu.before_post = self.aside.call
        self._counting[cpu.index] = player.counting
        self.recorder.uncounted = partial(uncounted, self._counting)
        self.recorder.copiers[cpu.index] = copier(parts, cpu.apic.pending, count)

    def _awaits_timer(self) -> bool:
        """Whether a timer will wake an LWP or start one."""
        return bool(self.outstanding or self.timers.armed)

    # --- processes --------------------------------------------------------------------------------------------------

    def _wake(self, lwp: Lwp) -> None:
        """A sleep timer has run down: the interrupt that wakes its LWP."""
        self.cpus[lwp.l_cpu.ci_index].post(VECTOR_DEVICE, (("wake", f"timer/{lwp.key}"),))

    def _clock(self, cpu: CpuProcess) -> Generator[Event, Any, None]:
        """The local APIC timer of one CPU at HZ."""
        yield self.env.beat(self.phases.first_tick(cpu.index))
        while True:
            if cpu.index == 0:
                self.aside.call_all()
                self.on_tick(self.env.cycle)
                if self.watchdog.blocked(self.env.cycle) and not self.done.triggered:
                    self.blocked_at_end = self.recorder.live
                    self.done.succeed()
                self.doze.tick()
            cpu.post(VECTOR_TIMER, ())
            yield self.env.beat(self.tick)

    def _scheduler(self) -> Generator[Event, Any, None]:
        """The scheduler's periodic part, as a callout on CPU 0."""
        yield self.env.beat(self.phases.first_beat(PSTATS_TICKS * self.tick))
        while True:
            self.cpus[0].post(VECTOR_DEVICE, (("pstats",),))
            yield self.env.beat(PSTATS_TICKS * self.tick)

    def _devices(self) -> Generator[Event, Any, None]:
        """Device interrupts of the workload at their times."""
        for item in self.workload.interrupts:
            if item.at > self.env.cycle:
                yield self.env.after(item.at - self.env.cycle, 1)
            self.recorder.handler_begins(item.cycles)
            self.cpus[item.cpu % len(self.cpus)].post(VECTOR_DEVICE, (("work", item.cycles),))

    def _start_later(self, lwp: Lwp, at: int) -> Generator[Event, Any, None]:
        """An LWP that becomes runnable at a given time."""
        yield self.env.after(at, 1)
        make_runnable(lwp)
        self.outstanding -= 1
        self.cpus[lwp.l_cpu.ci_index].post(VECTOR_DEVICE, (("resched",),))

    def _lwp_exited(self, lwp: Lwp) -> None:
        """The run ends with the last LWP of the workload."""
        self.timers.remove(lwp)
        if not self.recorder.live:
            self._end()

    def _end(self) -> None:
        """Nothing that follows belongs to the run."""
        if not self.done.triggered:
            self.aside.call_all()
            self.done.succeed()

    # --- building and running ---------------------------------------------------------------------------------------

    def _populate(self) -> None:
        """Create the workload's first processes and LWPs, and the xcall threads."""
        kernel = self.kernel
        start_xcall_threads(kernel)
        processes: dict[str, Process] = {"kernel": kernel.kernel_proc}
        made: list[Lwp] = []
        for number, spec in enumerate(self.workload.lwps):
            group = "kernel" if spec.system else spec.group
            if group not in processes:
                processes[group] = first_process(kernel, group)
            ci = kernel.cpus[self.phases.first_cpu(number) if spec.cpu is None else spec.cpu % len(kernel.cpus)]
            lwp = process.new_lwp(kernel, spec, processes[group], ci, f"{number}:{spec.name}")
            made.append(lwp)
            if spec.asleep is not None:
                self.recorder.sleeps_at_start(lwp)
                self._put_to_sleep(lwp, spec.asleep)
            elif spec.start:
                self.outstanding += 1
                self.env.process(self._start_later(lwp, spec.start))
            else:
                make_runnable(lwp)

        if isinstance(self.recorder, PartRecorder):
            self._take_up(self.recorder, processes, made)

    def _take_up(self, recorder: PartRecorder, processes: dict[str, Process], lwps: list[Lwp]) -> None:
        """Begin in the middle of things, and stop where the part ends."""
        self.kernel.tokens.update(dict.fromkeys(recorder.part.tokens, 1))
        for group, pages in recorder.part.pages.items():
            enter_pages(self.kernel, processes[group], pages)
        recorder.time_begins([lwps[number] for number in recorder.part.late], self._end)

    def _put_to_sleep(self, lwp: Lwp, sleep: program.Block | program.Sleep) -> None:
        """Let an LWP be asleep from the start: it needs no CPU until it is woken."""
        if isinstance(sleep, program.Sleep):
            self.timers.arm(lwp, sleep.cycles)
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
            self.env.priorities[cpu.process] = cpu.priority
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
        self.aside.call_all()
        return self.env.cycle < cycle

    def frames(self) -> dict[str, Frame]:
        """The frames of a run that has ended."""
        frames = self.recorder.frames()
        if self.timeline is not None:
            frames["timeline"] = frame("timeline", self.timeline.finish(self.env.cycle))
        return frames


def _costs(table: CostTable, workload: Workload) -> dict[str, int]:
    """Cycles by name; a recording knows its own timer interrupt."""
    costs = table.cycles()
    if workload.timer_work is not None:
        costs["timer_work"] = workload.timer_work
    return costs
