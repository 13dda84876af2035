"""Kernel mappings without pv entries (sys/arch/x86/x86/pmap.c), and kernel memory made of them (sys/uvm/uvm_km.c).

All of it may be called from an interrupt at IPL_VM or below: the arena's lock is a spin mutex of that level, and a
shootdown needs interrupts on, which they are in such a handler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.paging import FRAME, NX, PS, A, P, W
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Access, Proc, cost, exchange, load, rmw, store
from sim.kernel.mappings import pmap_update
from sim.kernel.mutex import TakesMutex, mutex_enter, mutex_exit
from sim.kernel.ptp import through_recursive
from sim.kernel.shootdown import pmap_tlb_shootdown

if TYPE_CHECKING:
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp

FREE, IN_USE, LEAVING = 0, 1, 2  # what the arena knows of an address


class PmapKenterPa(Procedure, name="pmap_kenter_pa", cause="pmap"):
    testset_pte = site("testset pte")


def pmap_kenter_pa(k: Kernel, lwp: Lwp, va: int, pa: int) -> Proc:
    """Map *pa* at kernel *va* for reading and writing; A and D are left to the hardware.

    A mapping that was there should not have been; it is shot down.
    """
    table, index = k.tables.pte(va)
    yield from through_recursive(k, va, 1, Access.WRITE, PmapKenterPa.testset_pte)
    old = yield rmw(table, index, exchange, pa | P | W | NX | k.tables.pg_g, PmapKenterPa.testset_pte)
    kassert(not old & PS, "pmap_kenter_pa: not a large page")
    if old & P and old & A:
        yield from pmap_tlb_shootdown(k, lwp, k.pmap_kernel, va, old, "KENTER")


class PmapKremove(Procedure, name="pmap_kremove", cause="pmap"):
    zap_pte = site("zap pte")


def pmap_kremove(k: Kernel, lwp: Lwp, va: int) -> Proc:
    """Unmap the page at kernel *va*; returns its physical address, 0 if there was none.  pmap_update must follow."""
    table, index = k.tables.pte(va)
    yield from through_recursive(k, va, 1, Access.WRITE, PmapKremove.zap_pte)
    old = yield rmw(table, index, exchange, 0, PmapKremove.zap_pte)
    # Without A no TLB has it: the exchange is locked, so that a walk sets A before it or finds nothing.
    if old & P and old & A:
        yield from pmap_tlb_shootdown(k, lwp, k.pmap_kernel, va, old, "KREMOVE")
    kassert(not old & PS, "pmap_kremove: not a large page")
    return old & FRAME


class Vmem(TakesMutex, name="vmem", cause="kernel work"):
    tag = site("tag")


def _retag(k: Kernel, lwp: Lwp, page: int, old: int, new: int) -> Proc:
    """Change what the arena knows of a page's address from *old* to *new*, under its lock; false if it knows else."""
    ci, kmem = lwp.l_cpu, k.kmem
    yield from mutex_enter(ci, kmem.vm_lock, Vmem)
    found = yield load(kmem.tags, page, Vmem.tag)
    if found == old:
        yield store(kmem.tags, page, new, Vmem.tag)
    yield from mutex_exit(ci, kmem.vm_lock, Vmem)
    return found == old


class UvmKm(Procedure, name="uvm_km", cause="kernel work"):
    uvm_pagefree = site("uvm_pagefree")


def uvm_km_kmem_alloc(k: Kernel, lwp: Lwp, page: int) -> Proc:
    """Get the address, a page, and map it; false if the address is in use."""
    if not (yield from _retag(k, lwp, page, FREE, IN_USE)):
        return False
    yield from pmap_kenter_pa(k, lwp, k.kmem.va(page), k.mem.alloc_page("kernel page"))
    yield from pmap_update(k, lwp, k.pmap_kernel)
    return True


def uvm_km_kmem_free(k: Kernel, lwp: Lwp, page: int) -> Proc:
    """Unmap and free a page, then its address; returns the page's, 0 if it is not in use or somebody else is at it.

    The page goes before pmap_update (uvm_km_pgremove_intrsafe), the address after it.
    """
    if not (yield from _retag(k, lwp, page, IN_USE, LEAVING)):
        return 0
    pa = yield from pmap_kremove(k, lwp, k.kmem.va(page))
    if pa:
        yield cost("pmap_page_work", UvmKm.uvm_pagefree)
        k.mem.free(pa)
        k.hooks.kernel_page_freed()
    yield from pmap_update(k, lwp, k.pmap_kernel)
    yield from _retag(k, lwp, page, LEAVING, FREE)
    return pa


def pipe_loan_free(k: Kernel, lwp: Lwp, page: int) -> Proc:
    """Unmap a page that is its owner's to free (sys_pipe.c; uvm_pagermapout does the same).

    Returns its physical address, 0 if it is not in use or somebody else is at it.
    """
    if not (yield from _retag(k, lwp, page, IN_USE, LEAVING)):
        return 0
    pa = yield from pmap_kremove(k, lwp, k.kmem.va(page))
    yield from pmap_update(k, lwp, k.pmap_kernel)
    yield from _retag(k, lwp, page, LEAVING, FREE)
    return pa


def take(k: Kernel, lwp: Lwp, page: int) -> Proc:
    """Unmap a page and leave its shootdown queued; returns the same.  Its address is not used again."""
    if not (yield from _retag(k, lwp, page, IN_USE, LEAVING)):
        return 0
    return (yield from pmap_kremove(k, lwp, k.kmem.va(page)))


def was_there(k: Kernel, page: int) -> None:
    """Map a page that has been there, and in use, since before time began: no step is made."""
    k.tables.enter(k.kmem.va(page), k.mem.alloc_page("kernel page"), NX)
    k.kmem.tags.v[page] = IN_USE
