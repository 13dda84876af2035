"""What happens on every CPU in a short window, in full: modes, LWPs, CR3, locks, interrupts, counters.

Only runs with a window use these classes; others pay nothing for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.hardware.cpu import VECTOR_DEVICE, VECTOR_NMI, VECTOR_RESCHED, VECTOR_TIMER, VECTOR_TLB
from sim.timed.cpu_process import CpuProcess
from sim.timed.recorder import Recorder

if TYPE_CHECKING:
    from sim.hardware.lock import Mutex
    from sim.hardware.steps import Step
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp

VECTOR_NAMES = {
    VECTOR_NMI: "NMI",
    VECTOR_DEVICE: "device",
    VECTOR_RESCHED: "reschedule",
    VECTOR_TIMER: "timer",
    VECTOR_TLB: "TLB shootdown",
}
MISSES_US = 5  # how often the miss counter is sampled, in microseconds


class Timeline:
    """Rows of the ``timeline`` frame: stretches and events that touch [start, end) cycles, cut at its ends.

    Attributes:
        in_flight: the flow of the IPI on its way to, or pended at, a CPU, by CPU and vector.
        handlers: the interrupt handlers that run in an LWP's context, innermost last, by the LWP's number.
    """

    def __init__(self, start: int, end: int, frequency_hz: int) -> None:
        self.start = start
        self.end = end
        self.sample = MISSES_US * frequency_hz // 1_000_000
        self.rows: list[list[object]] = []
        self._open: dict[tuple[int, str], tuple[int, str]] = {}
        self._flows = 0
        self.in_flight: dict[tuple[int, int], int] = {}
        self.handlers: dict[int, list[tuple[int, str, int]]] = {}

    def stretch(self, begin: int, end: int, cpu: int, track: str, name: str, value: int = 0, flow: int = 0) -> None:
        """Something lasted from *begin* to *end*."""
        if begin < self.end and end > self.start:
            self.rows.append([max(begin, self.start), min(end, self.end), cpu, track, name, value, flow])

    def event(self, now: int, cpu: int, track: str, name: str, value: int = 0, flow: int = 0) -> None:
        """Something happened, or a counter has a new value."""
        if self.start <= now < self.end:
            self.rows.append([now, now, cpu, track, name, value, flow])

    def state(self, now: int, cpu: int, track: str, name: str) -> None:
        """From now on the track shows *name*; equal neighbours make one stretch."""
        begin, shown = self._open.get((cpu, track), (0, ""))
        if shown == name:
            return
        if shown:
            self.stretch(begin, now, cpu, track, shown)
        self._open[cpu, track] = (now, name)

    def new_flow(self) -> int:
        """A number that an IPI's sending, handler and acknowledgement share."""
        self._flows += 1
        return self._flows

    def finish(self, now: int) -> list[list[object]]:
        """Close what is open; return the rows in order of time, CPU and track."""
        for (cpu, track), (begin, name) in self._open.items():
            self.stretch(begin, now, cpu, track, name)
        self._open.clear()
        # Of stretches that begin together the longest comes first, so that the others nest in it.
        return sorted(self.rows, key=lambda r: (r[0], r[2], r[3], -int(str(r[1])), r[4]))


class TimelineRecorder(Recorder):
    """A recorder that also feeds a timeline."""

    timeline: Timeline
    flow_of: dict[int, int]  # the flow of each CPU's shootdown that is going on

    def attach(self, timeline: Timeline) -> None:
        """Begin."""
        self.timeline = timeline
        self.flow_of = {}
        self._misses: dict[int, tuple[int, int]] = {}

    def count(self, ci: CpuInfo, name: str, n: int = 1) -> None:
        super().count(ci, name, n)
        if not name.startswith("page walks"):
            return
        cpu, now = ci.ci_index, self.now()
        total, shown = self._misses.get(cpu, (0, -self.timeline.sample))
        if now - shown >= self.timeline.sample:
            self.timeline.event(now, cpu, "tlb_misses", "TLB misses", total + 1)  # the first of the n
            shown = now
        self._misses[cpu] = (total + n, shown)

    def lwp_runnable(self, ci: CpuInfo, lwp: Lwp) -> None:
        self._queue(ci)

    def switch_begin(self, ci: CpuInfo, old: Lwp, new: Lwp) -> None:
        super().switch_begin(ci, old, new)
        self._queue(ci)

    def timeline_rows(self) -> list[list[object]] | None:
        return self.timeline.finish(self.now())

    def _queue(self, ci: CpuInfo) -> None:
        self.timeline.event(self.now(), ci.ci_index, "runqueue", "queued LWPs", ci.ci_runqueue.count)

    def lock_released(self, cpu: int, mutex: Mutex, wait: int, hold: int) -> None:
        super().lock_released(cpu, mutex, wait, hold)
        now = self.now()
        if wait:
            self.timeline.stretch(now - hold - wait, now - hold, cpu, "lock", f"wait {mutex.name}")
        self.timeline.stretch(now - hold, now, cpu, "lock", mutex.name)

    def shootdown_end(self, ci: CpuInfo) -> None:
        super().shootdown_end(ci)
        flow = self.flow_of.pop(ci.ci_index, 0)
        if flow:
            self.timeline.event(self.now(), ci.ci_index, "interrupt", "all acknowledged", 0, flow)


class TimelineCpu(CpuProcess):
    """A CPU that also feeds a timeline."""

    @property
    def _line(self) -> Timeline:
        recorder = self.machine.recorder
        assert isinstance(recorder, TimelineRecorder)
        return recorder.timeline

    def charge(self, cause: str, cycles: int, start: int) -> None:
        super().charge(cause, cycles, start)
        mode = "idle" if cause == "idle" else "user" if self.cpu.user else "kernel"
        self._line.state(start, self.index, "mode", mode)

    def _switch(self, step: Step) -> int:
        while self._line.handlers.get(self.lwp.number):
            self._handler_ends(self.lwp)
        self._line.state(self.env.cycle, self.index, "lwp", step[2].l_name)
        return super()._switch(step)

    def _cr3(self, step: Step) -> int:
        name = table_name(self.machine.kernel, step[2])
        self._line.state(self.env.cycle, self.index, "cr3", name)
        return super()._cr3(step)

    def _ipi(self, step: Step) -> int:
        line = self._line
        _, _, vector, targets = step[:4]
        flow = line.new_flow()
        line.event(self.env.cycle, self.index, "interrupt", f"send {VECTOR_NAMES[vector]} IPI", 0, flow)
        recorder = self.machine.recorder
        if vector == VECTOR_TLB and isinstance(recorder, TimelineRecorder):
            recorder.flow_of[self.index] = flow
        for cpu in self.machine.cpus:
            if targets >> cpu.index & 1:
                line.in_flight.setdefault((cpu.index, vector), flow)
        return super()._ipi(step)

    def _deliver(self, step: Step | None) -> Step | None:
        before = set(self.apic.pending)
        step = super()._deliver(step)
        for vector in before - set(self.apic.pending):
            flow = self._line.in_flight.pop((self.index, vector), 0)
            self._line.handlers.setdefault(self.lwp.number, []).append((self.env.cycle, VECTOR_NAMES[vector], flow))
        return step

    def _take_up(self) -> Step | None:
        lwp = self.lwp
        step = super()._take_up()
        self._handler_ends(lwp)
        return step

    def _handler_ends(self, lwp: Lwp) -> None:
        """The innermost handler in the LWP's context is over, or the LWP leaves the CPU on its way out of it."""
        handlers = self._line.handlers.get(lwp.number)
        if handlers:
            begin, name, flow = handlers.pop()
            self._line.stretch(begin, self.env.cycle, self.index, "interrupt", name, 0, flow)


def table_name(kernel: Kernel, pa: int) -> str:
    """What a physical address in CR3 is the L4 page of."""
    for ci in kernel.cpus:
        if ci.ci_svs_updirpa == pa and pa:
            return f"user tables of CPU {ci.ci_index}"
    for pmap in kernel.pmaps.values():
        if pmap.pm_pdirpa == pa:
            return f"pmap {pmap.name}"
    return f"user tables at {pa:#x}"
