"""Page-table pages: getting, installing, freeing (pmap_get_ptp, pmap_free_ptp in sys/arch/x86/x86/pmap.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, A, D, P, U, W
from sim.hardware.sites import Procedure, Site, by_level, site
from sim.hardware.steps import Access, Proc, access, cost, exchange, load, rmw, store
from sim.kernel.shootdown import pmap_tlb_shootdown

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp
    from sim.kernel.pmap import Pmap


def pmap_lookup_ptp(k: Kernel, pmap: Pmap, va: int) -> Words | None:
    """Return the level-1 table that serves *va*, or None.  Under ``pm_lock``; stands for uvm_pagelookup."""
    return k.mem.descend(pmap.pm_pdir, va)


class WalksDirectory(Procedure):
    """A procedure that looks for the table pages of a range."""

    pde = by_level("pde L{}")
    pte_page = site("pte page")


def through_recursive(k: Kernel, va: int, level: int, kind: Access, at: Site) -> Proc:
    """Reach the table of *level* that serves *va* by the address at which the loaded tables map themselves.

    That is how the kernel reads and writes every entry, from L4_BASE down to PTE_BASE: through the TLB.
    """
    fault = yield access(k.layout.recursive(va, level), kind, False, at)
    if fault is not None:
        kassert(False, f"{at}: the table is mapped in")


def pmap_pdes_valid(k: Kernel, pmap: Pmap, va: int, who: type[WalksDirectory]) -> Proc:
    """Read the directory entries down to the level-1 table through the recursive space; return it or None."""
    table = pmap.pm_pdir
    for level in range(k.geometry.levels, 1, -1):
        yield from through_recursive(k, va, level, Access.READ, who.pde[level])
        entry = yield load(table, k.geometry.index(va, level), who.pde[level])
        if not entry & P:
            return None
        table = k.mem.table(entry & FRAME)
    yield from through_recursive(k, va, 1, Access.READ, who.pte_page)
    return table


class PmapGetPtp(Procedure, name="pmap_get_ptp", cause="pmap"):
    uvm_pagealloc = site("uvm_pagealloc")
    pde = by_level("pde L{}")
    install = by_level("install L{}")


def pmap_get_ptp(k: Kernel, ci: CpuInfo, pmap: Pmap, va: int) -> Proc:
    """Return the level-1 table for *va*: look up or allocate every level first, only then install, top down."""
    kassert(pmap.pm_lock.owner is ci.cpu, "pmap_get_ptp: pm_lock owned")
    levels = k.geometry.levels
    pages: dict[int, int] = {}
    fresh: set[int] = set()
    table: Words | None = pmap.pm_pdir
    for level in range(levels, 1, -1):
        entry = table.v[k.geometry.index(va, level)] if table is not None else 0
        if entry & P:
            pages[level] = entry & FRAME
            table = k.mem.table(pages[level])
            continue
        yield cost("page_zero", PmapGetPtp.uvm_pagealloc)
        pages[level] = k.mem.alloc_table(f"{pmap.name} L{level - 1}")
        fresh.add(level)
        table = None
    # Every page is there: what follows cannot fail half-way.
    table = pmap.pm_pdir
    for level in range(levels, 1, -1):
        index = k.geometry.index(va, level)
        yield from through_recursive(k, va, level, Access.READ, PmapGetPtp.pde[level])
        entry = yield load(table, index, PmapGetPtp.pde[level])
        kassert(not entry & P or level not in fresh, "pmap_get_ptp: a new page is for an entry that is not valid")
        if level in fresh:
            pa = pages[level]
            yield from through_recursive(k, va, level, Access.WRITE, PmapGetPtp.install[level - 1])
            yield store(table, index, pa | P | W | U, PmapGetPtp.install[level - 1])
            pmap.ptp_wire[pa] = 1
            if level == levels:
                yield from k.design.pmap_sync(k, ci, pmap, index)
            else:
                pmap.ptp_wire[pages[level + 1]] += 1
            k.hooks.count(ci, "pmap_get_ptp installed")
        table = k.mem.table(pages[level])
    return table


class PmapFreePtp(Procedure, name="pmap_free_ptp", cause="pmap"):
    zap = by_level("zap L{}")


def pmap_free_ptp(k: Kernel, lwp: Lwp, pmap: Pmap, va: int) -> Proc:
    """Free the level-1 table of *va*, which is empty, and every parent that becomes empty by it."""
    ci = lwp.l_cpu
    kassert(pmap is not k.pmap_kernel, "pmap_free_ptp: not the kernel pmap")
    kassert(pmap.pm_lock.owner is ci.cpu, "pmap_free_ptp: pm_lock owned")
    levels = k.geometry.levels
    for level in range(1, levels):
        parent = k.mem.descend(pmap.pm_pdir, va, level + 1)
        assert parent is not None
        index = k.geometry.index(va, level + 1)
        yield from through_recursive(k, va, level + 1, Access.WRITE, PmapFreePtp.zap[level + 1])
        old = yield rmw(parent, index, exchange, 0, PmapFreePtp.zap[level + 1])
        pa = old & FRAME
        kassert(pmap.ptp_wire[pa] == 1, "pmap_free_ptp: page-table page is empty")
        if level == levels - 1:
            yield from k.design.pmap_sync(k, ci, pmap, index)
        # The page is reached through the recursive slot too, by lazy CPUs as well: its VA there, above the user limit,
        # goes to pm_kernel_cpus.  Until they have answered, the page must not be used for anything else.
        recursive = k.layout.recursive(va, level)
        yield from pmap_tlb_shootdown(k, lwp, pmap, recursive, old, "FREE_PTP1")
        lwp.md_gc_ptp.append(pa)
        del pmap.ptp_wire[pa]
        k.hooks.count(ci, "pmap_free_ptp")
        if level == levels - 1:
            return
        above_pa = pmap_ptp_pa(k, pmap, va, level + 1)
        pmap.ptp_wire[above_pa] -= 1
        if pmap.ptp_wire[above_pa] > 1:
            return


def pmap_ptp_pa(k: Kernel, pmap: Pmap, va: int, level: int = 1) -> int:
    """Physical address of the table of *level* that serves *va* and exists; not of the highest, which is pm_pdir."""
    parent = k.mem.descend(pmap.pm_pdir, va, level + 1)
    assert parent is not None
    pa: int = parent.v[k.geometry.index(va, level + 1)] & FRAME
    return pa


class PmapUpdate(Procedure, name="pmap_update", cause="pmap"):
    uvm_pagefree = site("uvm_pagefree")


def pmap_enter_now(k: Kernel, pmap: Pmap, va: int, pa: int = 0, *, used: bool = True) -> None:
    """Enter page *pa*, else a fresh one, with the tables that it needs, as it was before time began: no step is made.

    *used* is whether it was written before, so that A and D are set.  The caller knows that nobody is changing or
    copying the tables meanwhile.
    """
    levels, top = k.geometry.levels, k.geometry.index(va, k.geometry.levels)
    missing = not pmap.pm_pdir.v[top] & P

    def make(level: int) -> int:
        pa = k.mem.alloc_table(f"{pmap.name} L{level} {va >> 12 >> k.geometry.bits * level:#x}")
        pmap.ptp_wire[pa] = 1
        if level < levels - 1:
            pmap.ptp_wire[pmap_ptp_pa(k, pmap, va, level + 1)] += 1
        return pa | P | W | U

    table = k.mem.grow(pmap.pm_pdir, va, make)
    if missing:
        k.design.sync_now(k, pmap, top)
    entry = (pa or k.mem.alloc_page(f"{pmap.name} page")) | P | U | W
    table.v[k.geometry.index(va, 1)] = entry | A | D if used else entry
    pmap.ptp_wire[pmap_ptp_pa(k, pmap, va)] += 1


def free_deferred(k: Kernel, lwp: Lwp) -> Proc:
    """Give the table pages on the LWP's deferred list back to the allocator (end of pmap_update)."""
    pages, lwp.md_gc_ptp = lwp.md_gc_ptp, []
    for pa in pages:
        yield cost("pmap_page_work", PmapUpdate.uvm_pagefree)
        k.mem.free(pa)
        k.hooks.page_freed(lwp.l_cpu, pa)
