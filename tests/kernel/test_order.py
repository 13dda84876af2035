"""Order of memory operations of each procedure against docs/kernel.rst and the sources it names."""

from __future__ import annotations

import pytest

from sim.errors import KernelAssertion, MachineCheck
from sim.hardware.paging import FRAME, A, D, P
from sim.hardware.steps import Access
from sim.kernel import entry, map_ptes, mappings, pmap, svs
from sim.kernel.cpuinfo import TLBSTATE_LAZY, TLBSTATE_STALE, TLBSTATE_VALID, UTLS_KPDIRPA, UTLS_SCRATCH
from sim.kernel.crossings import SyscallEntry
from sim.kernel.layout import PAGE_SIZE, TRAPFRAME
from tests.kernel.machines import SMALL, Bench

VA = SMALL.va_of_slot(1) + 5 * PAGE_SIZE
SVS = ("svs-2018-02", "svs-netbsd8", "svs-netbsd9", "svs-netbsd10")


def enter(bench, lwp, va=VA, trace=None):
    pa = bench.mem.alloc_page("data")
    return bench.run(mappings.pmap_enter(bench.k, lwp, lwp.l_proc.pmap, va, pa, True, False), lwp.l_cpu.ci_index, trace)


def wanted(trace, *labels):
    """The labels of *trace* that are among *labels*, in order."""
    return [label for label in trace if label in labels]


def test_pmap_load_registers_before_it_copies_and_copies_before_cr3():
    bench = Bench("svs-2018-02")
    lwp = bench.lwp("a")
    lwp.l_cpu.ci_want_pmapload.v[0] = 1
    trace: list[str] = []
    bench.run(pmap.pmap_load(bench.k, lwp), 0, trace)
    assert list(dict.fromkeys(trace)) == [
        "pmap_load:ci_want_pmapload",
        "pmap_load:pmap_reference",
        "pmap_load:clear old pm_cpus",
        "pmap_load:clear old pm_kernel_cpus",
        "pmap_load:ci_tlbstate VALID",
        "pmap_load:set pm_cpus",
        "pmap_load:set pm_kernel_cpus",
        "pmap_load:ci_pmap",
        "lldt:ci_curldt",  # unchanged: no LLDT
        "svs_pdir_switch:ci_svs_kpdirpa",
        "svs_pdir_switch:utls kpdirpa",
        "svs_pdir_switch:mutex_enter splraise",
        "svs_pdir_switch:mutex_enter",
        "svs_pdir_switch:copy read",
        "svs_pdir_switch:copy write",
        "svs_pdir_switch:mutex_exit",
        "svs_pdir_switch:mutex_exit splx",
        "cpu_load_pmap:lcr3",
        "pmap_load:clear ci_want_pmapload",
        "pmap_destroy:atomic_dec refs",
    ]


def test_foreign_pmap_is_named_before_the_cpu_becomes_valid():
    bench = Bench("svs-2018-02")
    mine, other = bench.lwp("mine"), bench.lwp("other")
    bench.put(mine, 0)
    bench.load(mine)
    trace: list[str] = []
    before = bench.run(map_ptes.pmap_map_ptes(bench.k, mine, other.l_proc.pmap), 0, trace)
    assert before is mine.l_proc.pmap
    order = wanted(
        trace, "pmap_map_ptes:mutex_enter", "pmap_map_ptes:clear old pm_kernel_cpus", "pmap_map_ptes:ci_pmap",
        "pmap_map_ptes:ci_tlbstate VALID", "pmap_map_ptes:set pm_cpus", "pmap_map_ptes:set pm_kernel_cpus",
        "cpu_load_pmap:lcr3",
    )  # fmt: skip
    assert order == [
        "pmap_map_ptes:mutex_enter", "pmap_map_ptes:clear old pm_kernel_cpus", "pmap_map_ptes:ci_pmap",
        "pmap_map_ptes:ci_tlbstate VALID", "pmap_map_ptes:set pm_cpus", "pmap_map_ptes:set pm_kernel_cpus",
        "cpu_load_pmap:lcr3",
    ]  # fmt: skip
    bench.run(map_ptes.pmap_unmap_ptes(bench.k, mine, other.l_proc.pmap, before), 0)
    ci = bench.k.cpus[0]
    assert ci.ci_tlbstate.v[0] == TLBSTATE_LAZY
    assert ci.ci_want_pmapload.v[0] == 1
    assert other.l_proc.pmap.pm_kernel_cpus.v[0] == 1
    assert mine.l_proc.pmap.pm_kernel_cpus.v[0] == 0


def test_reactivate_becomes_valid_before_it_looks():
    bench = Bench("svs-2018-02")
    lwp = bench.lwp("a")
    bench.load(lwp)
    ci = bench.k.cpus[0]
    ci.ci_tlbstate.v[0] = TLBSTATE_STALE
    lwp.l_proc.pmap.pm_cpus.v[0] = 0
    trace: list[str] = []
    assert bench.run(pmap.pmap_reactivate(bench.k, ci, lwp.l_proc.pmap), 0, trace) is False
    assert trace == [
        "pmap_reactivate:ci_tlbstate VALID", "pmap_reactivate:look at pm_cpus", "pmap_reactivate:set pm_cpus",
    ]  # fmt: skip
    assert ci.ci_tlbstate.v[0] == TLBSTATE_VALID
    assert not any(label.startswith("svs_") for label in trace)


def test_deactivate_is_lazy():
    bench = Bench("svs-2018-02")
    lwp = bench.lwp("a")
    bench.load(lwp)
    ci, space = bench.k.cpus[0], lwp.l_proc.pmap
    cr3 = ci.cpu.cr3_pa
    trace: list[str] = []
    bench.run(pmap.pmap_deactivate(bench.k, ci, lwp), 0, trace)
    assert trace[0] == "pmap_tlb_shootnow:pre-check"
    assert ci.ci_tlbstate.v[0] == TLBSTATE_LAZY
    assert (ci.cpu.cr3_pa, ci.ci_pmap.v[0]) == (cr3, space.number)
    assert (space.pm_cpus.v[0], space.pm_kernel_cpus.v[0]) == (1, 1)


@pytest.mark.parametrize("profile", SVS)
def test_new_l3_page_reaches_every_loaded_updir_under_its_mutex(profile):
    bench = Bench(profile, 3)
    a = bench.lwp("a", cpu=0)
    bench.load(a)
    b = bench.lwp("b", cpu=1)
    b.l_proc = a.l_proc
    bench.load(b)
    trace: list[str] = []
    enter(bench, a, trace=trace)
    slot = SMALL.index(VA, 4)
    installed = a.l_proc.pmap.pm_pdir.v[slot] & ~(A | D)  # set since then, by walks through the recursive slot
    assert installed & P
    assert [ci.ci_svs_updir.v[slot] for ci in bench.k.cpus] == [installed, installed, 0]
    at = trace.index("pmap_get_ptp:install L3") + 1  # reached through the recursive slot, then stored
    assert trace.index("svs_pmap_sync:write ci_svs_updir") > at
    body = trace[at + 1 : trace.index("pmap_get_ptp:pde L3")]
    per_cpu = [
        "svs_pmap_sync:look", "svs_pmap_sync:mutex_enter splraise", "svs_pmap_sync:mutex_enter",
        "svs_pmap_sync:look again", "svs_pmap_sync:read pm_pdir", "svs_pmap_sync:write ci_svs_updir",
        "svs_pmap_sync:mutex_exit", "svs_pmap_sync:mutex_exit splx",
    ]  # fmt: skip
    if profile == "svs-netbsd10":
        own = [label for label in per_cpu[1:] if "look" not in label]
        assert body == [*own, "svs_pmap_sync:isotherset", *per_cpu, *per_cpu, "svs_pmap_sync:look"]
    else:
        assert body == [*per_cpu, *per_cpu, "svs_pmap_sync:look"]


def test_tables_are_allocated_before_any_is_installed():
    bench = Bench("svs-2018-02")
    lwp = bench.lwp("a")
    bench.load(lwp)
    trace: list[str] = []
    enter(bench, lwp, trace=trace)
    kept = [label for label in trace if "install" in label or "uvm_pagealloc" in label]
    assert kept == ["pmap_get_ptp:uvm_pagealloc"] * 3 + [f"pmap_get_ptp:install L{n}" for n in (3, 3, 2, 2, 1, 1)]
    assert sorted(lwp.l_proc.pmap.ptp_wire.values()) == [2, 2, 2]


def test_freed_tables_wait_for_the_update():
    bench = Bench("svs-2018-02")
    lwp = bench.lwp("a")
    bench.load(lwp)
    enter(bench, lwp)
    space = lwp.l_proc.pmap
    slot = SMALL.index(VA, 4)
    l3 = space.pm_pdir.v[slot] & FRAME
    trace: list[str] = []
    bench.run(mappings.pmap_remove(bench.k, lwp, space, VA, VA + PAGE_SIZE), 0, trace)
    assert space.pm_pdir.v[slot] == 0
    assert bench.k.cpus[0].ci_svs_updir.v[slot] == 0
    assert len(lwp.md_gc_ptp) == 3
    assert not bench.mem.is_free(l3)
    assert [label for label in dict.fromkeys(trace) if "zap" in label] == [
        "pmap_remove:zap pte", "pmap_free_ptp:zap L2", "pmap_free_ptp:zap L3", "pmap_free_ptp:zap L4",
    ]  # fmt: skip
    bench.run(mappings.pmap_update(bench.k, lwp, space), 0, trace)
    assert bench.mem.is_free(l3)
    assert space.ptp_wire == {}


def test_svs_lwp_switch_enters_the_stack_page_in_the_user_tables_only():
    bench = Bench("svs-2018-02")
    lwp = bench.lwp("a")
    ci = bench.k.cpus[0]
    ci.ci_svs_utls.v[UTLS_SCRATCH] = 99
    trace: list[str] = []
    bench.run(svs.svs_lwp_switch(bench.k, ci, False, None, lwp), 0, trace)
    table, index = ci.ci_svs_rsp0_pte
    assert table.v[index] == bench.k.tables.l1(lwp.pcb_rsp0)
    assert ci.ci_svs_krsp0 == lwp.pcb_rsp0 - TRAPFRAME
    assert ci.ci_svs_utls.v[UTLS_SCRATCH] == 0
    rsp0_va = bench.k.layout.entry_page(0, "rsp0") + PAGE_SIZE
    assert bench.k.kernel_entry(rsp0_va) == 0
    assert table.v[index - 1] & P == 0, "the redzone page is never mapped"
    assert trace[:2] == ["svs_lwp_switch:ci_svs_krsp0", "svs_lwp_switch:clear scratch"]
    assert trace[-1] == "svs_lwp_switch:enter rsp0"


def test_svs_lwp_switch_flushes_the_stack_page_in_the_user_pcid():
    bench = Bench("svs-netbsd9")
    lwp = bench.lwp("a")
    trace: list[str] = []
    bench.run(svs.svs_lwp_switch(bench.k, bench.k.cpus[0], True, None, lwp), 0, trace)
    assert trace[-2:] == ["svs_lwp_switch:enter rsp0", "svs_lwp_switch:invpcid rsp0"]


def test_svs_lwp_switch_does_nothing_for_a_kernel_lwp():
    bench = Bench("svs-2018-02")
    kthread = bench.lwp("k", system=True)
    assert bench.run(svs.svs_lwp_switch(bench.k, bench.k.cpus[0], False, None, kthread), 0, trace := []) is None
    assert trace == []


def test_svs_lwp_switch_judges_the_old_lwp():
    bench = Bench("svs-2018-02")
    old, new = bench.lwp("old"), bench.lwp("new")
    with pytest.raises(KernelAssertion, match="krsp0 is old's"):
        bench.run(svs.svs_lwp_switch(bench.k, bench.k.cpus[0], False, old, new), 0)


def in_user_mode(profile, **options):
    """A bench with an LWP that is about to leave for user mode."""
    bench = Bench(profile, **options)
    lwp = bench.lwp("a")
    ci = bench.k.cpus[0]
    bench.load(lwp)
    bench.run(bench.k.design.lwp_switch(bench.k, ci, None, lwp), 0)
    ci.cpu.tss_rsp0 = bench.k.design.rsp0(ci, lwp)
    bench.run(bench.k.design.leave(bench.k, lwp, "sysret"), 0)
    assert ci.cpu.user
    return bench, lwp, ci


@pytest.mark.parametrize("profile", SVS)
def test_syscall_touches_no_stack_between_cr3_and_rsp(profile):
    bench, lwp, ci = in_user_mode(profile)
    assert ci.cpu.cr3_pa == ci.ci_svs_updirpa
    trace: list[str] = []
    bench.run(bench.k.design.enter_syscall(bench.k, lwp), 0, trace)
    at = trace.index("syscall_entry:cr3 kernel")
    assert trace[at - 1] == "syscall_entry:utls kpdirpa"
    assert trace[at + 1] == "syscall_entry:rsp krsp0"
    assert trace.index("syscall_entry:utls scratch") < trace.index("syscall_entry:utls rsp0") < at
    assert trace.index("syscall_entry:push frame") < at
    assert ci.cpu.cr3_pa == lwp.l_proc.pmap.pm_pdirpa == ci.ci_svs_utls.v[UTLS_KPDIRPA]
    assert ci.cpu.rsp == lwp.pcb_rsp0 - TRAPFRAME


@pytest.mark.parametrize("profile", SVS)
def test_the_way_out_sets_rsp_then_cr3_then_restores(profile):
    bench, lwp, ci = in_user_mode(profile)
    bench.run(bench.k.design.enter_syscall(bench.k, lwp), 0)
    trace: list[str] = []
    bench.run(bench.k.design.leave(bench.k, lwp, "sysret"), 0, trace)
    order = wanted(trace, "leave:rsp ursp0", "leave:cr3 user", "leave:pop frame", "leave:ring 3")
    assert order[0] == "leave:rsp ursp0"
    assert order[1] == "leave:cr3 user"
    assert order[-1] == "leave:ring 3"


def test_interrupt_from_user_mode_pushes_through_the_user_tables():
    bench, lwp, ci = in_user_mode("svs-2018-02")
    table, index = ci.ci_svs_rsp0_pte
    table.v[index] = 0
    bench.k.cpus[0].cpu.tlb.flush_all()
    with pytest.raises(MachineCheck, match="push frame"):
        bench.run(bench.k.design.enter_trap(bench.k, lwp), 0)


def test_stack_page_is_mapped_only_in_user_tables():
    bench, lwp, ci = in_user_mode("svs-2018-02")
    bench.run(bench.k.design.enter_syscall(bench.k, lwp), 0)
    fault = bench.take((14, "t", ci.ci_svs_ursp0, Access.WRITE, False), 0)
    assert fault is not None


@pytest.mark.parametrize(("profile", "fails"), [("svs-2018-02", True), ("svs-netbsd8", True), ("svs-netbsd9", False)])
def test_nmi_inside_entry_code(profile, fails):
    """Before the NMI entry of 1.18, an NMI between ring crossing and CR3 write ran on user tables."""
    bench, lwp, ci = in_user_mode(profile)
    bench.run(entry.cross_in("syscall", SyscallEntry), 0)
    if fails:
        with pytest.raises(MachineCheck, match="handler"):
            bench.run(bench.k.design.enter_nmi(bench.k, lwp, False), 0)
        return
    token = bench.run(bench.k.design.enter_nmi(bench.k, lwp, False), 0)
    assert ci.cpu.cr3_pa == bench.k.pmap_kernel.pm_pdirpa
    bench.run(bench.k.design.leave_nmi(bench.k, lwp, False, token), 0)
    assert ci.cpu.cr3_pa == ci.ci_svs_updirpa
