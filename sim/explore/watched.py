"""Fields of the kernel's objects that note who reads and changes them.

Most of what CPUs share is reached by steps, whose footprints say so.  Run queues, how many LWPs a process has, whether
an LWP runs at kernel priority and the count of ticks are fields that some procedures look at without a step and without
a mutex; such a look races with whoever changes them.  ``tests/explore/test_footprints.py`` finds fields of this kind.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from sim.errors import BoundLwpMoved
from sim.explore.judges import scheduling
from sim.explore.judges.guarded import Counted, Entries, Guarded, Holders, changes_guarded, guarded, with_fields
from sim.explore.judges.guards import Rule, page_owner, pm_lock, pv_list, vm_map
from sim.explore.model import AtWork
from sim.explore.touched import Touched
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp, Process
from sim.kernel.pmap import Pmap
from sim.kernel.sched import RunQueue, curpriority
from sim.kernel.shootdown import Packet
from sim.kernel.vm_page import VmPage


class Noted:
    """A field whose uses are in the footprint of the transition that makes them.

    A store of the value that is there already is a read: it can change places with whoever reads it.
    """

    def __init__(self, name: str, slot: Any, whose: str) -> None:
        self._name = name
        self._slot = slot
        self._whose = whose

    def _location(self, holder: Any) -> Hashable:
        return f"{getattr(holder, self._whose)}.{self._name}", 0

    def __get__(self, holder: Any, kind: type) -> Any:
        Touched.now.looked(self._location(holder))
        return self._slot.__get__(holder)

    def __set__(self, holder: Any, value: Any) -> None:
        location = self._location(holder)
        if self._slot.__get__(holder) == value:
            Touched.now.looked(location)
            return
        Touched.now.wrote(location)
        self._slot.__set__(holder, value)


class Shares(Noted):
    """How many LWPs have an address space; also judged by who gives up its own."""

    def __set__(self, holder: Any, value: Any) -> None:
        if AtWork.judge is not None:
            AtWork.judge.shares(holder, self._slot.__get__(holder), value)
        super().__set__(holder, value)


class Looked:
    """A field of whose uses only those that read it are noted: of the others its holder does that."""

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __get__(self, holder: WatchedRunQueue, kind: type) -> Any:
        Touched.now.looked(holder.location)
        return self._slot.__get__(holder)

    def __set__(self, holder: WatchedRunQueue, value: Any) -> None:
        self._slot.__set__(holder, value)


def noting(kind: type, field: str, whose: str, how: type[Noted] = Noted) -> Any:
    """A class as *kind* of which one field is noted; *whose* names the object in footprints."""
    noted = how(field, kind.__dict__[field], whose)
    return type(f"Watched{kind.__name__}", (kind,), {"__slots__": (), field: noted})


# Other CPUs compare an LWP's priority with that of what they queue.
WatchedLwp = with_fields(noting(Lwp, "l_kpriority", "l_name"), {
    "l_stat": changes_guarded(Lwp.__dict__["l_stat"], Rule("l_stat", scheduling.lwp_lock)),
    "l_cpu": changes_guarded(Lwp.__dict__["l_cpu"], Rule("l_cpu", scheduling.off_its_cpu, "one-cpu")),
})  # fmt: skip
WatchedCpu = guarded(CpuInfo, changes_guarded, ci_onproc=scheduling.chosen)
WatchedPacket = with_fields(Packet, {
    name: changes_guarded(Packet.__dict__[name], Rule(name, scheduling.splvm, "lock-level"))
    for name in ("tp_va", "tp_pte", "tp_userpmap", "tp_kernpmap", "tp_cpumask", "tp_pmap", "tp_gens")
})  # fmt: skip
# Its last LWP takes the address space down.
WatchedProcess = guarded(noting(Process, "p_nlwps", "name", Shares), pages=vm_map)
WatchedPmap = guarded(Pmap, ptp_wire=pm_lock, pm_ncsw=pm_lock)
WatchedPage = guarded(guarded(VmPage, pa=page_owner, pv=pv_list), Counted, refs=page_owner)


def _of_the_kernel(name: str) -> Any:
    """A field of the kernel, of which there is one, whose uses are noted."""

    def look(k: Kernel) -> Any:
        Touched.now.looked(name)
        return k.__dict__[name]

    def store(k: Kernel, value: Any) -> None:
        Touched.now.wrote(name)
        k.__dict__[name] = value

    return property(look, store)


class _Of:
    """Where a kernel, which has no slots, keeps a field."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, k: Kernel, kind: type | None = None) -> Any:
        return k.__dict__[self._name]

    def __set__(self, k: Kernel, value: Any) -> None:
        k.__dict__[self._name] = value


class WatchedKernel(Kernel):
    """A kernel: CPU 0 counts the ticks, all compare them; sleepers and wake-ups are looked for under their mutex."""

    ticks = _of_the_kernel("ticks")
    channels = Guarded(_Of("channels"), Rule("channels", scheduling.sleep_queues))
    tokens = Guarded(_Of("tokens"), Rule("tokens", scheduling.sleep_queues))
    sysctl_queue = Guarded(_Of("sysctl_queue"), Rule("sysctl_queue", scheduling.sysctl_queue))


class DisablingKernel(WatchedKernel):
    """A kernel in which SVS is turned off: whatever goes by the design depends on whether that has come yet."""

    design = _of_the_kernel("design")


def watch(lwp: Lwp) -> None:
    """Note the uses of an LWP and its process from now on."""
    lwp.__class__ = WatchedLwp
    proc = lwp.l_proc
    if proc.__class__ is Process:
        proc.pages = Entries(proc)
        proc.vm_map_lock.holders = Holders(proc.vm_map_lock)
        proc.__class__ = WatchedProcess


class WatchedRunQueue(RunQueue):
    """A CPU's run queue; each use of it is in the footprint of the transition that makes it.

    Attributes:
        location: what stands for it in footprints.
    """

    __slots__ = ("_ci", "_preempting", "_unasked", "location")

    def __init__(self, ci: CpuInfo) -> None:
        self._ci = ci
        self.location: Hashable = ("runqueue", ci.ci_index)
        self._preempting = self._unasked = False
        super().__init__(ci)

    @property
    def preempting(self) -> bool:
        """Something more important than what runs was queued, and the CPU has not chosen anew since."""
        Touched.now.looked(self.location)
        return self._preempting

    def take_unasked(self) -> bool:
        """Whether such a thing was queued since the mutex was taken; asked once, by who gives it back, so not noted."""
        unasked, self._unasked = self._unasked, False
        return unasked

    def _changes(self) -> None:
        if AtWork.judge is not None:
            AtWork.judge.uses(self, _QUEUES, changes=True)
        Touched.now.wrote(self.location)

    def add(self, lwp: Lwp) -> None:
        """Append, and note the change.  BoundLwpMoved: it was to stay on another CPU."""
        if lwp.l_bound and lwp.l_cpu is not self._ci:
            raise BoundLwpMoved(f"{lwp.l_name}, bound to {lwp.l_cpu}, is queued on {self._ci}")
        self._changes()
        self._unasked |= lwp.eprio > curpriority(self._ci)
        self._preempting = self.preempting | self._unasked
        super().add(lwp)

    def pop(self) -> Lwp | None:
        """Take the best LWP, and note the change."""
        self._changes()
        self._preempting = self._unasked = False
        return super().pop()

    def catch(self, ticks: int) -> Lwp | None:
        """Take an LWP that may migrate, and note the change."""
        self._changes()
        return super().catch(ticks)


_QUEUES = Rule("queues", scheduling.run_queue)


for name in ("count", "idle", "queues"):
    setattr(WatchedRunQueue, name, Looked(RunQueue.__dict__[name]))
