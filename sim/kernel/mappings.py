"""pmap(9) on user mappings: enter, remove, protect, tear down, update (sys/arch/x86/x86/pmap.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, NX, A, D, P, U, W
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Access, Proc, compare_and_swap, cost, exchange, load, rmw
from sim.kernel.layout import PAGE_SIZE
from sim.kernel.map_ptes import pmap_map_ptes, pmap_unmap_ptes
from sim.kernel.pmap import Pmap
from sim.kernel.ptp import (
    WalksDirectory,
    free_deferred,
    pmap_free_ptp,
    pmap_get_ptp,
    pmap_lookup_ptp,
    pmap_pdes_valid,
    pmap_ptp_pa,
    through_recursive,
)
from sim.kernel.pv import pmap_change_pv, pmap_remove_pv
from sim.kernel.shootdown import EVERYTHING, pmap_tlb_shootdown

if TYPE_CHECKING:
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp


class PmapEnter(Procedure, name="pmap_enter", cause="pmap"):
    prepare = site("prepare")
    look_at_pte = site("look at pte")
    read_pte = site("read pte")
    cas_pte = site("cas pte")


def pmap_enter(k: Kernel, lwp: Lwp, pmap: Pmap, va: int, pa: int, write: bool, execute: bool, *,
               written: bool = False, accessed: bool = True) -> Proc:  # fmt: skip
    """Map *pa* at user *va*; an entry that was in use before is shot down (pmap_enter_ma).

    *write* and *execute* are the protection.  *accessed* and *written* are whether an access, and a write, is what the
    mapping is made for: then A, and D, are set at once (the access type in the flags).  A page that is mapped ahead of
    any access has neither.
    """
    kassert(lwp.md_gc_pmap is not pmap, "pmap_enter: pmap is not being torn down")
    kassert(va < k.user_limit, "pmap_enter: user address")
    kassert(write and accessed or not written, "pmap_enter: written implies write")
    yield cost("pmap_work", PmapEnter.prepare)
    pmap2 = yield from pmap_map_ptes(k, lwp, pmap)
    ci = lwp.l_cpu
    table: Words = yield from pmap_get_ptp(k, ci, pmap, va)
    index = k.geometry.index(va, 1)
    new = pa | P | U | (A if accessed else 0) | (W if write else 0) | (D if written else 0) | (0 if execute else NX)
    yield from through_recursive(k, va, 1, Access.READ, PmapEnter.look_at_pte)
    yield load(table, index, PmapEnter.look_at_pte)  # is there a mapping, which pv entries are needed
    while True:
        old = yield load(table, index, PmapEnter.read_pte)
        if old & P and old & FRAME == pa:
            new |= old & (A | D)  # the same page: what the hardware noted stays
        yield from through_recursive(k, va, 1, Access.WRITE, PmapEnter.cas_pte)
        found = yield rmw(table, index, compare_and_swap, (old, new), PmapEnter.cas_pte)
        if found == old:
            break
    if not old & P:
        pmap.ptp_wire[pmap_ptp_pa(k, pmap, va)] += 1
    kassert(pmap.ptp_wire[pmap_ptp_pa(k, pmap, va)] > 1, "pmap_enter: the table page counts the entry")
    if old & P and (old ^ new) & FRAME:
        k.hooks.page_attributes(old)
    if k.vm_pages:
        yield from pmap_change_pv(k, ci, pmap, va, old, new)
    yield from pmap_unmap_ptes(k, lwp, pmap, pmap2)
    # An entry without A was never cached.  The request only goes into the packet, which needs no lock.
    if old & P and old & A and (old ^ new) & (FRAME | W):
        yield from pmap_tlb_shootdown(k, lwp, pmap, va, old, "ENTER")
    k.hooks.count(ci, "pmap_enter")
    return old


class PmapRemove(WalksDirectory, name="pmap_remove", cause="pmap"):
    prepare = site("prepare")
    zap_pte = site("zap pte")
    pv_entry = site("pv entry")


def pmap_remove(k: Kernel, lwp: Lwp, pmap: Pmap, start: int, end: int) -> Proc:
    """Remove all mappings in [start, end), each with at least a directory walk for every 2 MiB that has a table.

    Returns the physical pages that were mapped and that nobody else can map; their owner frees them.  Table pages wait
    for pmap_update.
    """
    yield cost("pmap_work", PmapRemove.prepare)
    pmap2 = yield from pmap_map_ptes(k, lwp, pmap)
    removed: list[int] = []
    span = k.geometry.entries * PAGE_SIZE
    va = start
    while va < end:
        block_end = min(end, (va // span + 1) * span)
        skip = _empty_slot_end(k, pmap, va)
        if skip > va:
            va = skip
            continue
        table = yield from pmap_pdes_valid(k, pmap, va, PmapRemove)
        if table is not None:
            yield from _remove_ptes(k, lwp, pmap, table, va, block_end, removed)
            va = block_end
        else:
            va = _empty_entry_end(k, pmap, va)
    k.hooks.count(lwp.l_cpu, "pmap_remove")
    yield from pmap_unmap_ptes(k, lwp, pmap, pmap2)
    return removed


def _empty_slot_end(k: Kernel, pmap: Pmap, va: int) -> int:
    """Where the next L4 slot begins if the one of *va* is empty, else *va*.

    Empty L4 slots cost nothing here, where pmap_pdes_invalid takes a load.  In pmap_write_protect NetBSD has no such
    skip, nor strides over empty entries: it looks at every 2 MiB of the range.
    """
    slot = k.geometry.index(va, k.geometry.levels)
    if pmap.pm_pdir.v[slot] & P:
        return va
    return k.geometry.va_of_slot(slot + 1)


def _empty_entry_end(k: Kernel, pmap: Pmap, va: int) -> int:
    """Where the highest empty directory entry of *va* ends, so that a range is left in strides of that entry."""
    table = pmap.pm_pdir
    span: int = PAGE_SIZE * k.geometry.entries ** (k.geometry.levels - 1)
    for level in range(k.geometry.levels, 2, -1):
        entry = table.v[k.geometry.index(va, level)]
        if not entry & P:
            break
        table = k.mem.table(entry & FRAME)
        span //= k.geometry.entries
    return (va // span + 1) * span


def _remove_ptes(k: Kernel, lwp: Lwp, pmap: Pmap, table: Words, start: int, end: int, removed: list[int]) -> Proc:
    """Zap the entries of one table page; the last one forces a shootdown even if it was never accessed.

    The plain read that passes over an entry that is not valid is no step: ``pm_lock`` is held.
    """
    ptp = pmap_ptp_pa(k, pmap, start)
    for va in range(start, end, PAGE_SIZE):
        if pmap.ptp_wire.get(ptp, 0) <= 1:
            break
        index = k.geometry.index(va, 1)
        if not table.v[index] & P:
            continue
        yield from through_recursive(k, va, 1, Access.WRITE, PmapRemove.zap_pte)
        old = yield rmw(table, index, exchange, 0, PmapRemove.zap_pte)
        pmap.ptp_wire[ptp] -= 1
        k.hooks.page_attributes(old)
        page = k.vm_pages.get(old & FRAME)
        if page is None:
            removed.append(old & FRAME)
        # Without A no TLB has the page; but the last entry's table will be freed, and paging-structure caches may have
        # it.
        if old & A or pmap.ptp_wire[ptp] <= 1:
            yield from pmap_tlb_shootdown(k, lwp, pmap, va, old, "REMOVE_PTE")
        if page is not None:
            yield from pmap_remove_pv(k, lwp.l_cpu, page, pmap, va)
        yield cost("pmap_page_work", PmapRemove.pv_entry)
    if pmap.ptp_wire.get(ptp) == 1:
        yield from pmap_free_ptp(k, lwp, pmap, start)


class PmapWriteProtect(WalksDirectory, name="pmap_write_protect", cause="pmap"):
    prepare = site("prepare")
    read_pte = site("read pte")
    cas_pte = site("cas pte")


def pmap_write_protect(k: Kernel, lwp: Lwp, pmap: Pmap, start: int, end: int) -> Proc:
    """Take write permission from [start, end); only dirty entries can be cached writable and are shot down.

    D stays set, so an entry that was written once is shot down by every later call too.
    """
    kassert(lwp.md_gc_pmap is not pmap, "pmap_write_protect: pmap is not being torn down")
    yield cost("pmap_work", PmapWriteProtect.prepare)
    pmap2 = yield from pmap_map_ptes(k, lwp, pmap)
    span = k.geometry.entries * PAGE_SIZE
    va = start
    while va < end:
        block_end = min(end, (va // span + 1) * span)
        skip = _empty_slot_end(k, pmap, va)
        if skip > va:
            va = skip
            continue
        table = yield from pmap_pdes_valid(k, pmap, va, PmapWriteProtect)
        if table is not None:
            yield from _protect_ptes(k, lwp, pmap, table, va, block_end)
            va = block_end
        else:
            va = _empty_entry_end(k, pmap, va)
    k.hooks.count(lwp.l_cpu, "pmap_write_protect")
    yield from pmap_unmap_ptes(k, lwp, pmap, pmap2)


def _protect_ptes(k: Kernel, lwp: Lwp, pmap: Pmap, table: Words, start: int, end: int) -> Proc:
    """Clear W in the valid entries of one table page, each by compare-and-swap whether it has W or not."""
    for va in range(start, end, PAGE_SIZE):
        index = k.geometry.index(va, 1)
        if not table.v[index] & P:
            continue
        while True:
            old = yield load(table, index, PmapWriteProtect.read_pte)
            yield from through_recursive(k, va, 1, Access.WRITE, PmapWriteProtect.cas_pte)
            found = yield rmw(table, index, compare_and_swap, (old, old & ~W), PmapWriteProtect.cas_pte)
            if found == old:
                break
        # A write through a clean entry makes the CPU walk, to set D, and find W gone.
        if old & D:
            yield from pmap_tlb_shootdown(k, lwp, pmap, va, old, "WRITE_PROTECT")


def pmap_update(k: Kernel, lwp: Lwp, pmap: Pmap) -> Proc:
    """Send what is queued, wait, then free the deferred table pages, but not from an interrupt.

    There the LWP that was hit may be tearing its pmap down, whose shootdown is not even queued.
    """
    if lwp.md_gc_pmap is pmap:
        lwp.md_gc_pmap = None
        yield from pmap_tlb_shootdown(k, lwp, pmap, EVERYTHING, 0, "UPDATE")
    yield from k.design.shootdown.shootnow(k, lwp.l_cpu)
    if lwp.md_gc_ptp and not lwp.cpu_intr_p:
        yield from free_deferred(k, lwp)


def pmap_extract(k: Kernel, pmap: Pmap, va: int) -> int:
    """Return the L1 entry at *va*, 0 if there is none; what the tables say, without a step."""
    table = pmap_lookup_ptp(k, pmap, va)
    value: int = table.v[k.geometry.index(va, 1)] if table is not None else 0
    return value if value & P else 0


def may_be_written(k: Kernel, pmap: Pmap, start: int) -> bool:
    """Whether an entry of the L1 table that serves *start* has W; what the tables say, without a step."""
    table = pmap_lookup_ptp(k, pmap, start)
    return table is not None and any(entry & (P | W) == P | W for entry in table.v)


def mapped_ranges(k: Kernel, pmap: Pmap) -> list[tuple[int, int]]:
    """[start, end) of user space that has table pages, one range for each L1 table (the vm_map of a teardown)."""
    ranges: list[tuple[int, int]] = []
    span = k.geometry.entries * PAGE_SIZE

    def visit(table: Words, level: int, base: int, slots: int) -> None:
        step = PAGE_SIZE * k.geometry.entries ** (level - 1)
        for i in range(slots):
            if table.v[i] & P:
                if level == 2:
                    ranges.append((base + i * step, base + i * step + span))
                else:
                    visit(k.mem.table(table.v[i] & FRAME), level - 1, base + i * step, k.geometry.entries)

    visit(pmap.pm_pdir, k.geometry.levels, 0, k.geometry.user_slots)
    return ranges
