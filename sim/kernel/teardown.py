"""Emptying an address space at exit and exec: pmap_remove_all of 2018 and of NetBSD 10, and who calls it.

In 2018 pmap_remove_all only announces the teardown: the mappings go one by one, no shootdown is queued meanwhile, and
at an exit there is none at all, for the tables are freed once no CPU has them loaded.  In NetBSD 10 it removes
the mappings itself, some table pages at a time, each batch with a shootdown to all that have the pmap loaded, lazily
too.  Source: sys/arch/x86/x86/pmap.c, sys/uvm/uvm_map.c (uvmspace_exec, uvmspace_free).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, PAGE_SHIFT, P
from sim.hardware.sites import site
from sim.hardware.steps import Access, Proc, cost, load
from sim.kernel.map_ptes import pmap_map_ptes, pmap_unmap_ptes
from sim.kernel.mappings import mapped_ranges, pmap_remove, pmap_update
from sim.kernel.mutex import TakesMutex, mutex_enter, mutex_exit
from sim.kernel.pmap import Pmap
from sim.kernel.ptp import pmap_free_ptp, pmap_lookup_ptp, pmap_ptp_pa, through_recursive
from sim.kernel.pv import pmap_remove_pv
from sim.kernel.shootdown import EVERYTHING, pmap_tlb_shootdown
from sim.kernel.uvm_pages import detach, remove_entries
from sim.kernel.vm_page import VmPage

if TYPE_CHECKING:
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp, Process

BATCH = 32  # table pages that pmap_remove_all of NetBSD 10 looks up at once


class PmapRemoveAll(TakesMutex, name="pmap_remove_all", cause="pmap"):
    md_gc_pmap = site("md_gc_pmap")
    read_pte = site("read pte")
    pv_entry = site("pv entry")


def pmap_remove_all(k: Kernel, lwp: Lwp, pmap: Pmap) -> Proc:
    """Announce that everything will go: shootdowns of *pmap* by this LWP wait for pmap_update."""
    kassert(lwp.md_gc_pmap is None, "pmap_remove_all: no other pmap is being torn down")
    lwp.md_gc_pmap = pmap
    k.hooks.count(lwp.l_cpu, "pmap_remove_all")
    yield cost("pmap_page_work", PmapRemoveAll.md_gc_pmap)


def pmap_remove_all_in_batches(k: Kernel, lwp: Lwp, pmap: Pmap) -> Proc:
    """Remove all mappings, a batch of table pages at a time; returns the physical pages that were mapped."""
    k.hooks.count(lwp.l_cpu, "pmap_remove_all")
    removed: list[int] = []
    while True:
        yield from mutex_enter(lwp.l_cpu, pmap.pm_lock, PmapRemoveAll)
        batch = mapped_ranges(k, pmap)[:BATCH]
        if not batch:
            yield from mutex_exit(lwp.l_cpu, pmap.pm_lock, PmapRemoveAll)
            break
        pmap2 = yield from pmap_map_ptes(k, lwp, pmap, locked=True)
        for start, _ in batch:
            removed += yield from _pmap_zap_ptp(k, lwp, pmap, start)
            yield from pmap_free_ptp(k, lwp, pmap, start)
        yield from pmap_unmap_ptes(k, lwp, pmap, pmap2, keep_lock=True)
        yield from pmap_tlb_shootdown(k, lwp, pmap, EVERYTHING, 0, "REMOVE_ALL")
        yield from mutex_exit(lwp.l_cpu, pmap.pm_lock, PmapRemoveAll)
        yield from pmap_update(k, lwp, pmap)
    kassert(not pmap.ptp_wire, "pmap_check_ptps: no page-table pages left")
    return removed


def _pmap_zap_ptp(k: Kernel, lwp: Lwp, pmap: Pmap, start: int) -> Proc:
    """Account for the entries of a table page, from the lowest until all are found; they are read and not cleared.

    Nobody can see the space any more, and the table page goes as a whole.
    """
    table: Words | None = pmap_lookup_ptp(k, pmap, start)
    assert table is not None
    ptp = pmap_ptp_pa(k, pmap, start)
    kassert(pmap.ptp_wire[ptp] > 1, "pmap_zap_ptp: the table page is in use")
    yield from through_recursive(k, start, 1, Access.READ, PmapRemoveAll.read_pte)
    removed: list[int] = []
    lowest = next(i for i, entry in enumerate(table.v) if entry & P)
    for index in range(lowest, k.geometry.entries):
        if pmap.ptp_wire[ptp] == 1:
            break
        entry = yield load(table, index, PmapRemoveAll.read_pte)
        if entry & P:
            pmap.ptp_wire[ptp] -= 1
            k.hooks.page_attributes(entry)
            page = k.vm_pages.get(entry & FRAME)
            if page is None:
                removed.append(entry & FRAME)
            else:
                yield from pmap_remove_pv(k, lwp.l_cpu, page, pmap, start + (index << PAGE_SHIFT))
            yield cost("pmap_page_work", PmapRemoveAll.pv_entry)
    return removed


def empty_pmap(k: Kernel, lwp: Lwp, proc: Process, *, dying: bool) -> Proc:
    """pmap_remove_all and the removal of every mapping (uvm_unmap_remove), then the pages are free.

    In 2018, if the map is *dying* (VM_MAP_DYING, exit), the flush is left to pmap_destroy, which can do without.
    """
    pmap, dead = proc.pmap, list[VmPage]()
    pmap.entries.clear()
    pmap.resident.clear()
    if k.design.remove_in_batches:
        pages: list[int] = yield from pmap_remove_all_in_batches(k, lwp, pmap)
    else:
        yield from pmap_remove_all(k, lwp, pmap)
        pages = []
        for start, end in mapped_ranges(k, pmap):
            if proc.pages:
                pages += yield from remove_entries(k, lwp, proc, start, end, dead, dying=dying)
            else:
                pages += yield from pmap_remove(k, lwp, pmap, start, end)
        if not dying:
            yield from pmap_update(k, lwp, pmap)
    for pa in pages:
        k.mem.free(pa)
    dead += proc.pages.values()  # where nothing was mapped
    proc.pages.clear()
    yield from detach(k, lwp, dead)
