"""x86 pmap(9): creation, lazy switching, and mapping another pmap's tables (sys/arch/x86/x86/pmap.c).

Names, order of memory operations and assertions are NetBSD's.  ``pm_cpus`` and ``pm_kernel_cpus`` are bit masks in one
word each, changed by locked instructions (kcpuset_atomic_set, kcpuset_atomic_clear).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.errors import kassert
from sim.hardware.cpu import IPL_HIGH
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.paging import NX, P, W
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Proc, add, bit_clear, bit_set, cost, load, rmw, store
from sim.kernel.cpuinfo import GLDT_SEL, TLBSTATE_LAZY, TLBSTATE_VALID, CpuInfo
from sim.kernel.ldt import lldt
from sim.kernel.shootdown import Flushes

if TYPE_CHECKING:
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp


class Pmap:
    """An address space.

    Attributes:
        entries: by VA where a page's entry was found: its table's values, and the index; good as long as it is valid.
        pm_gc_ptp: table pages of a pmap torn down at exit, freed with it.
        pm_pdir, pm_pdirpa: the full L4 page and its physical address.
        pm_tlb_gen: the count of changes by which a CPU sees what it missed (:mod:`sim.kernel.contexts`).
        pm_updir, pm_updirpa: the second, user L4 page that the ``pti`` design gives each process (else unused).
        pm_lock: adaptive mutex over the tables.
        ptp_wire: wire count of each table page by physical address: children + 1.
        resident: runs of touched pages that have been entered, by the id of the run: the run, and their entries.
    """

    __slots__ = (
        "entries",
        "name",
        "number",
        "pm_cpus",
        "pm_gc_ptp",
        "pm_kernel_cpus",
        "pm_ldt_sel",
        "pm_lock",
        "pm_ncsw",
        "pm_obj_refs",
        "pm_pdir",
        "pm_pdirpa",
        "pm_tlb_gen",
        "pm_updir",
        "pm_updirpa",
        "ptp_wire",
        "resident",
    )

    def __init__(self, k: Kernel, name: str, pdirpa: int) -> None:
        self.name = name
        self.number = k.pmap_numbers
        k.pmap_numbers += 1
        self.pm_pdirpa = pdirpa
        self.pm_pdir = k.mem.table(pdirpa)
        self.pm_updirpa = 0
        self.pm_updir: Words | None = None
        self.pm_lock = Mutex(f"{name}.pm_lock", "pm_lock")
        self.pm_cpus = Words(f"{name}.pm_cpus")
        self.pm_kernel_cpus = Words(f"{name}.pm_kernel_cpus")
        self.pm_ldt_sel = GLDT_SEL
        self.pm_gc_ptp: list[int] = []
        self.pm_obj_refs = Words(f"{name}.pm_refs", 1, 1)
        self.pm_ncsw = -1
        self.pm_tlb_gen = Words(f"{name}.pm_tlb_gen")
        self.ptp_wire: dict[int, int] = {}
        self.entries: dict[int, tuple[list[Any], int]] = {}
        self.resident: dict[int, tuple[object, list[tuple[list[Any], int]]]] = {}
        k.pmaps[self.number] = self

    def __repr__(self) -> str:
        return f"<pmap {self.name}>"


class PmapCreate(Procedure, name="pmap_create", cause="pmap"):
    pool_get = site("pool_get")
    clear_user_slots = site("clear user slots")
    user_l4_page = site("user L4 page")


def pmap_create(k: Kernel, ci: CpuInfo, name: str) -> Proc:
    """Make a pmap: an L4 page with the kernel's entries and its own recursive slot."""
    yield cost("pmap_work", PmapCreate.pool_get)
    yield cost("page_zero", PmapCreate.clear_user_slots)
    pa = k.mem.alloc_table(f"{name}.pm_pdir")
    pmap = Pmap(k, name, pa)
    kernel = k.pmap_kernel.pm_pdir.v
    slot = k.geometry.pte_slot
    pmap.pm_pdir.v[slot + 1 :] = kernel[slot + 1 :]
    pmap.pm_pdir.v[slot] = pa | P | W | NX
    yield from k.design.pmap_create(k, ci, pmap)
    k.hooks.pmap_created(pmap)
    k.hooks.count(ci, "pmap_create")
    return pmap


class PmapDestroy(Procedure, name="pmap_destroy", cause="pmap"):
    atomic_dec_refs = site("atomic_dec refs")
    pm_kernel_cpus = site("pm_kernel_cpus")
    uvm_pagefree = site("uvm_pagefree")
    pool_put = site("pool_put")


def pmap_destroy(k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
    """Drop a reference; with the last one the L4 page goes back.

    If the current LWP has torn the pmap down (exit), its table pages wait for that moment too: no CPU has the tables
    loaded then, so no shootdown is needed.  (NetBSD sends one here only when it is short of memory.)
    """
    lwp = ci.ci_curlwp
    if lwp.md_gc_pmap is pmap:
        kassert(not pmap.ptp_wire, "pmap_check_ptps: no page-table pages left")
        kassert(not pmap.pm_gc_ptp, "pmap_destroy: pm_gc_ptp is empty")
        pmap.pm_gc_ptp, lwp.md_gc_ptp = lwp.md_gc_ptp, []
        lwp.md_gc_pmap = None
    before = yield rmw(pmap.pm_obj_refs, 0, add, -1, PmapDestroy.atomic_dec_refs)
    kassert(before > 0, "pmap_destroy: reference count positive")
    if before > 1 or pmap is k.pmap_kernel:
        return
    in_use = yield load(pmap.pm_kernel_cpus, 0, PmapDestroy.pm_kernel_cpus)
    kassert(in_use == 0, "pmap_destroy: pmap not in use by any CPU")
    kassert(k.hooks.sees(ci, pmap.pm_cpus) == 0, "pmap_destroy: pm_cpus empty")
    in_cr3 = any(k.hooks.sees(ci, other.ci_pmap) == pmap.number for other in k.cpus)
    kassert(not in_cr3, "pmap_check_inuse: no CPU has it in CR3")
    kassert(not pmap.ptp_wire, "pmap_check_ptps: no page-table pages left")
    for pa in pmap.pm_gc_ptp:
        yield cost("pmap_page_work", PmapDestroy.uvm_pagefree)
        k.mem.free(pa)
        k.hooks.page_freed(ci, pa)
    yield cost("pmap_work", PmapDestroy.pool_put)
    k.design.pmap_destroy(k, pmap)
    k.mem.free(pmap.pm_pdirpa)
    del k.pmaps[pmap.number]
    k.hooks.pmap_destroyed(pmap)
    k.hooks.count(ci, "pmap_destroy")


def kassert_pdirpa(ci: CpuInfo, pmap: Pmap, who: str) -> None:
    """KASSERT_PDIRPA: CR3 holds the tables of *pmap*."""
    kassert(ci.cpu.cr3_pa == pmap.pm_pdirpa, f"{who}: CR3 is pm_pdirpa")


class PmapReactivate(Procedure, name="pmap_reactivate", cause="context switch"):
    tlbstate_valid = site("ci_tlbstate VALID")
    look_at_pm_cpus = site("look at pm_cpus")
    set_pm_cpus = site("set pm_cpus")


def pmap_reactivate(k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
    """VALID first, then look whether the shootdown handler took us out.

    Returns false if the TLB may be stale: the caller flushes it at once (NetBSD does so in here).
    """
    kassert(ci.ci_pmap.v[0] == pmap.number, "pmap_reactivate: ci_pmap is the pmap")
    kassert_pdirpa(ci, pmap, "pmap_reactivate")
    # The shootdown handler takes out lazy CPUs only.  Were the look first, it could do so between look and store.
    yield store(ci.ci_tlbstate, 0, TLBSTATE_VALID, PmapReactivate.tlbstate_valid)
    loaded = k.hooks.sees(ci, pmap.pm_kernel_cpus) >> ci.ci_index & 1
    kassert(bool(loaded), "pmap_reactivate: this CPU is in pm_kernel_cpus")
    cpus = yield load(pmap.pm_cpus, 0, PmapReactivate.look_at_pm_cpus)
    if cpus >> ci.ci_index & 1:
        return True
    yield rmw(pmap.pm_cpus, 0, bit_set, 1 << ci.ci_index, PmapReactivate.set_pm_cpus)
    return False


def cpu_load_pmap(k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
    """Load the user page directory, then CR3."""
    yield from k.design.pdir_switch(k, ci, pmap)
    yield from k.design.load_cr3(k, ci, pmap)


class LoadsTables(Procedure):
    """A procedure after which this CPU has another pmap loaded."""

    clear_pm_cpus = site("clear old pm_cpus")
    clear_pm_kernel_cpus = site("clear old pm_kernel_cpus")
    tlbstate_valid = site("ci_tlbstate VALID")
    set_pm_cpus = site("set pm_cpus")
    set_pm_kernel_cpus = site("set pm_kernel_cpus")


def leave_sets(ci: CpuInfo, pmap: Pmap, who: type[LoadsTables]) -> Proc:
    """Take this CPU out of both sets of the pmap that it had loaded."""
    yield rmw(pmap.pm_cpus, 0, bit_clear, 1 << ci.ci_index, who.clear_pm_cpus)
    yield rmw(pmap.pm_kernel_cpus, 0, bit_clear, 1 << ci.ci_index, who.clear_pm_kernel_cpus)


def enter_sets(ci: CpuInfo, pmap: Pmap, who: type[LoadsTables]) -> Proc:
    """Become VALID, then register for shootdowns and syncs of *pmap*: in this order none is missed."""
    yield store(ci.ci_tlbstate, 0, TLBSTATE_VALID, who.tlbstate_valid)
    yield rmw(pmap.pm_cpus, 0, bit_set, 1 << ci.ci_index, who.set_pm_cpus)
    yield rmw(pmap.pm_kernel_cpus, 0, bit_set, 1 << ci.ci_index, who.set_pm_kernel_cpus)


class PmapLoad(LoadsTables, Flushes, name="pmap_load", cause="context switch"):
    ci_want_pmapload = site("ci_want_pmapload")
    clear_ci_want_pmapload = site("clear ci_want_pmapload")
    pmap_reference = site("pmap_reference")
    ci_pmap = site("ci_pmap")


def pmap_load(k: Kernel, lwp: Lwp) -> Proc:
    """Load the current LWP's pmap, before user mode, if it is wanted."""
    while True:
        ci = lwp.l_cpu
        wanted = yield load(ci.ci_want_pmapload, 0, PmapLoad.ci_want_pmapload)
        if not wanted:
            return
        kassert(ci.cpu.ipl < IPL_HIGH, "pmap_load: able to take IPIs")
        kassert(ci.cpu.intr, "pmap_load: interrupts on")
        pmap = lwp.l_proc.pmap
        kassert(pmap is not k.pmap_kernel, "pmap_load: not the kernel pmap")
        ncsw = lwp.l_ncsw
        old = k.curpmap(ci)
        if pmap is old:
            if not (yield from pmap_reactivate(k, ci, pmap)):
                yield from k.design.tlbflush(k, ci, PmapLoad)
            yield store(ci.ci_want_pmapload, 0, 0, PmapLoad.clear_ci_want_pmapload)
            k.hooks.count(ci, "pmap_reactivate")
            return
        yield rmw(pmap.pm_obj_refs, 0, add, 1, PmapLoad.pmap_reference)
        # The new pmap is referenced before, and the old one let go of after CR3 has changed: the last reference frees
        # the L4 page that CR3 holds.
        yield from leave_sets(ci, old, PmapLoad)
        kassert_pdirpa(ci, old, "pmap_load")
        for cpuset in (pmap.pm_cpus, pmap.pm_kernel_cpus):
            there = k.hooks.sees(ci, cpuset) >> ci.ci_index & 1
            kassert(not there, "pmap_load: this CPU not yet in the new pmap's sets")
        yield from enter_sets(ci, pmap, PmapLoad)
        yield store(ci.ci_pmap, 0, pmap.number, PmapLoad.ci_pmap)
        yield from lldt(ci, pmap.pm_ldt_sel)
        yield from cpu_load_pmap(k, ci, pmap)
        yield store(ci.ci_want_pmapload, 0, 0, PmapLoad.clear_ci_want_pmapload)
        k.hooks.count(ci, "pmap_load")
        yield from pmap_destroy(k, ci, old)
        # pmap_destroy may have slept, and the LWP have been switched since: then its pmap is wanted again.
        if lwp.l_ncsw == ncsw:
            return


class PmapActivate(Procedure, name="pmap_activate", cause="context switch"):
    ci_want_pmapload = site("ci_want_pmapload")


def pmap_activate(k: Kernel, lwp: Lwp) -> Proc:
    """Restore VM context after a switch: a user LWP wants its pmap loaded, a kernel LWP nothing."""
    ci = lwp.l_cpu
    kassert(ci.ci_want_pmapload.v[0] == 0, "pmap_activate: ci_want_pmapload is 0")
    if lwp.l_proc.pmap is k.pmap_kernel:
        return
    kassert(k.hooks.sees(ci, ci.ci_tlbstate) != TLBSTATE_VALID, "pmap_activate: ci_tlbstate is not VALID")
    yield store(ci.ci_want_pmapload, 0, 1, PmapActivate.ci_want_pmapload)


class PmapDeactivate(Procedure, name="pmap_deactivate", cause="context switch"):
    ci_want_pmapload = site("ci_want_pmapload")
    clear_ci_want_pmapload = site("clear ci_want_pmapload")
    tlbstate_lazy = site("ci_tlbstate LAZY")


def pmap_deactivate(k: Kernel, ci: CpuInfo, lwp: Lwp) -> Proc:
    """Save VM context before a switch: send what is queued, then become lazy.

    *ci* is this CPU: during a switch the LWP may have been woken already and be bound for another one.
    """
    # What is queued is in the packet of this CPU, which the LWP may never come back to.
    yield from k.design.shootdown.shootnow(k, ci)
    wanted = yield load(ci.ci_want_pmapload, 0, PmapDeactivate.ci_want_pmapload)
    pmap = lwp.l_proc.pmap
    if wanted:
        kassert(pmap is not k.pmap_kernel, "pmap_deactivate: wanted pmap is not the kernel's")
        kassert(
            ci.ci_pmap.v[0] != pmap.number or ci.ci_tlbstate.v[0] != TLBSTATE_VALID,
            "pmap_deactivate: wanted pmap is not loaded and VALID",
        )
        yield store(ci.ci_want_pmapload, 0, 0, PmapDeactivate.clear_ci_want_pmapload)
        return
    if pmap is k.pmap_kernel:
        return
    kassert_pdirpa(ci, pmap, "pmap_deactivate")
    kassert(ci.ci_pmap.v[0] == pmap.number, "pmap_deactivate: ci_pmap is the LWP's")
    kassert(ci.ci_tlbstate.v[0] == TLBSTATE_VALID, "pmap_deactivate: ci_tlbstate is VALID")
    yield store(ci.ci_tlbstate, 0, TLBSTATE_LAZY, PmapDeactivate.tlbstate_lazy)
