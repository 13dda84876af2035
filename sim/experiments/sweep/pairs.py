"""Pairs of runs for the points of one process: a baseline that several profiles are compared with is run once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sim.scratch import ScratchFile
from sim.timed.amounts import Amounts
from sim.timed.paired import PairedResult, RunResult, check_pair, run_once

if TYPE_CHECKING:
    from sim.kernel.program import Workload


class Pairs:
    """The baselines of the last point, by window, with what their recorded stretches paid."""

    def __init__(self) -> None:
        self._about: Any = None
        self._baselines: dict[int, tuple[RunResult, Amounts]] = {}
        self._paid: ScratchFile  # made where there is something to compare with: it is a file

    def about(self, what: Any) -> Pairs:
        """Return this, without the baselines of anything but *what*, all that decides one."""
        if what != self._about:
            self._about, self._baselines, self._paid = what, {}, ScratchFile()
        return self

    def run(
        self, window: int, source: Callable[[], Workload], *, profile: str, baseline: str, cpus: int, seed: int,
        **options: Any,
    ) -> PairedResult:  # fmt: skip
        """Run a pair with the options of :func:`sim.timed.paired.run_paired`; *source* makes the window's workload."""
        del seed  # it is in the workload
        check_pair(profile, baseline, cpus)
        found = self._baselines.get(window)
        if found is None:
            paid = Amounts(self._paid)
            found = run_once(source(), baseline, cpus=cpus, deductions=paid, **options), paid
            self._baselines[window] = found
        base, paid = found
        return PairedResult(base, run_once(source(), profile, cpus=cpus, replay=paid.reader(), **options))
