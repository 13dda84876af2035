"""Measuring a part of a run: of each LWP what lies between two places of its program, whenever it comes there.

A pair of runs does the same work at different times; so a part is bounded by work, and is the same in both.  What no
LWP of the workload is charged for (idle CPUs, the kernel's own threads) is measured from when the last LWP has come to
the part's beginning until the last has come to its end; there the run stops.  An LWP that falls asleep before such a
place and wakes behind it comes there once it has left its CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.lwp import Lwp
from sim.kernel.program import Mark, Part
from sim.timed.debts import Payments
from sim.timed.ledger import Ledger
from sim.timed.recorder import Recorder
from sim.timed.tallies import Tallies


class PartRecorder(Recorder):
    """The recorder of a run of which a part is measured.

    Attributes:
        measured: the LWPs that are between their marks now.
        began, ended: when the last LWP came to the part's beginning and to its end (-1: not yet).
    """

    def __init__(
        self, now: Callable[[], int], accounts: Sequence[Ledger], window: int, deductions: Payments, part: Part
    ) -> None:
        super().__init__(now, accounts, window, deductions)
        self.part = part
        self.measured: set[Lwp] = set()
        self.tallies = Tallies(now, accounts, self.measured, self._left_cpu)
        self.began = 0 if part.from_start else -1
        self.ended = -1
        self._on_end: Callable[[], None] = lambda: None
        self._counted: dict[str, int] = {}
        self._others: list[Lwp] = []  # LWPs that are not of the workload
        self._to_begin: set[Lwp] = set()  # have not come to the part's beginning
        self._to_end: set[Lwp] = set()  # nor to its end
        self._begun: set[Lwp] = set()
        self._dormant: set[Lwp] = set()  # asleep from the start
        self._falling: dict[Lwp, list[Mark]] = {}  # about to sleep, and then at these marks
        self._runs = False

    # --- LWPs come and go -------------------------------------------------------------------------------------------

    def idle_lwp(self, lwp: Lwp) -> None:
        """It is not of the workload."""
        super().idle_lwp(lwp)
        self._of_machine(lwp)

    def _of_machine(self, lwp: Lwp) -> None:
        self._others.append(lwp)
        if self.part.from_start:
            self.measured.add(lwp)

    def sleeps_at_start(self, lwp: Lwp) -> None:
        """An LWP of the workload sleeps, perhaps all the time: nobody waits for it."""
        self._to_end.discard(lwp)
        self._dormant.add(lwp)

    def lwp_runnable(self, ci: CpuInfo, lwp: Lwp) -> None:
        """If it has not run yet, it will now."""
        super().lwp_runnable(ci, lwp)
        if lwp in self._dormant:
            self._dormant.discard(lwp)
            self._to_end.add(lwp)

    def time_begins(self, late: Iterable[Lwp], on_end: Callable[[], None]) -> None:
        """All LWPs of the start are there; some come late, when others are within the part.

        *on_end* is called when the last has come to the part's end.
        """
        for lwp in late:
            self._begun.add(lwp)
            self.measured.add(lwp)
            self._to_begin.discard(lwp)
        self._runs = True
        self._on_end = on_end

    def lwp_created(self, lwp: Lwp) -> None:
        """An LWP stands where its maker does; those of the start are before the part, or at its beginning."""
        super().lwp_created(lwp)
        if lwp.l_bound:
            self._of_machine(lwp)
            return
        maker = lwp.l_cpu.ci_curlwp
        if maker in self.measured if self._runs else self.part.from_start:
            self._begun.add(lwp)
            self.measured.add(lwp)
            self._to_end.add(lwp)
        elif maker in self._to_begin or not self._runs:
            self._to_begin.add(lwp)
            self._to_end.add(lwp)

    def lwp_exited(self, lwp: Lwp) -> None:
        """Nobody waits for it any more."""
        super().lwp_exited(lwp)
        self.measured.discard(lwp)
        self._falling.pop(lwp, None)
        self._came_to_beginning(lwp)
        self._came_to_end(lwp)

    # --- marks ------------------------------------------------------------------------------------------------------

    def mark(self, lwp: Lwp, mark: Mark) -> None:
        """The LWP has come to a mark, or will when it sleeps."""
        if mark.part != self.part.number:
            return
        if mark.asleep:
            self._falling.setdefault(lwp, []).append(mark)
        else:
            self._pass(lwp, mark)

    def _left_cpu(self, lwp: Lwp) -> None:
        """The LWP has left its CPU."""
        for mark in self._falling.pop(lwp, ()):
            self._pass(lwp, mark)

    def _pass(self, lwp: Lwp, mark: Mark) -> None:
        """The LWP is at the beginning or at the end, perhaps not for the first time."""
        if not mark.end and lwp not in self._begun:
            self._begun.add(lwp)
            self.tallies.cut(lwp)
            self.measured.add(lwp)
            self._came_to_beginning(lwp)
        elif mark.end and lwp in self.measured:
            self.tallies.cut(lwp)
            self.measured.discard(lwp)
            self._came_to_end(lwp)

    def _came_to_beginning(self, lwp: Lwp) -> None:
        self._to_begin.discard(lwp)
        if self._to_begin or self.began >= 0:
            return
        self.began = self.now()
        for other in self._others:
            self.tallies.cut(other)
            self.measured.add(other)

    def _came_to_end(self, lwp: Lwp) -> None:
        self._to_end.discard(lwp)
        if not self._to_end and self.ended < 0:
            self.ended = self.now()
            self._on_end()

    # --- results ----------------------------------------------------------------------------------------------------

    def count(self, ci: CpuInfo, name: str, n: int = 1) -> None:
        """Count in the part what the CPU does for an LWP that is in it."""
        super().count(ci, name, n)
        if ci.ci_curlwp in self.measured:
            self._counted[name] = self._counted.get(name, 0) + n

    def repeat(self, counted: Mapping[tuple[int, str], int], times: int) -> None:
        """Count again what idle CPUs did, which are in the part as soon as it has begun."""
        super().repeat(counted, times)
        for (_, name), n in counted.items() if self.began >= 0 else ():
            self._counted[name] = self._counted.get(name, 0) + n * times

    def counted(self, names: Iterable[str]) -> dict[str, int]:
        """Counters of the part, by those *names*."""
        return {name: self._counted.get(name, 0) for name in names}

    def elapsed(self, end: int) -> int:
        """Cycles of the part in a run that ended at *end*; 0 if some LWP never came to its beginning."""
        return (end if self.ended < 0 else self.ended) - self.began if self.began >= 0 else 0
