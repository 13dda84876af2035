"""What uvm(9) does to a process's pmap besides faults: unmapping, protection, teardown (uvm_map.c)."""

from __future__ import annotations

from collections.abc import Sequence
from errno import ENOMEM
from typing import TYPE_CHECKING, Any

from sim.hardware.paging import P
from sim.hardware.steps import Access, Proc
from sim.kernel.layout import PAGE_SIZE
from sim.kernel.mappings import (
    pmap_extract,
    pmap_remove,
    pmap_update,
    pmap_write_protect,
)
from sim.kernel.ptp import pmap_enter_now, pmap_lookup_ptp
from sim.kernel.rwlock import TakesRwLock, rw_enter_read, rw_enter_write, rw_exit
from sim.kernel.uvm_pages import clean_entries, detach, extract_entries, remove_entries
from sim.kernel.vm_page import VmPage

if TYPE_CHECKING:
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp
    from sim.kernel.pmap import Pmap


KEPT = 1024  # stretches whose pages are known to have been entered; those of a long recording come and go
Place = tuple[list[Any], int]  # a level-1 entry: its table's values, and its index there


class UvmUnmap(TakesRwLock, name="uvm_unmap", cause="kernel work"): ...


def unmap(k: Kernel, lwp: Lwp, start: int, end: int, *, shared: bool = False) -> Proc:
    """uvm_unmap: pmap_remove, pmap_update, then the pages are free.

    *shared*: as ``madvise`` does it (uvm_map_clean), which leaves the map as it is and takes its lock for reading.
    """
    pmap = lwp.l_proc.pmap
    if pmap is k.pmap_kernel:
        return
    lock = lwp.l_proc.vm_map_lock
    yield from (rw_enter_read if shared else rw_enter_write)(lock, lwp, UvmUnmap)
    end = min(end, k.user_limit)
    first, dead = start // PAGE_SIZE * PAGE_SIZE, list[VmPage]()
    if lwp.l_proc.pages and shared:
        pages = yield from clean_entries(k, lwp, first, end)
    elif lwp.l_proc.pages:
        pages = yield from remove_entries(k, lwp, lwp.l_proc, first, end, dead, dying=False)
    else:
        pages = yield from pmap_remove(k, lwp, pmap, first, end)
    yield from pmap_update(k, lwp, pmap)
    yield from rw_exit(lock, lwp, UvmUnmap)
    for pa in pages:
        k.mem.free(pa)
    yield from detach(k, lwp, dead)


class UvmMapProtect(TakesRwLock, name="uvm_map_protect", cause="kernel work"): ...


def protect(k: Kernel, lwp: Lwp, start: int, end: int, write: bool, none: bool) -> Proc:
    """uvm_map_protect: less permission changes the pmap now, more is left to faults."""
    if none:
        yield from unmap(k, lwp, start, end)
    elif not write and lwp.l_proc.pmap is not k.pmap_kernel:
        pmap = lwp.l_proc.pmap
        lock = lwp.l_proc.vm_map_lock
        yield from rw_enter_write(lock, lwp, UvmMapProtect)
        k.hooks.map_changes(lwp.l_proc)
        yield from pmap_write_protect(k, lwp, pmap, start // PAGE_SIZE * PAGE_SIZE, min(end, k.user_limit))
        yield from pmap_update(k, lwp, pmap)
        yield from rw_exit(lock, lwp, UvmMapProtect)


class UvmMremap(TakesRwLock, name="uvm_mremap", cause="kernel work"): ...


def mremap(k: Kernel, lwp: Lwp, start: int, end: int, to: int) -> Proc:
    """uvm_mremap of [start, end) to *to*: the pages get a second entry there, then the first one goes.

    Returns an errno.  The map is not locked in between, so that another LWP can fault a page in at its new address
    before it has left the old one.  Growing and shrinking are left out; space there is looked at and not reserved.
    """
    proc, lock = lwp.l_proc, lwp.l_proc.vm_map_lock
    yield from rw_enter_write(lock, lwp, UvmMremap)
    free = not any(va in proc.pages or pmap_extract(k, proc.pmap, va) for va in range(to, to + end - start, PAGE_SIZE))
    if free:
        yield from extract_entries(k, lwp, start, end, to)
        yield from pmap_update(k, lwp, proc.pmap)
    yield from rw_exit(lock, lwp, UvmMremap)
    if free:
        yield from unmap(k, lwp, start, end)
    return 0 if free else ENOMEM


def enter_resident(k: Kernel, lwp: Lwp, touches: Sequence[tuple[int, Access]]) -> None:
    """Enter pages that were there before time began: in no time, and in every view that would have them.

    While somebody changes the tables or copies them, nothing can be entered meanwhile; then the touch faults.
    """
    pmap = lwp.l_proc.pmap
    if pmap is k.pmap_kernel:
        return
    if are_entered(pmap, touches):
        return
    places = []
    for va, _ in touches:
        place = pmap.entries.get(va)
        if place is None or not place[0][place[1]] & P:
            place = _look_up(k, pmap, va)
        if place is not None:
            places.append(place)
            if place[0][place[1]] & P:
                continue
        if pmap.pm_lock.owner is not None or any(ci.ci_svs_mtx.owner is not None for ci in k.cpus):
            continue
        pmap_enter_now(k, pmap, va // PAGE_SIZE * PAGE_SIZE)
        k.hooks.resident_entered(lwp, va)
    if len(places) == len(touches):
        if len(pmap.resident) >= KEPT:
            pmap.resident.clear()
        pmap.resident[id(touches)] = touches, places


def are_entered(pmap: Pmap, touches: Sequence[tuple[int, Access]]) -> bool:
    """Whether all these pages are known to be there."""
    found = pmap.resident.get(id(touches))
    return found is not None and found[0] is touches and _present(found[1])


def _look_up(k: Kernel, pmap: Pmap, va: int) -> Place | None:
    """A page's entry, if there is a table that has it."""
    table = pmap_lookup_ptp(k, pmap, va)
    if table is None:
        return None
    if len(pmap.entries) >= 4 * KEPT:
        pmap.entries.clear()
    place = pmap.entries[va] = table.v, k.geometry.index(va, 1)
    return place


def _present(places: list[Place]) -> bool:
    """Whether all these entries are valid; their tables are in use then, for one goes only when it is empty."""
    for entries, index in places:  # noqa: SIM110 - a third faster than all()
        if not entries[index] & P:
            return False
    return True
