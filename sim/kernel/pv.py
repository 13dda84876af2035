"""pv lists, and pmap(9) by the page, in every pmap that maps it: pmap_page_remove, pmap_page_protect.

The page's owner is locked meanwhile.  The CPU may belong to none of these pmaps.  Up to NetBSD 9 an entry is changed
without ``pm_lock``, through the direct map; that lock comes when the table page is counted down.  In NetBSD 10
``pm_lock`` is held from before the change until the shootdown is done.  Source: sys/arch/x86/x86/pmap.c 1.306, 1.426.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import StalePmap, kassert
from sim.hardware.paging import FRAME, A, D, P, W
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Access, Proc, add, compare_and_swap, load, rmw
from sim.kernel.map_ptes import pmap_map_ptes, pmap_unmap_ptes
from sim.kernel.mutex import TakesMutex, mutex_enter, mutex_exit
from sim.kernel.pmap import Pmap, pmap_destroy
from sim.kernel.ptp import pmap_free_ptp, pmap_lookup_ptp, pmap_ptp_pa, through_recursive
from sim.kernel.shootdown import pmap_tlb_shootdown
from sim.kernel.vm_page import PvEntry, VmPage

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp

EVERY_BIT = ~0


class PmapEnterPv(TakesMutex, name="pmap_enter_pv", cause="pmap"): ...


class PmapRemovePv(TakesMutex, name="pmap_remove_pv", cause="pmap"): ...


def _owned(k: Kernel, ci: CpuInfo, page: VmPage, who: type[Procedure]) -> None:
    """uvm_page_locked_p, which NetBSD 10 no longer asks for."""
    kassert(k.design.page_locks or page.lock.owner is ci.cpu, f"{who.name}: the page's owner is locked")


def with_entry(pv: tuple[PvEntry, ...], entry: PvEntry) -> tuple[PvEntry, ...]:
    """A page's mappings with one more: the first one is in the page itself, later ones go to the head of its list."""
    return (*pv[:1], entry, *pv[1:])


def pmap_enter_pv(k: Kernel, ci: CpuInfo, page: VmPage, pmap: Pmap, va: int) -> Proc:
    """Note a mapping."""
    if k.design.page_locks:
        yield from mutex_enter(ci, page.pp_lock, PmapEnterPv)
    kassert((pmap.number, va) not in page.pv, "pmap_enter_pv: a new entry")
    page.pv = with_entry(page.pv, (pmap.number, va))
    if k.design.page_locks:
        yield from mutex_exit(ci, page.pp_lock, PmapEnterPv)


def pmap_remove_pv(k: Kernel, ci: CpuInfo, page: VmPage, pmap: Pmap, va: int) -> Proc:
    """Forget a mapping."""
    _owned(k, ci, page, PmapRemovePv)
    if k.design.page_locks:
        yield from mutex_enter(ci, page.pp_lock, PmapRemovePv)
    kassert((pmap.number, va) in page.pv, "pmap_remove_pv: the entry is there")
    page.pv = tuple(entry for entry in page.pv if entry != (pmap.number, va))
    if k.design.page_locks:
        yield from mutex_exit(ci, page.pp_lock, PmapRemovePv)


def pmap_change_pv(k: Kernel, ci: CpuInfo, pmap: Pmap, va: int, old: int, new: int) -> Proc:
    """pmap_enter has put the entry *new* in the place of *old*: note it where a page has a list."""
    if (old ^ new) & (FRAME | P):
        left, come = k.vm_pages.get(old & FRAME), k.vm_pages.get(new & FRAME)
        if old & P and left is not None:
            yield from pmap_remove_pv(k, ci, left, pmap, va)
        if come is not None:
            yield from pmap_enter_pv(k, ci, come, pmap, va)


def _pmap_of(k: Kernel, entry: PvEntry) -> Pmap:
    """ptp_to_pmap: whose mapping it is; StalePmap if that was destroyed."""
    if entry[0] not in k.pmaps:
        raise StalePmap(f"a pv entry is of a pmap that no longer exists ({entry[0]})")
    return k.pmaps[entry[0]]


class PmapSyncPv(Procedure, name="pmap_sync_pv", cause="pmap"):
    read_pte = site("read pte")
    cas_pte = site("cas pte")


def pmap_sync_pv(k: Kernel, lwp: Lwp, page: VmPage, entry: PvEntry, clearbits: int) -> Proc:
    """Clear bits of one of the page's mappings, and queue a shootdown if a TLB may have them.

    NetBSD 8 and 9 wait here for a pmap_remove that has zapped the entry already.  As both lock the page's owner there
    is none; NetBSD 10 panics.
    """
    pmap, va = _pmap_of(k, entry), entry[1]
    table = pmap_lookup_ptp(k, pmap, va)
    if table is None:
        kassert(False, "pmap_sync_pv: the table page is there while it counts the entry")
        return
    index = k.geometry.index(va, 1)
    own = k.curpmap(lwp.l_cpu) is pmap  # else the table is reached through the direct map
    while True:
        if own:
            yield from through_recursive(k, va, 1, Access.READ, PmapSyncPv.read_pte)
        old = yield load(table, index, PmapSyncPv.read_pte)
        kassert(old & (FRAME | P) == page.pa | P, "pmap_sync_pv: the mapping is present")
        if not old & clearbits:
            return
        # What was never used is in no TLB, and what was never written in none with W.
        cached = bool(old & A) and (clearbits != W or bool(old & D))
        new = old & ~clearbits & ~(A | D if cached else 0)
        if own:
            yield from through_recursive(k, va, 1, Access.WRITE, PmapSyncPv.cas_pte)
        if (yield rmw(table, index, compare_and_swap, (old, new), PmapSyncPv.cas_pte)) == old:
            break
    k.hooks.page_attributes(old)
    if cached:
        yield from pmap_tlb_shootdown(k, lwp, pmap, va, old, "SYNC_PV2")


class PmapPpRemove(TakesMutex, name="pmap_pp_remove", cause="pmap"):
    pmap_reference = site("pmap_reference")


def pmap_page_remove(k: Kernel, lwp: Lwp, page: VmPage) -> Proc:
    """Take a page out of every pmap that maps it, with a shootdown for each (pmap_pp_remove)."""
    _owned(k, lwp.l_cpu, page, PmapPpRemove)
    if k.design.page_locks:
        yield from _remove_under_pm_lock(k, lwp, page)
        return
    while page.pv:
        entry = page.pv[0]
        pmap = _pmap_of(k, entry)
        # Else the pmap could go as soon as its last entry is clear.
        yield rmw(pmap.pm_obj_refs, 0, add, 1, PmapPpRemove.pmap_reference)
        yield from pmap_sync_pv(k, lwp, page, entry, EVERY_BIT)
        yield from pmap_remove_pv(k, lwp.l_cpu, page, pmap, entry[1])
        yield from k.design.shootdown.shootnow(k, lwp.l_cpu)
        yield from _count_down(k, lwp, entry, locked=False)
        yield from pmap_destroy(k, lwp.l_cpu, pmap)
    yield from k.design.shootdown.shootnow(k, lwp.l_cpu)


def _remove_under_pm_lock(k: Kernel, lwp: Lwp, page: VmPage) -> Proc:
    """The same in NetBSD 10.

    There mutex_tryenter takes ``pm_lock`` while ``pp_lock`` is held, and if that fails waits for it without and begins
    again.  Here it always waits without, and begins again if the entry has gone meanwhile.
    """
    while True:
        yield from mutex_enter(lwp.l_cpu, page.pp_lock, PmapPpRemove)
        entry = page.pv[0] if page.pv else None
        if entry is None:
            yield from mutex_exit(lwp.l_cpu, page.pp_lock, PmapPpRemove)
            return
        pmap = _pmap_of(k, entry)
        yield rmw(pmap.pm_obj_refs, 0, add, 1, PmapPpRemove.pmap_reference)
        yield from mutex_exit(lwp.l_cpu, page.pp_lock, PmapPpRemove)
        yield from mutex_enter(lwp.l_cpu, pmap.pm_lock, PmapPpRemove)
        if entry in page.pv:
            yield from pmap_sync_pv(k, lwp, page, entry, EVERY_BIT)
            yield from pmap_remove_pv(k, lwp.l_cpu, page, pmap, entry[1])
            yield from k.design.shootdown.shootnow(k, lwp.l_cpu)
            yield from _count_down(k, lwp, entry, locked=True)
            yield from k.design.shootdown.shootnow(k, lwp.l_cpu)
        yield from mutex_exit(lwp.l_cpu, pmap.pm_lock, PmapPpRemove)
        yield from pmap_destroy(k, lwp.l_cpu, pmap)


def _count_down(k: Kernel, lwp: Lwp, entry: PvEntry, *, locked: bool) -> Proc:
    """The table page has one entry less; if that was the last one it goes (pmap_pp_remove_ent).

    *locked*: ``pm_lock`` is held and is kept.
    """
    pmap, va = _pmap_of(k, entry), entry[1]
    pmap2: Pmap = yield from pmap_map_ptes(k, lwp, pmap, locked=locked)
    ptp = pmap_ptp_pa(k, pmap, va)
    pmap.ptp_wire[ptp] -= 1
    if pmap.ptp_wire[ptp] <= 1:
        yield from pmap_free_ptp(k, lwp, pmap, va)
    yield from pmap_unmap_ptes(k, lwp, pmap, pmap2, keep_lock=locked)


class PmapPpClearAttrs(TakesMutex, name="pmap_pp_clear_attrs", cause="pmap"): ...


def pmap_page_protect(k: Kernel, lwp: Lwp, page: VmPage) -> Proc:
    """Take write permission from every mapping of a page (VM_PROT_READ: pmap_clear_attrs).

    In NetBSD 10 the page's own lock is held until all CPUs have answered.
    """
    _owned(k, lwp.l_cpu, page, PmapPpClearAttrs)
    if k.design.page_locks:
        yield from mutex_enter(lwp.l_cpu, page.pp_lock, PmapPpClearAttrs)
    for entry in page.pv:
        yield from pmap_sync_pv(k, lwp, page, entry, W)
    yield from k.design.shootdown.shootnow(k, lwp.l_cpu)
    if k.design.page_locks:
        yield from mutex_exit(lwp.l_cpu, page.pp_lock, PmapPpClearAttrs)
