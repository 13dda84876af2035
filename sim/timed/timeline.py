"""What happens on every CPU in a short window, in full: modes, LWPs, CR3, locks, interrupts, counters.

Only runs with a window have one; see :mod:`sim.timed.timeline_taps` for what feeds it.
"""

from __future__ import annotations

MISSES_US = 5  # how often the miss counter is sampled, in microseconds


class Timeline:
    """Rows of the ``timeline`` frame: stretches and events that touch [start, end) cycles, cut at its ends.

    Attributes:
        in_flight: the flow of the IPI on its way to, or pended at, a CPU, by CPU and vector.
        shootdown_flow: the flow of the shootdown that each CPU has going on.
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
        self.shootdown_flow: dict[int, int] = {}
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
