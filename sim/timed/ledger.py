"""The ledger: every cycle of every CPU under exactly one cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sim.causes import NAMES
from sim.errors import ModelError

FAR = 1 << 62  # a time that no run comes to
CHARGE = 1 << 56  # a tally counts charges in its upper bits, above any run's cycles: one addition for both


class Ledger(Protocol):
    """One CPU's ledger as others see it; each engine has a way of its own to keep it."""

    tally: dict[str, int]
    current: str
    rows: list[tuple[int, str, int, int]]

    @property
    def cycles(self) -> Mapping[str, int]:
        """Cycles by cause."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of charges by cause."""

    @property
    def total(self) -> int:
        """Sum over causes, cycles."""

    @property
    def cpu(self) -> int:
        """Index of the CPU."""

    @property
    def until(self) -> int:
        """When the last charge ended, cycles."""

    def charge(self, cause: str, start: int, cycles: int) -> None:
        """Charge [start, start + cycles) to *cause*."""

    def of(self, causes: Sequence[str]) -> list[int]:
        """Cycles so far of some causes."""

    def suspend_windows(self, now: int) -> None:
        """Charge all that follows to one window, from the next to begin until they are resumed."""

    def resume_windows(self, now: int) -> None:
        """Have windows again."""

    def repeat(self, charged: Mapping[str, tuple[int, int]], times: int, cycles: int) -> None:
        """Charge again, so many *times*, the counts and cycles by cause; *cycles* pass in all, of whoever runs now."""

    def finish(self, end: int, waiting: str) -> None:
        """The run ends at *end*, while the CPU waits."""


class Account:
    """One CPU's ledger.

    Each charge must begin where the one before it ended, so the causes sum to elapsed time by construction; an overlap
    or a gap is an error of the model.  ``cycles`` and ``counts`` are totals by cause; ``rows`` are totals by window;
    ``tally`` is that of whoever runs, which is charged besides.
    """

    __slots__ = (
        "counts",
        "cpu",
        "current",
        "cycles",
        "rows",
        "tally",
        "until",
        "window",
        "window_begin",
        "window_end",
        "window_rows",
    )

    def __init__(self, cpu: int, window: int) -> None:
        self.cpu = cpu
        self.window = window
        self.until = 0
        self.current = "idle"
        self.cycles = dict.fromkeys(NAMES, 0)
        self.counts = dict.fromkeys(NAMES, 0)
        self.window_begin = 0
        self.window_end = window
        self.window_rows: dict[str, tuple[int, int]] = dict.fromkeys(NAMES, (0, 0))
        self.tally: dict[str, int] = {}
        self.rows: list[tuple[int, str, int, int]] = []

    def charge(self, cause: str, start: int, cycles: int) -> None:
        """Charge [start, start + cycles) to *cause*."""
        if start != self.until:
            raise ModelError(
                f"cpu{self.cpu}: charge of '{cause}' begins at {start}, the last one ended at {self.until}"
            )
        if start >= self.window_end:
            self._close_window(start)
        self.until = start + cycles
        self.current = cause
        self.cycles[cause] += cycles
        self.counts[cause] += 1
        try:
            self.tally[cause] += CHARGE + cycles
        except KeyError:
            self.tally[cause] = CHARGE + cycles

    def of(self, causes: Sequence[str]) -> list[int]:
        """Cycles so far of some causes."""
        return [self.cycles[cause] for cause in causes]

    def suspend_windows(self, now: int) -> None:
        """Charge all that follows to one window, from the next to begin until they are resumed."""
        self._close_window(now)
        self.window_begin = self.window_end
        self.window_end = FAR

    def resume_windows(self, now: int) -> None:
        """Have windows again."""
        self._close_window(now)

    def repeat(self, charged: Mapping[str, tuple[int, int]], times: int, cycles: int) -> None:
        """Charge again, so many *times*, the counts and cycles by cause; *cycles* pass in all, of whoever runs now."""
        self.until += cycles
        for cause, (count, spent) in charged.items():
            self.counts[cause] += count * times
            self.cycles[cause] += spent * times
            if count:
                self.tally[cause] = self.tally.get(cause, 0) + (CHARGE * count + spent) * times

    def _close_window(self, now: int) -> None:
        """Write one row for each cause that was charged since the last row."""
        begin = self.window_begin
        for cause in NAMES:
            count, cycles = self.window_rows[cause]
            if self.counts[cause] != count:
                self.rows.append((begin, cause, self.counts[cause] - count, self.cycles[cause] - cycles))
                self.window_rows[cause] = (self.counts[cause], self.cycles[cause])
        self.window_begin = now // self.window * self.window
        self.window_end = self.window_begin + self.window

    def finish(self, end: int, waiting: str) -> None:
        """Cut the last charge at *end*, or extend the wait that was going on to it; write the last window."""
        if self.until < end:
            self.charge(waiting, self.until, end - self.until)
        elif self.until > end:
            self.cycles[self.current] -= self.until - end
            if self.current in self.tally:  # nobody else runs before a charge has passed, but a part may have begun
                self.tally[self.current] -= self.until - end
            self.until = end
        self._close_window(end)

    @property
    def total(self) -> int:
        """Sum over causes, cycles."""
        return sum(self.cycles.values())
