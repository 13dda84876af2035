"""What uvm(9) does with pages that more than one map entry can lead to, with their owners locked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.hardware.paging import FRAME, W
from sim.hardware.steps import Access, Proc
from sim.kernel.layout import PAGE_SIZE
from sim.kernel.mappings import mapped_ranges, pmap_enter, pmap_extract, pmap_remove, pmap_update
from sim.kernel.mutex import TakesMutex, mutex_enter, mutex_exit
from sim.kernel.pv import pmap_page_protect, pmap_page_remove
from sim.kernel.vm_page import VmPage

if TYPE_CHECKING:
    from sim.hardware.lock import Mutex
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp, Process


class UvmMapLockEntry(TakesMutex, name="uvm_map_lock_entry", cause="kernel work"): ...


def remove_entries(
    k: Kernel, lwp: Lwp, proc: Process, start: int, end: int, dead: list[VmPage], *, dying: bool
) -> Proc:
    """Unmap [start, end), each entry that leads to such a page with the owner locked (uvm_unmap_remove).

    Returns the other pages that were mapped; *dead* gets the page of each entry that is no more.
    """
    removed: list[int] = []
    at = start
    for va in sorted(va for va in proc.pages if start <= va < end):
        if va > at:
            removed += yield from pmap_remove(k, lwp, proc.pmap, at, va)
        page = proc.pages[va]
        yield from mutex_enter(lwp.l_cpu, page.lock, UvmMapLockEntry)
        removed += yield from pmap_remove(k, lwp, proc.pmap, va, va + PAGE_SIZE)
        if k.design.owner_until_update and not dying:
            yield from pmap_update(k, lwp, proc.pmap)
        yield from mutex_exit(lwp.l_cpu, page.lock, UvmMapLockEntry)
        dead.append(proc.pages.pop(va))
        at = va + PAGE_SIZE
    if at < end:
        removed += yield from pmap_remove(k, lwp, proc.pmap, at, end)
    return removed


class UvmUnmapDetach(TakesMutex, name="uvm_unmap_detach", cause="kernel work"): ...


def detach(k: Kernel, lwp: Lwp, dead: list[VmPage]) -> Proc:
    """Drop the reference of each entry that is no more; with the last one the page goes."""
    for page in dead:
        yield from mutex_enter(lwp.l_cpu, page.lock, UvmUnmapDetach)
        page.refs -= 1
        if not page.refs and page.pa:
            _free(k, page)
        yield from mutex_exit(lwp.l_cpu, page.lock, UvmUnmapDetach)


def _free(k: Kernel, page: VmPage) -> None:
    """uvm_pagefree."""
    k.hooks.page_gone(page)
    del k.vm_pages[page.pa]
    k.mem.free(page.pa)
    page.pa = 0


class UvmFaultInternal(TakesMutex, name="uvm_fault_internal", cause="kernel work"): ...


def fault(k: Kernel, lwp: Lwp, va: int, access: Access) -> Proc:
    """uvm_fault at an entry that leads to such a page.

    A page that is not in memory is brought there; one that needs a copy before it is written gets one, which takes its
    place in this map (uvm_fault_upper_promote).  The owner stays locked until the old page is in no TLB.
    """
    proc = lwp.l_proc
    lock = proc.pages[va].lock
    yield from mutex_enter(lwp.l_cpu, lock, UvmFaultInternal)
    page = proc.pages[va]
    if access is Access.WRITE and page.needs_copy:
        page.refs -= 1
        page = proc.pages[va] = anon(k, k.mem.alloc_page(f"{proc.pmap.name} page"), lock)
    if not page.pa:
        page.pa = k.mem.alloc_page(f"{page.name} page")
        k.vm_pages[page.pa] = page
    write = access is Access.WRITE or bool(pmap_extract(k, proc.pmap, va) & W) and not page.needs_copy
    execute = access is Access.EXEC or not write
    if write:
        k.hooks.page_writable(page, proc.pmap, va)
    pa = page.pa
    yield from pmap_enter(k, lwp, proc.pmap, va, pa, write, execute, written=access is Access.WRITE)
    yield from pmap_update(k, lwp, proc.pmap)
    k.hooks.page_entered(proc.pmap, va, pa)
    yield from mutex_exit(lwp.l_cpu, lock, UvmFaultInternal)


def anon(k: Kernel, pa: int, lock: Mutex | None = None) -> VmPage:
    """A page of anonymous memory that one map entry leads to; *lock*: as it is a copy, that of the other one."""
    page = k.vm_pages[pa] = VmPage(f"anon-{pa:#x}", pa, anon=True, lock=lock)
    page.refs = 1
    return page


class UvmspaceForkEntries(TakesMutex, name="amap_ref", cause="kernel work"): ...


def fork_entries(k: Kernel, lwp: Lwp, proc: Process) -> Proc:
    """The new process *proc* inherits the entries of the current one's map, which is locked (uvmspace_fork).

    Returns the pages that both have to copy before they write.
    """
    parent = lwp.l_proc
    for start, end in mapped_ranges(k, parent.pmap):
        for va in range(start, end, PAGE_SIZE):
            entry = pmap_extract(k, parent.pmap, va)
            if entry and va not in parent.pages:
                page = parent.pages[va] = anon(k, entry & FRAME)
                page.pv.append((parent.pmap.number, va))
    for va, page in sorted(parent.pages.items()):
        yield from mutex_enter(lwp.l_cpu, page.lock, UvmspaceForkEntries)
        page.refs += 1
        proc.pages[va] = page
        yield from mutex_exit(lwp.l_cpu, page.lock, UvmspaceForkEntries)
    return [page for page in parent.pages.values() if page.anon]


class UvmPager(TakesMutex, name="uvm_pager", cause="kernel work"): ...


def page_out(k: Kernel, lwp: Lwp, page: VmPage) -> Proc:
    """Take a page from everybody and free it, as the page daemon and the truncation of a file do."""
    yield from mutex_enter(lwp.l_cpu, page.lock, UvmPager)
    if page.pa:
        yield from pmap_page_remove(k, lwp, page)
        _free(k, page)
    yield from mutex_exit(lwp.l_cpu, page.lock, UvmPager)


def page_clean(k: Kernel, lwp: Lwp, page: VmPage) -> Proc:
    """Take write permission from everybody, as before a page is written to its file: later writes are noticed."""
    yield from mutex_enter(lwp.l_cpu, page.lock, UvmPager)
    if page.pa:
        yield from pmap_page_protect(k, lwp, page)
        k.hooks.page_write_protected(page)
    yield from mutex_exit(lwp.l_cpu, page.lock, UvmPager)
