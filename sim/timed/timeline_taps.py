"""Where a timeline listens: between the kernel and the recorder, on a CPU's account, steps and interrupts, at locks."""

from __future__ import annotations

from collections.abc import Callable

from sim.hardware.cpu import VECTOR_DEVICE, VECTOR_NMI, VECTOR_RESCHED, VECTOR_TIMER, VECTOR_TLB
from sim.hardware.lock import Mutex
from sim.hardware.steps import Op, Step
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.hooks import Hooks
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp
from sim.kernel.pmap import Pmap
from sim.kernel.program import Call, Mark, Who
from sim.kernel.shootdown import Packet
from sim.timed.clock import Clock
from sim.timed.core import Core
from sim.timed.cpu_process import CpuProcess
from sim.timed.meter import Charges
from sim.timed.quick_steps import Handler
from sim.timed.timeline import Timeline

VECTOR_NAMES = {
    VECTOR_NMI: "NMI",
    VECTOR_DEVICE: "device",
    VECTOR_RESCHED: "reschedule",
    VECTOR_TIMER: "timer",
    VECTOR_TLB: "TLB shootdown",
}


class TimelineHooks(Hooks):
    """Hooks that feed a timeline and pass everything on to *inner*."""

    def __init__(self, inner: Hooks, timeline: Timeline, clock: Clock) -> None:
        self.inner = inner
        self.timeline = timeline
        self.clock = clock
        self._misses: dict[int, tuple[int, int]] = {}

    def count(self, ci: CpuInfo, name: str, n: int = 1) -> None:
        self.inner.count(ci, name, n)
        if not name.startswith("page walks"):
            return
        cpu, now = ci.ci_index, self.clock.cycle
        total, shown = self._misses.get(cpu, (0, -self.timeline.sample))
        if now - shown >= self.timeline.sample:
            self.timeline.event(now, cpu, "tlb_misses", "TLB misses", total + 1)  # the first of the n
            shown = now
        self._misses[cpu] = (total + n, shown)

    def lwp_runnable(self, ci: CpuInfo, lwp: Lwp) -> None:
        self.inner.lwp_runnable(ci, lwp)
        self._queue(ci)

    def switch_begin(self, ci: CpuInfo, old: Lwp, new: Lwp) -> None:
        self.inner.switch_begin(ci, old, new)
        self._queue(ci)

    def _queue(self, ci: CpuInfo) -> None:
        self.timeline.event(self.clock.cycle, ci.ci_index, "runqueue", "queued LWPs", ci.ci_runqueue.count)

    def shootdown_end(self, ci: CpuInfo) -> None:
        self.inner.shootdown_end(ci)
        flow = self.timeline.shootdown_flow.pop(ci.ci_index, 0)
        if flow:
            self.timeline.event(self.clock.cycle, ci.ci_index, "interrupt", "all acknowledged", 0, flow)

    # What a timeline does not show is passed on only.

    def deduct(self, lwp: Lwp, cycles: int) -> int:
        return self.inner.deduct(lwp, cycles)

    def handler_begins(self, cycles: int) -> None:
        self.inner.handler_begins(cycles)

    def mark(self, lwp: Lwp, mark: Mark) -> None:
        self.inner.mark(lwp, mark)

    def call_begin(self, lwp: Lwp, call: Call) -> None:
        self.inner.call_begin(lwp, call)

    def call_end(self, lwp: Lwp) -> None:
        self.inner.call_end(lwp)

    def renamed(self, lwp: Lwp, who: Who) -> None:
        self.inner.renamed(lwp, who)

    def lwp_created(self, lwp: Lwp) -> None:
        self.inner.lwp_created(lwp)

    def lwp_exited(self, lwp: Lwp) -> None:
        self.inner.lwp_exited(lwp)

    def shootdown_begin(self, ci: CpuInfo, packet: Packet) -> None:
        self.inner.shootdown_begin(ci, packet)

    def shootdown_sent(self, ci: CpuInfo, targets: int, broadcast: bool, generation: int) -> None:
        self.inner.shootdown_sent(ci, targets, broadcast, generation)

    def shootdown_intr_begin(self, ci: CpuInfo) -> None:
        self.inner.shootdown_intr_begin(ci)

    def shootdown_intr_end(self, ci: CpuInfo) -> None:
        self.inner.shootdown_intr_end(ci)

    def switch_end(self, ci: CpuInfo, new: Lwp) -> None:
        self.inner.switch_end(ci, new)

    def page_freed(self, ci: CpuInfo, pa: int) -> None:
        self.inner.page_freed(ci, pa)

    def pmap_destroyed(self, pmap: Pmap) -> None:
        self.inner.pmap_destroyed(pmap)

    def resident_entered(self, lwp: Lwp, va: int) -> None:
        self.inner.resident_entered(lwp, va)


class TimelineAccount:
    """An account whose charges show the CPU's mode."""

    def __init__(self, inner: Charges, timeline: Timeline, core: Core) -> None:
        self.inner = inner
        self.timeline = timeline
        self.core = core

    @property
    def until(self) -> int:
        """When the last charge ended, cycles."""
        return self.inner.until

    def charge(self, cause: str, start: int, cycles: int) -> None:
        """Charge, and show the mode from *start* on."""
        self.inner.charge(cause, start, cycles)
        mode = "idle" if cause == "idle" else "user" if self.core.cpu.user else "kernel"
        self.timeline.state(start, self.core.index, "mode", mode)


class CpuTap:
    """Shows LWPs, page tables, IPIs and handlers of one CPU."""

    def __init__(self, process: CpuProcess, timeline: Timeline, ncpus: int) -> None:
        self.core = process.core
        self.clock = process.env
        self.kernel = process.kernel
        self.timeline = timeline
        self.ncpus = ncpus
        process.accepted, process.returned = self._accepted, self._handler_ends
        handlers = process.quick.handlers
        for op, before in ((Op.SWITCH, self._switch), (Op.CR3, self._cr3), (Op.IPI, self._ipi)):
            handlers[op] = _after(before, handlers[op])

    def _switch(self, step: Step) -> None:
        lwp = self.core.lwp
        while self.timeline.handlers.get(lwp.number):
            self._handler_ends(lwp)
        self.timeline.state(self.clock.cycle, self.core.index, "lwp", step[2].l_name)

    def _cr3(self, step: Step) -> None:
        self.timeline.state(self.clock.cycle, self.core.index, "cr3", table_name(self.kernel, step[2]))

    def _ipi(self, step: Step) -> None:
        line, now, cpu = self.timeline, self.clock.cycle, self.core.index
        _, _, vector, targets = step[:4]
        flow = line.new_flow()
        line.event(now, cpu, "interrupt", f"send {VECTOR_NAMES[vector]} IPI", 0, flow)
        if vector == VECTOR_TLB:
            line.shootdown_flow[cpu] = flow
        for target in range(self.ncpus):
            if targets >> target & 1:
                line.in_flight.setdefault((target, vector), flow)

    def _accepted(self, lwp: Lwp, vector: int) -> None:
        flow = self.timeline.in_flight.pop((self.core.index, vector), 0)
        self.timeline.handlers.setdefault(lwp.number, []).append((self.clock.cycle, VECTOR_NAMES[vector], flow))

    def _handler_ends(self, lwp: Lwp) -> None:
        """The innermost handler in the LWP's context is over, or the LWP leaves the CPU on its way out of it."""
        handlers = self.timeline.handlers.get(lwp.number)
        if handlers:
            begin, name, flow = handlers.pop()
            self.timeline.stretch(begin, self.clock.cycle, self.core.index, "interrupt", name, 0, flow)


def _after(before: Callable[[Step], None], handler: Handler | None) -> Handler:
    """The handler of a step, with something done before it."""
    assert handler is not None

    def both(step: Step) -> int:
        before(step)
        return handler(step)

    return both


def show_locks(timeline: Timeline, clock: Clock) -> Callable[[int, Mutex, int, int], None]:
    """What listens to the releases of locks: their waits and holdings become stretches."""

    def released(cpu: int, mutex: Mutex, wait: int, hold: int) -> None:
        now = clock.cycle
        if wait:
            timeline.stretch(now - hold - wait, now - hold, cpu, "lock", f"wait {mutex.name}")
        timeline.stretch(now - hold, now, cpu, "lock", mutex.name)

    return released


def table_name(kernel: Kernel, pa: int) -> str:
    """What a physical address in CR3 is the L4 page of."""
    for ci in kernel.cpus:
        if ci.ci_svs_updirpa == pa and pa:
            return f"user tables of CPU {ci.ci_index}"
    for pmap in kernel.pmaps.values():
        if pmap.pm_pdirpa == pa:
            return f"pmap {pmap.name}"
    return f"user tables at {pa:#x}"
