"""How long mutexes were waited for and held."""

from __future__ import annotations

from collections.abc import Callable

from sim.hardware.lock import Mutex


class LockStatistics:
    """Holdings by window of *window* cycles; those of a lock without waiting share a row.

    ``listener`` is called with each: CPU, mutex, cycles waited, cycles held.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.listener: Callable[[int, Mutex, int, int], None] = lambda cpu, mutex, wait, hold: None
        self._waits: dict[str, int] = {}
        self._rows: dict[tuple[int, int, str, str, int], list[int]] = {}

    def waited(self, mutex: Mutex, cycles: int) -> None:
        """Who has the mutex now has waited for it."""
        self._waits[mutex.name] = cycles

    def released(self, cpu: int, mutex: Mutex, now: int) -> None:
        """A holding ends."""
        wait, hold = self._waits.pop(mutex.name, 0), now - mutex.since
        key = (now // self.window, cpu, mutex.lock_class, mutex.name, wait)
        row = self._rows.setdefault(key, [0, 0])
        row[0] += hold
        row[1] += 1
        self.listener(cpu, mutex, wait, hold)

    def holdings(self) -> int:
        """How many holdings have ended."""
        return sum(n for _, n in self._rows.values())

    def rows(self) -> list[list[object]]:
        """Rows of the ``locks`` frame."""
        found = [
            (window * self.window, cpu, lock, name, wait, hold, n)
            for (window, cpu, lock, name, wait), (hold, n) in self._rows.items()
        ]
        return [list(row) for row in sorted(found)]
