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


class UvmMapClean(TakesMutex, name="uvm_map_clean", cause="kernel work"): ...


def clean_entries(k: Kernel, lwp: Lwp, start: int, end: int) -> Proc:
    """Let the current map go of its pages in [start, end), while it is locked for reading (uvm_map_clean, PGO_FREE).

    Others may fault on them or do the same meanwhile, so each goes under its owner's lock, and with it the reference
    (amap_unadd).  Returns the other pages that were mapped.
    """
    proc, removed, at = lwp.l_proc, list[int](), start
    for va in sorted(va for va in proc.pages if start <= va < end):
        if va > at:
            removed += yield from pmap_remove(k, lwp, proc.pmap, at, va)
        at = va
        page = proc.pages.get(va)
        if page is None:
            continue
        lock = page.lock  # a copy that takes the page's place has the same
        yield from mutex_enter(lwp.l_cpu, lock, UvmMapClean)
        page = proc.pages.get(va)
        if page is not None:
            removed += yield from pmap_remove(k, lwp, proc.pmap, va, va + PAGE_SIZE)
            yield from pmap_update(k, lwp, proc.pmap)
            _unrefer(k, proc.pages.pop(va))
        yield from mutex_exit(lwp.l_cpu, lock, UvmMapClean)
        at = va + PAGE_SIZE
    if at < end:
        removed += yield from pmap_remove(k, lwp, proc.pmap, at, end)
    return removed


class UvmUnmapDetach(TakesMutex, name="uvm_unmap_detach", cause="kernel work"): ...


def detach(k: Kernel, lwp: Lwp, dead: list[VmPage]) -> Proc:
    """Drop the reference of each entry that is no more; with the last one the page goes.

    An object's count is atomic (uao_detach), and its lock taken with the last one only.  It is always taken here: for
    uvm_unmap_remove, which locks the owner of each entry, whether or not the page is mapped, before its pmap can go.
    """
    for page in dead:
        yield from mutex_enter(lwp.l_cpu, page.lock, UvmUnmapDetach)
        _unrefer(k, page)
        yield from mutex_exit(lwp.l_cpu, page.lock, UvmUnmapDetach)


def _unrefer(k: Kernel, page: VmPage) -> None:
    """An entry less leads to a page, whose owner is locked; with the last one the page goes."""
    page.refs -= 1
    if not page.refs and page.pa:
        _free(k, page)


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
    place in this map (uvm_fault_upper_promote).  The owner stays locked until the old page is in no TLB.  Returns
    whether the entry still leads to such a page once its owner is locked: clean_entries may have let go of it.
    """
    proc = lwp.l_proc
    lock = proc.pages[va].lock
    yield from mutex_enter(lwp.l_cpu, lock, UvmFaultInternal)
    page = proc.pages.get(va)
    if page is None:
        yield from mutex_exit(lwp.l_cpu, lock, UvmFaultInternal)
        return False
    if access is Access.WRITE and page.needs_copy(proc.pages):
        page = yield from _promote(k, lwp, page, va)
    if not page.pa:
        page.pa = k.mem.alloc_page(f"{page.name} page")
        k.vm_pages[page.pa] = page
    write = access is Access.WRITE or bool(pmap_extract(k, proc.pmap, va) & W) and not page.needs_copy(proc.pages)
    execute = access is Access.EXEC or not write
    if write:
        k.hooks.page_writable(page, proc, va)
    pa = page.pa
    yield from pmap_enter(k, lwp, proc.pmap, va, pa, write, execute, written=access is Access.WRITE)
    yield from pmap_update(k, lwp, proc.pmap)
    k.hooks.page_entered(proc.pmap, va, pa)
    yield from mutex_exit(lwp.l_cpu, lock, UvmFaultInternal)
    return True


def _promote(k: Kernel, lwp: Lwp, page: VmPage, at: int) -> Proc:
    """A copy of a page takes its place in the current map (uvm_fault_upper_promote, amap_add); returns the copy.

    If not only the entry *at* the fault leads there, as during an mremap, the page is taken from everybody: the others
    must not go on with it.  (NetBSD does so ever after an mremap: AMAP_SHARED.)
    """
    pmap, pages = lwp.l_proc.pmap, lwp.l_proc.pages
    copy = _anon(k, k.mem.alloc_page(f"{pmap.name} page"), page.lock)
    k.hooks.page_shared(copy)
    vas = [va for va, other in pages.items() if other is page]
    if vas != [at]:
        yield from pmap_page_remove(k, lwp, page)
    for va in vas:
        if va != at:
            k.hooks.page_left(pmap, va)
        pages[va] = copy
        page.refs -= 1
        copy.refs += 1
    return copy


def _anon(k: Kernel, pa: int, lock: Mutex | None = None) -> VmPage:
    """A page of anonymous memory; *lock*: that of the one it is a copy of."""
    page = k.vm_pages[pa] = VmPage(f"anon-{pa:#x}", pa, anon=True, lock=lock)
    return page


def _owned(k: Kernel, proc: Process, va: int) -> VmPage | None:
    """The page that the map has at *va*, which others can lead to from now on; None: it has not been touched yet.

    The map is locked for writing.
    """
    entry = pmap_extract(k, proc.pmap, va)
    if entry and va not in proc.pages:
        page = proc.pages[va] = _anon(k, entry & FRAME)
        page.pv = ((proc.pmap.number, va),)
        page.refs = 1
        k.hooks.page_shared(page)
    return proc.pages.get(va)


def _refer(k: Kernel, lwp: Lwp, page: VmPage, who: type[TakesMutex]) -> Proc:
    """One more map entry leads to a page."""
    yield from mutex_enter(lwp.l_cpu, page.lock, who)
    page.refs += 1
    yield from mutex_exit(lwp.l_cpu, page.lock, who)


class AmapRef(TakesMutex, name="amap_ref", cause="kernel work"): ...


def fork_entries(k: Kernel, lwp: Lwp, proc: Process) -> Proc:
    """The new process *proc* inherits the entries of the current one's map, which is locked (uvmspace_fork).

    Returns the pages that both have to copy before they write.
    """
    parent = lwp.l_proc
    for start, end in mapped_ranges(k, parent.pmap):
        for va in range(start, end, PAGE_SIZE):
            _owned(k, parent, va)
    for va in sorted(parent.pages):
        proc.pages[va] = parent.pages[va]
        yield from _refer(k, lwp, parent.pages[va], AmapRef)
    return [page for page in parent.pages.values() if page.anon]


class UvmMapExtract(TakesMutex, name="uvm_map_extract", cause="kernel work"): ...


def extract_entries(k: Kernel, lwp: Lwp, start: int, end: int, to: int) -> Proc:
    """What the current map, which is locked, has in [start, end) it has from *to* on as well (uvm_map_extract).

    Nothing is mapped there: faults do that.
    """
    proc = lwp.l_proc
    for va in range(start, end, PAGE_SIZE):
        page = _owned(k, proc, va)
        if page is not None:
            yield from _refer(k, lwp, page, UvmMapExtract)
            proc.pages[to + va - start] = page


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
