"""The ledger made short, for the fast engine: a charge goes to the tally of whoever runs, and totals are made of those.

:class:`sim.timed.ledger.Account` is the reference; rows and totals are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sim.causes import NAMES
from sim.errors import ModelError
from sim.timed.ledger import CHARGE, FAR

Packed = dict[str, int]  # by cause: cycles, and above them (CHARGE) the number of charges


class QuickAccount:
    """One CPU's ledger, as :class:`~sim.timed.ledger.Account`.

    Attributes:
        charging: the tally that is charged.
    """

    __slots__ = (
        "_before",
        "_totals",
        "_written",
        "charging",
        "cpu",
        "current",
        "rows",
        "until",
        "window",
        "window_begin",
        "window_end",
    )

    def __init__(self, cpu: int, window: int) -> None:
        self.cpu = cpu
        self.window = window
        self.until = 0
        self.current = "idle"
        self.window_begin = 0
        self.window_end = window
        self.rows: list[tuple[int, str, int, int]] = []
        self.charging: Packed = {}
        self._totals = dict.fromkeys(NAMES, 0)
        self._written = dict.fromkeys(NAMES, 0)  # totals when the last window was closed
        # The tallies charged since they were last added up, by id, each with what it was then.
        self._before: dict[int, tuple[Packed, Packed]] = {}
        self.tally = self.charging

    @property
    def tally(self) -> Packed:
        """The tally of whoever runs."""
        return self.charging

    @tally.setter
    def tally(self, tally: Packed) -> None:
        self.charging = tally
        if id(tally) not in self._before:
            self._before[id(tally)] = (tally, tally.copy())

    def leave(self) -> None:
        """Another LWP runs from now on: other CPUs may charge this one's tallies."""
        self._add_up()
        self._before.clear()

    def gap(self, cause: str, start: int) -> ModelError:
        """The error for a charge that does not begin where the last one ended."""
        return ModelError(f"cpu{self.cpu}: charge of '{cause}' begins at {start}, the last one ended at {self.until}")

    def charge(self, cause: str, start: int, cycles: int) -> None:
        """Charge [start, start + cycles) to *cause*."""
        if start != self.until:
            raise self.gap(cause, start)
        if start >= self.window_end:
            self.close_window(start)
        self.until = start + cycles
        self.current = cause
        tally = self.charging
        tally[cause] = tally.get(cause, 0) + CHARGE + cycles

    def _add_up(self) -> None:
        """Bring the totals up to date."""
        totals = self._totals
        for tally, before in self._before.values():
            for cause, charged in tally.items():
                totals[cause] += charged - before.get(cause, 0)
        self._before.clear()
        self.tally = self.charging

    def of(self, causes: Sequence[str]) -> list[int]:
        """Cycles so far of some causes."""
        self._add_up()
        return [self._totals[cause] % CHARGE for cause in causes]

    def suspend_windows(self, now: int) -> None:
        """Charge all that follows to one window, from the next to begin until they are resumed."""
        self.close_window(now)
        self.window_begin = self.window_end
        self.window_end = FAR

    def resume_windows(self, now: int) -> None:
        """Have windows again."""
        self.close_window(now)

    def repeat(self, charged: Mapping[str, tuple[int, int]], times: int, cycles: int) -> None:
        """Charge again, so many *times*, the counts and cycles by cause; *cycles* pass in all, of whoever runs now."""
        self.until += cycles
        for cause, (count, spent) in charged.items():
            if count:
                self.charging[cause] = self.charging.get(cause, 0) + (CHARGE * count + spent) * times

    def close_window(self, now: int) -> None:
        """Write one row for each cause that was charged since the last row."""
        self._add_up()
        for cause, total in self._totals.items():
            count, cycles = divmod(total - self._written[cause], CHARGE)
            if count:
                self.rows.append((self.window_begin, cause, count, cycles))
        self._written = dict(self._totals)
        self.window_begin = now // self.window * self.window
        self.window_end = self.window_begin + self.window

    def finish(self, end: int, waiting: str) -> None:
        """Cut the last charge at *end*, or extend the wait that was going on to it; write the last window."""
        if self.until < end:
            self.charge(waiting, self.until, end - self.until)
        elif self.until > end:
            self._add_up()
            self._totals[self.current] -= self.until - end
            if self.current in self.charging:
                self.charging[self.current] -= self.until - end
            self._before.clear()
            self.tally = self.charging
            self.until = end
        self.close_window(end)

    @property
    def cycles(self) -> dict[str, int]:
        """Cycles by cause."""
        self._add_up()
        return {cause: total % CHARGE for cause, total in self._totals.items()}

    @property
    def counts(self) -> dict[str, int]:
        """Number of charges by cause."""
        self._add_up()
        return {cause: total // CHARGE for cause, total in self._totals.items()}

    @property
    def total(self) -> int:
        """Sum over causes, cycles."""
        return sum(self.cycles.values())
