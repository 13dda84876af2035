"""Making a pmap's tables reachable through the recursive slot (pmap_map_ptes in sys/arch/x86/x86/pmap.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.sites import site
from sim.hardware.steps import Proc, add, load, rmw, store
from sim.kernel.cpuinfo import TLBSTATE_LAZY, CpuInfo
from sim.kernel.mutex import TakesMutex, mutex_enter, mutex_exit
from sim.kernel.pmap import (
    LoadsTables,
    Pmap,
    cpu_load_pmap,
    enter_sets,
    leave_sets,
    pmap_destroy,
    pmap_load,
    pmap_reactivate,
)
from sim.kernel.shootdown import Flushes

if TYPE_CHECKING:
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp


class PmapMapPtes(LoadsTables, Flushes, TakesMutex, name="pmap_map_ptes", cause="pmap"):
    ci_want_pmapload = site("ci_want_pmapload")
    ci_pmap = site("ci_pmap")


def pmap_map_ptes(k: Kernel, lwp: Lwp, pmap: Pmap, *, locked: bool = False) -> Proc:
    """Lock *pmap*, if it is not *locked*, and make its tables reachable through the recursive slot.

    Returns the pmap that was loaded.
    """
    while True:
        ci = lwp.l_cpu
        if not locked:
            yield from mutex_enter(ci, pmap.pm_lock, PmapMapPtes)
        locked = False
        current = k.curpmap(ci)
        if lwp.l_proc.pmap is not pmap:
            break
        wanted = yield load(ci.ci_want_pmapload, 0, PmapMapPtes.ci_want_pmapload)
        if not wanted:
            kassert(pmap is current, "pmap_map_ptes: own pmap is loaded")
            break
        yield from mutex_exit(ci, pmap.pm_lock, PmapMapPtes)
        yield from pmap_load(k, lwp)
    if lwp.l_proc.pmap is not pmap:
        yield from _map_foreign(k, ci, pmap, current)
    pmap.pm_ncsw = lwp.l_ncsw
    return current


def _map_foreign(k: Kernel, ci: CpuInfo, pmap: Pmap, current: Pmap) -> Proc:
    """Make a pmap that is not the current LWP's valid on this CPU."""
    if pmap is current:
        if not (yield from pmap_reactivate(k, ci, pmap)):
            yield from k.design.tlbflush(k, ci, PmapMapPtes)
        return
    yield from leave_sets(ci, current, PmapMapPtes)
    yield store(ci.ci_pmap, 0, pmap.number, PmapMapPtes.ci_pmap)
    yield from enter_sets(ci, pmap, PmapMapPtes)
    yield from cpu_load_pmap(k, ci, pmap)
    k.hooks.count(ci, "pmap_map_ptes foreign")


class PmapUnmapPtes(TakesMutex, name="pmap_unmap_ptes", cause="pmap"):
    tlbstate_lazy = site("ci_tlbstate LAZY")
    ci_want_pmapload = site("ci_want_pmapload")
    pmap_reference = site("pmap_reference")


def pmap_unmap_ptes(k: Kernel, lwp: Lwp, pmap: Pmap, pmap2: Pmap, *, keep_lock: bool = False) -> Proc:
    """Undo pmap_map_ptes, but for the lock if it is to be kept; a foreign pmap stays loaded, lazy."""
    ci = lwp.l_cpu
    kassert(pmap.pm_ncsw == lwp.l_ncsw, "pmap_unmap_ptes: no context switch while mapped in")
    if lwp.l_proc.pmap is pmap:
        if not keep_lock:
            yield from mutex_exit(ci, pmap.pm_lock, PmapUnmapPtes)
        return
    # The LWP's own pmap is loaded again only on the way to user mode, where it is needed, if ever.
    yield store(ci.ci_tlbstate, 0, TLBSTATE_LAZY, PmapUnmapPtes.tlbstate_lazy)
    want = int(lwp.l_proc.pmap is not k.pmap_kernel)
    yield store(ci.ci_want_pmapload, 0, want, PmapUnmapPtes.ci_want_pmapload)
    if not keep_lock:
        yield from mutex_exit(ci, pmap.pm_lock, PmapUnmapPtes)
    if pmap is pmap2:
        return
    yield rmw(pmap.pm_obj_refs, 0, add, 1, PmapUnmapPtes.pmap_reference)
    yield from pmap_destroy(k, ci, pmap2)
