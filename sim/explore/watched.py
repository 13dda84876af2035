"""Run queues that note who reads and changes them.

Most of what CPUs share is reached by steps, whose footprints say so.  A run queue is an object of the kernel that some
procedures look at without a step and without its mutex, as NetBSD does; such a look races with whoever queues an LWP.
"""

from __future__ import annotations

from collections.abc import Hashable

from sim.explore.touched import Touched
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.lwp import Lwp
from sim.kernel.sched import RunQueue, curpriority


class WatchedRunQueue(RunQueue):
    """A CPU's run queue; each use of it is in the footprint of the transition that makes it.

    Attributes:
        preempting: something more important than what runs was queued, and the CPU has not chosen anew since.
    """

    __slots__ = ("_ci", "_location", "_touched", "preempting")

    def __init__(self, ci: CpuInfo, touched: Touched) -> None:
        self._ci = ci
        self._touched = touched
        self.preempting = False
        self._location: Hashable = ("runqueue", ci.ci_index)
        super().__init__(ci)

    def __getattribute__(self, name: str) -> object:
        if name in ("count", "idle", "preempting", "queues"):
            super().__getattribute__("_touched").looked(super().__getattribute__("_location"))
        return super().__getattribute__(name)

    def add(self, lwp: Lwp) -> None:
        """Append, and note the change."""
        self._touched.wrote(self._location)
        self.preempting |= lwp.eprio > curpriority(self._ci)
        super().add(lwp)

    def pop(self) -> Lwp | None:
        """Take the best LWP, and note the change."""
        self._touched.wrote(self._location)
        self.preempting = False
        return super().pop()

    def catch(self, ticks: int) -> Lwp | None:
        """Take an LWP that may migrate, and note the change."""
        self._touched.wrote(self._location)
        return super().catch(ticks)
