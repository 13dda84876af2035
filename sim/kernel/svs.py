"""Separate Virtual Space: the per-CPU user page directory (sys/arch/x86/x86/svs.c, 1.10 to 1.18.2 and current).

Boot-time construction is plain code; what runs with other CPUs alive is written as steps.  What differs between
revisions is data of :class:`~sim.kernel.designs.svs.SvsRevision`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.memory import Words
from sim.hardware.paging import NX, PS, G, P, W
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import (
    Access,
    Invpcid,
    Proc,
    access,
    cost,
    invpcid,
    load,
    rmw,
    same,
    store,
)
from sim.kernel.cpuinfo import UTLS_KPDIRPA, UTLS_RSP0, UTLS_SCRATCH, CpuInfo
from sim.kernel.layout import PAGE_SIZE, PCPU_ENTRY_PAGES, TEXT_USER_PAGES, TRAPFRAME
from sim.kernel.mutex import TakesMutex, mutex_enter, mutex_exit

if TYPE_CHECKING:
    from sim.kernel.designs.svs import SvsRevision
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp
    from sim.kernel.pmap import Pmap

PCID_KERN, PCID_USER = 0, 1


# --- building the user tables at boot -------------------------------------------------------------------------------


def svs_tree_add(k: Kernel, ci: CpuInfo, va: int) -> Words:
    """Make the L3 to L1 tables that serve *va* in this CPU's user tables; return the L1 table."""
    return k.mem.grow(ci.ci_svs_updir, va, lambda level: k.mem.alloc_table(f"cpu{ci.ci_index} user L{level}") | P | W)


def svs_page_add(k: Kernel, ci: CpuInfo, va: int, *, keep_global: bool = False) -> None:
    """Map one kernel page into the user tables: the kernel's own entry, without G unless *keep_global*."""
    table = svs_tree_add(k, ci, va)
    index = k.geometry.index(va, 1)
    source = k.kernel_entry(va)
    kassert(bool(source & P), "svs_page_add: kernel page mapped")
    kassert(not table.v[index] & P, "svs_page_add: L1 page not mapped yet")
    if source & PS:
        offset = va % (k.geometry.entries * PAGE_SIZE)
        source = (source & ~PS) + offset - (offset % PAGE_SIZE)
    table.v[index] = source if keep_global else source & ~G


def svs_rsp0_init(k: Kernel, ci: CpuInfo) -> None:
    """Make room for the dynamically entered stack page; the page below it stays unmapped (redzone)."""
    rsp0 = k.layout.entry_page(ci.ci_index, "rsp0")
    va = rsp0 + PAGE_SIZE
    table = svs_tree_add(k, ci, va)
    index = k.geometry.index(va, 1)
    kassert(not table.v[index] & P, "svs_rsp0_init: rsp0 page not mapped yet")
    ci.ci_svs_rsp0_pte = (table, index)
    ci.ci_svs_rsp0 = rsp0 + PAGE_SIZE + TRAPFRAME
    ci.ci_svs_ursp0 = ci.ci_svs_rsp0 - TRAPFRAME
    ci.ci_svs_krsp0 = 0


def svs_utls_init(k: Kernel, ci: CpuInfo) -> None:
    """Make this CPU's UTLS page: a constant VA in user tables, ``ci_svs_utls`` in kernel tables."""
    table = svs_tree_add(k, ci, k.layout.utls)
    pa = k.mem.alloc_page(f"cpu{ci.ci_index} utls")
    index = k.geometry.index(k.layout.utls, 1)
    kassert(not table.v[index] & P, "svs_utls_init: L1 page not mapped yet")
    table.v[index] = pa | P | W | NX
    k.tables.enter(k.tables.kva(1), pa, NX)
    ci.ci_svs_utls = k.mem.words(pa)
    ci.ci_svs_utls.shared = False
    ci.ci_svs_utls.v[UTLS_RSP0] = ci.ci_svs_rsp0


def cpu_svs_init(k: Kernel, ci: CpuInfo, revision: SvsRevision) -> None:
    """Build this CPU's user page directory: only what entry and exit need of the kernel."""
    ci.ci_svs_updirpa = k.mem.alloc_table(f"cpu{ci.ci_index} ci_svs_updir")
    ci.ci_svs_updir = k.mem.table(ci.ci_svs_updirpa)
    k.tables.enter(k.tables.kva(1), ci.ci_svs_updirpa, NX)
    ci.ci_svs_kpdirpa = k.pmap_kernel.pm_pdirpa
    keep = revision.pge
    svs_page_add(k, ci, k.layout.idt, keep_global=keep)
    svs_page_add(k, ci, k.layout.ldt, keep_global=keep)
    for what in PCPU_ENTRY_PAGES:
        if what != "ldt" or revision.cpu_ldt:
            svs_page_add(k, ci, k.layout.entry_page(ci.ci_index, what), keep_global=keep)
    for i in range(TEXT_USER_PAGES):
        svs_page_add(k, ci, k.layout.text_user + i * PAGE_SIZE)
    svs_rsp0_init(k, ci)
    svs_utls_init(k, ci)


# --- keeping it in step ---------------------------------------------------------------------------------------------


class SvsPmapSync(TakesMutex, name="svs_pmap_sync", cause="svs_pmap_sync"):
    look_again = site("look again")
    read_pm_pdir = site("read pm_pdir")
    write_ci_svs_updir = site("write ci_svs_updir")
    look = site("look")
    isotherset = site("isotherset")


def _sync_one(k: Kernel, ci: CpuInfo, target: CpuInfo, pmap: Pmap, slot: int) -> Proc:
    """Under the target's mutex: look (again), and copy the slot."""
    yield from mutex_enter(ci, target.ci_svs_mtx, SvsPmapSync)
    again = yield load(pmap.pm_kernel_cpus, 0, SvsPmapSync.look_again)
    # While this CPU waited for the mutex, that one may have loaded another pmap, whose slot this would overwrite.
    if again >> target.ci_index & 1:
        entry = yield load(pmap.pm_pdir, slot, SvsPmapSync.read_pm_pdir)
        yield store(target.ci_svs_updir, slot, entry, SvsPmapSync.write_ci_svs_updir)
        k.hooks.count(ci, "svs_pmap_sync updates")
    yield from mutex_exit(ci, target.ci_svs_mtx, SvsPmapSync)


def _sync_loop(k: Kernel, ci: CpuInfo, pmap: Pmap, slot: int) -> Proc:
    """Visit the CPUs in index order, this one included."""
    # Not pm_cpus: a lazy CPU that a shootdown took out of it still goes on with its directory, and pmap_reactivate,
    # which puts it back, copies nothing.
    for target in k.cpus:
        look = yield load(pmap.pm_kernel_cpus, 0, SvsPmapSync.look)
        if look >> target.ci_index & 1:
            yield from _sync_one(k, ci, target, pmap, slot)


def svs_pmap_sync(k: Kernel, ci: CpuInfo, revision: SvsRevision, pmap: Pmap, slot: int) -> Proc:
    """Bring a changed L4 user slot of *pmap* to every CPU that has it loaded.

    Later revisions begin with this CPU, which has it (its tables are mapped in); if others have it too, the loop over
    all CPUs does this one a second time.
    """
    kassert(pmap is not k.pmap_kernel, "svs_pmap_sync: not the kernel pmap")
    kassert(pmap.pm_lock.owner is ci.cpu, "svs_pmap_sync: pm_lock owned")
    kassert(slot < k.geometry.user_slots, "svs_pmap_sync: user slot")
    k.hooks.count(ci, "svs_pmap_sync")
    if not revision.current_first:
        yield from _sync_loop(k, ci, pmap, slot)
        return
    yield from mutex_enter(ci, ci.ci_svs_mtx, SvsPmapSync)
    loaded = k.hooks.sees(ci, pmap.pm_kernel_cpus) >> ci.ci_index & 1
    kassert(bool(loaded), "svs_pmap_sync: this CPU has the pmap loaded")
    entry = yield load(pmap.pm_pdir, slot, SvsPmapSync.read_pm_pdir)
    yield store(ci.ci_svs_updir, slot, entry, SvsPmapSync.write_ci_svs_updir)
    k.hooks.count(ci, "svs_pmap_sync updates")
    yield from mutex_exit(ci, ci.ci_svs_mtx, SvsPmapSync)
    others = yield load(pmap.pm_kernel_cpus, 0, SvsPmapSync.isotherset)
    if others & ~(1 << ci.ci_index):
        yield from _sync_loop(k, ci, pmap, slot)


class SvsLwpSwitch(Procedure, name="svs_lwp_switch", cause="svs_lwp_switch"):
    ci_svs_krsp0 = site("ci_svs_krsp0")
    clear_scratch = site("clear scratch")
    read_kernel_pte = site("read kernel pte")
    enter_rsp0 = site("enter rsp0")
    invpcid_rsp0 = site("invpcid rsp0")


def svs_lwp_switch(k: Kernel, ci: CpuInfo, pcid: bool, old: Lwp | None, new: Lwp) -> Proc:
    """Make the user tables' rsp0 page lead to the stack of *new*; first thing of a context switch."""
    if new.l_system:
        return
    table, index = ci.ci_svs_rsp0_pte
    if old is not None and not old.l_system:
        kassert(ci.ci_svs_krsp0 == old.pcb_rsp0 - TRAPFRAME, "svs_lwp_switch: ci_svs_krsp0 is old's")
        kassert(table.v[index] == k.tables.l1(old.pcb_rsp0), "svs_lwp_switch: rsp0 pte is old's")
    va = new.pcb_rsp0 // PAGE_SIZE * PAGE_SIZE
    yield cost("store", SvsLwpSwitch.ci_svs_krsp0)
    ci.ci_svs_krsp0 = new.pcb_rsp0 - TRAPFRAME
    kassert(ci.ci_svs_krsp0 % PAGE_SIZE == ci.ci_svs_ursp0 % PAGE_SIZE, "svs_lwp_switch: krsp0 congruent to ursp0")
    yield store(ci.ci_svs_utls, UTLS_SCRATCH, 0, SvsLwpSwitch.clear_scratch)
    yield access(k.layout.recursive(va, 1), Access.READ, False, SvsLwpSwitch.read_kernel_pte)
    source, at = k.tables.pte(va)
    entry = yield load(source, at, SvsLwpSwitch.read_kernel_pte)
    yield store(table, index, entry, SvsLwpSwitch.enter_rsp0)
    # Without PCID nothing need be flushed: the entry has no G, and the CR3 write on the way out drops the old one.
    if pcid:
        rsp0_va = k.layout.entry_page(ci.ci_index, "rsp0") + PAGE_SIZE
        yield invpcid(Invpcid.ADDRESS, PCID_USER, rsp0_va, SvsLwpSwitch.invpcid_rsp0)
    k.hooks.count(ci, "svs_lwp_switch")


class SvsPdirSwitch(TakesMutex, name="svs_pdir_switch", cause="svs_pdir_switch copy"):
    ci_svs_kpdirpa = site("ci_svs_kpdirpa")
    utls_kpdirpa = site("utls kpdirpa")
    invpcid_user = site("invpcid user")
    copy_read = site("copy read")
    copy_write = site("copy write")


def svs_pdir_switch(k: Kernel, ci: CpuInfo, revision: SvsRevision, pcid: bool, pmap: Pmap) -> Proc:
    """Fill this CPU's user page directory with the user slots of *pmap*, which is not locked."""
    kassert(pmap is not k.pmap_kernel, "svs_pdir_switch: not the kernel pmap")
    if revision.ci_kpdirpa:
        yield cost("store", SvsPdirSwitch.ci_svs_kpdirpa)
    ci.ci_svs_kpdirpa = pmap.pm_pdirpa  # in later revisions only for who looks at the model from outside
    yield store(ci.ci_svs_utls, UTLS_KPDIRPA, pmap.pm_pdirpa, SvsPdirSwitch.utls_kpdirpa)
    # An entry that changes behind the copy is repaired by the svs_pmap_sync of whoever changed it: this CPU is in
    # pm_kernel_cpus already, so that sync comes here and waits for the mutex.
    yield from mutex_enter(ci, ci.ci_svs_mtx, SvsPdirSwitch)
    yield from copy_user_slots(k, ci, pmap, block=revision.block_copy)
    yield from mutex_exit(ci, ci.ci_svs_mtx, SvsPdirSwitch)
    # The user PCID still has translations of the process before, which no CR3 write with the no-flush bit drops.
    if pcid:
        yield invpcid(Invpcid.CONTEXT, PCID_USER, 0, SvsPdirSwitch.invpcid_user)
    k.hooks.count(ci, "svs_pdir_switch")


def copy_user_slots(k: Kernel, ci: CpuInfo, pmap: Pmap, *, block: bool) -> Proc:
    """Copy the user slots, each entry read atomically."""
    pdir, updir = pmap.pm_pdir, ci.ci_svs_updir
    sites = (SvsPdirSwitch.copy_read, SvsPdirSwitch.copy_write)
    slot, end = 0, k.geometry.user_slots
    while (slot := k.hooks.copy_slots(ci, pdir, updir, (slot, end), sites, locked=not block)) < end:
        if block:
            entry = yield load(pdir, slot, SvsPdirSwitch.copy_read)
        else:
            entry = yield rmw(pdir, slot, same, 0, SvsPdirSwitch.copy_read)
        yield store(updir, slot, entry, SvsPdirSwitch.copy_write)
        slot += 1
