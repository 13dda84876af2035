"""x86 pmap: operation by operation against pmap.c (as of 1.289, March 2018, and 1.423) and svs.c.

Left out, as the model does: evcnt and statistics, pv lists, PMAP_SUBOBJ locks (DIAGNOSTIC only), pmaps_lock.
"""

from __future__ import annotations

import pytest

from sim.errors import KernelAssertion
from sim.hardware.paging import FRAME, NX, A, D, P, U, W, walk
from sim.hardware.steps import Access
from sim.kernel import map_ptes, mappings, pmap, ptp, svs, teardown
from sim.kernel.cpuinfo import TLBSTATE_LAZY, TLBSTATE_STALE, TLBSTATE_VALID, UTLS_KPDIRPA
from tests.kernel.machines import SMALL, Bench
from tests.kernel.test_order import SVS, VA, enter

PCID = ("svs-netbsd9", "svs-netbsd10")
USER_SLOTS = 3


def copy(profile, name="a"):
    """svs_pdir_switch: UTLS, mutex, each slot read (atomically before 2020) and written, mutex, INVPCID."""
    read = "load" if profile == "svs-netbsd10" else "rmw"
    slots = [f"{read} {name}.pm_pdir", "store cpu0 ci_svs_updir"] * USER_SLOTS
    return [
        "store cpu0 utls", "spl 6", "acquire cpu0.ci_svs_mtx", *slots, "release cpu0.ci_svs_mtx", "spl 0",
        *(["invpcid context 1"] if profile in PCID else []),
    ]  # fmt: skip


def lcr3(profile, name="a"):
    """cpu_load_pmap: pm_pdirpa as it is, so without the no-flush bit."""
    return f"cr3 {name}.pm_pdir" + (" pcid 0" if profile in PCID else "")


def wanting(profile, cpus=2):
    """An LWP whose pmap is wanted on CPU 0, where the kernel's is loaded."""
    bench = Bench(profile, cpus)
    lwp = bench.lwp("a")
    lwp.l_cpu.ci_want_pmapload.v[0] = 1
    return bench, lwp, lwp.l_cpu


@pytest.mark.parametrize("profile", SVS)
def test_pmap_load(profile):
    bench, lwp, ci = wanting(profile)
    assert bench.operations(pmap.pmap_load(bench.k, lwp)) == [
        "load cpu0.ci_want_pmapload",
        "rmw a.pm_refs",
        "rmw kernel.pm_cpus", "rmw kernel.pm_kernel_cpus",
        "store cpu0.ci_tlbstate", "rmw a.pm_cpus", "rmw a.pm_kernel_cpus", "store cpu0.ci_pmap",
        *copy(profile), lcr3(profile),
        "store cpu0.ci_want_pmapload",
        "rmw kernel.pm_refs",
    ]  # fmt: skip
    space = lwp.l_proc.pmap
    assert (ci.ci_tlbstate.v[0], ci.ci_pmap.v[0], ci.ci_want_pmapload.v[0]) == (TLBSTATE_VALID, space.number, 0)
    assert (space.pm_cpus.v[0], space.pm_kernel_cpus.v[0], space.pm_obj_refs.v[0]) == (1, 1, 2)
    assert ci.ci_svs_utls.v[UTLS_KPDIRPA] == ci.cpu.cr3_pa == space.pm_pdirpa


@pytest.mark.parametrize("profile", ["none", "pti"])
def test_pmap_load_of_other_designs_copies_nothing(profile):
    bench, lwp, _ = wanting(profile)
    operations = [op for op in bench.operations(pmap.pmap_load(bench.k, lwp))[8:] if "cpu_tlbstate" not in op]
    switch = {"none": ["cr3 a.pm_pdir"], "pti": ["cli", "load a.pm_tlb_gen", "cr3 a.pm_pdir pcid 2", "sti"]}[profile]
    assert operations == [*switch, "store cpu0.ci_want_pmapload", "rmw kernel.pm_refs"]


def test_pmap_load_that_is_not_wanted_only_looks():
    bench, lwp, ci = wanting("svs-2018-02")
    ci.ci_want_pmapload.v[0] = 0
    assert bench.operations(pmap.pmap_load(bench.k, lwp)) == ["load cpu0.ci_want_pmapload"]


@pytest.mark.parametrize("profile", SVS)
@pytest.mark.parametrize("stale", [False, True])
def test_pmap_load_of_the_loaded_pmap_reactivates(profile, stale):
    bench, lwp, ci = wanting(profile)
    bench.load(lwp)
    space = lwp.l_proc.pmap
    ci.ci_want_pmapload.v[0] = 1
    ci.ci_tlbstate.v[0] = TLBSTATE_STALE if stale else TLBSTATE_LAZY
    space.pm_cpus.v[0] = 0 if stale else 1
    flush = "invpcid all_nonglobal 0" if profile in PCID else "cr3 a.pm_pdir"
    assert bench.operations(pmap.pmap_load(bench.k, lwp)) == [
        "load cpu0.ci_want_pmapload", "store cpu0.ci_tlbstate", "load a.pm_cpus",
        *(["rmw a.pm_cpus", flush] if stale else []), "store cpu0.ci_want_pmapload",
    ]  # fmt: skip
    assert (space.pm_cpus.v[0], ci.ci_tlbstate.v[0]) == (1, TLBSTATE_VALID)


def test_pmap_load_judges_what_netbsd_asserts():
    for spoil, what in (
        (lambda b, ci: setattr(ci.cpu, "intr", False), "interrupts on"),
        (lambda b, ci: setattr(ci.cpu, "ipl", 8), "able to take IPIs"),
        (lambda b, ci: setattr(ci.cpu, "cr3_pa", 0), "CR3 is pm_pdirpa"),
        (lambda b, ci: ci.ci_curlwp.l_proc.pmap.pm_kernel_cpus.v.__setitem__(0, 1), "not yet in the new pmap's sets"),
    ):
        bench, lwp, ci = wanting("svs-netbsd8")
        spoil(bench, ci)
        with pytest.raises(KernelAssertion, match=what):
            bench.run(pmap.pmap_load(bench.k, lwp))


def test_reactivation_of_a_cpu_that_left_pm_kernel_cpus_is_an_assertion():
    bench, lwp, ci = wanting("svs-netbsd8")
    bench.load(lwp)
    lwp.l_proc.pmap.pm_kernel_cpus.v[0] = 0
    with pytest.raises(KernelAssertion, match="pm_kernel_cpus"):
        bench.run(pmap.pmap_reactivate(bench.k, ci, lwp.l_proc.pmap))


def test_activate_wants_a_user_pmap_and_loads_nothing():
    bench = Bench("svs-netbsd8", 1)
    lwp, kthread = bench.lwp("a"), bench.lwp("k", system=True)
    assert bench.operations(pmap.pmap_activate(bench.k, lwp)) == ["store cpu0.ci_want_pmapload"]
    with pytest.raises(KernelAssertion, match="ci_want_pmapload is 0"):
        bench.run(pmap.pmap_activate(bench.k, lwp))
    bench.k.cpus[0].ci_want_pmapload.v[0] = 0
    assert bench.operations(pmap.pmap_activate(bench.k, kthread)) == []


def test_deactivate():
    bench, lwp, ci = wanting("svs-netbsd8")
    look = ["load cpu0.tp_count", "load cpu0.ci_want_pmapload"]
    assert bench.operations(pmap.pmap_deactivate(bench.k, ci, lwp)) == [*look, "store cpu0.ci_want_pmapload"]
    assert (ci.ci_want_pmapload.v[0], ci.ci_tlbstate.v[0]) == (0, TLBSTATE_STALE), "not loaded: not lazy either"
    bench.load(lwp)
    assert bench.operations(pmap.pmap_deactivate(bench.k, ci, lwp)) == [*look, "store cpu0.ci_tlbstate"]
    kthread = bench.lwp("k", system=True)
    assert bench.operations(pmap.pmap_deactivate(bench.k, ci, kthread)) == look
    assert ci.ci_tlbstate.v[0] == TLBSTATE_LAZY
    bench.put(lwp, 0)
    with pytest.raises(KernelAssertion, match="VALID"):
        bench.run(pmap.pmap_deactivate(bench.k, ci, lwp))


def test_map_ptes_of_ones_own_pmap():
    bench, lwp, ci = wanting("svs-netbsd8")
    load = bench.operations(pmap.pmap_load(bench.k, lwp))
    bench, lwp, ci = wanting("svs-netbsd8")
    space = lwp.l_proc.pmap
    take = ["acquire a.pm_lock", "load cpu0.ci_want_pmapload"]
    assert bench.operations(map_ptes.pmap_map_ptes(bench.k, lwp, space)) == [
        *take, "release a.pm_lock", *load, *take,
    ], "loaded first if wanted, and looked again"  # fmt: skip
    assert bench.operations(map_ptes.pmap_unmap_ptes(bench.k, lwp, space, space)) == ["release a.pm_lock"]
    assert ci.ci_tlbstate.v[0] == TLBSTATE_VALID


def foreign(profile="svs-netbsd8"):
    """CPU 0 runs *mine*, whose pmap is loaded; *other* has a pmap that is loaded nowhere."""
    bench = Bench(profile, 2)
    other = bench.lwp("other")
    mine = bench.lwp("mine")
    bench.load(mine)
    return bench, mine, other.l_proc.pmap


@pytest.mark.parametrize("profile", SVS)
def test_map_ptes_of_a_foreign_pmap_loads_it_here(profile):
    bench, mine, space = foreign(profile)
    ci = bench.k.cpus[0]
    assert bench.operations(map_ptes.pmap_map_ptes(bench.k, mine, space)) == [
        "acquire other.pm_lock",
        "rmw mine.pm_cpus", "rmw mine.pm_kernel_cpus", "store cpu0.ci_pmap", "store cpu0.ci_tlbstate",
        "rmw other.pm_cpus", "rmw other.pm_kernel_cpus",
        *copy(profile, "other"), lcr3(profile, "other"),
    ]  # fmt: skip
    before = mine.l_proc.pmap
    assert bench.operations(map_ptes.pmap_unmap_ptes(bench.k, mine, space, before)) == [
        "store cpu0.ci_tlbstate", "store cpu0.ci_want_pmapload", "release other.pm_lock",
        "rmw other.pm_refs", "rmw mine.pm_refs",
    ]  # fmt: skip
    assert (ci.ci_tlbstate.v[0], ci.ci_want_pmapload.v[0], ci.ci_pmap.v[0]) == (TLBSTATE_LAZY, 1, space.number)


def test_map_ptes_of_the_lazily_loaded_pmap_makes_it_valid():
    """The common case in exit: the kernel pmap is the LWP's by then, the user pmap is in CR3 still."""
    bench = Bench("svs-netbsd8", 1)
    lwp = bench.lwp("a")
    bench.load(lwp)
    space, ci = lwp.l_proc.pmap, bench.k.cpus[0]
    bench.run(pmap.pmap_deactivate(bench.k, ci, lwp))
    lwp.l_proc.pmap = bench.k.pmap_kernel
    assert bench.operations(map_ptes.pmap_map_ptes(bench.k, lwp, space)) == [
        "acquire a.pm_lock", "store cpu0.ci_tlbstate", "load a.pm_cpus",
    ]  # fmt: skip
    assert bench.operations(map_ptes.pmap_unmap_ptes(bench.k, lwp, space, space)) == [
        "store cpu0.ci_tlbstate", "store cpu0.ci_want_pmapload", "release a.pm_lock",
    ]  # fmt: skip
    assert (ci.ci_tlbstate.v[0], ci.ci_want_pmapload.v[0]) == (TLBSTATE_LAZY, 0)


def test_no_context_switch_while_ptes_are_mapped_in():
    bench, mine, space = foreign()
    bench.run(map_ptes.pmap_map_ptes(bench.k, mine, space))
    mine.l_ncsw += 1
    with pytest.raises(KernelAssertion, match="no context switch"):
        bench.run(map_ptes.pmap_unmap_ptes(bench.k, mine, space, mine.l_proc.pmap))


@pytest.mark.parametrize("profile", ["none", *SVS, "pti"])
def test_pmap_create_and_destroy(profile):
    bench = Bench(profile, 1)
    k, ci = bench.k, bench.k.cpus[0]
    pages = bench.mem.in_use
    made = bench.run(pmap.pmap_create(k, ci, "new"))
    slot = SMALL.pte_slot
    assert made.pm_pdir.v[:slot] == [0] * slot
    assert made.pm_pdir.v[slot] == made.pm_pdirpa | P | W | NX, "recursive, writable, not for user mode"
    assert made.pm_pdir.v[slot + 1 :] == k.pmap_kernel.pm_pdir.v[slot + 1 :]
    assert (made.pm_obj_refs.v[0], made.pm_cpus.v[0], made.pm_kernel_cpus.v[0]) == (1, 0, 0)
    assert bench.mem.in_use == pages + (2 if profile == "pti" else 1)
    assert bench.operations(pmap.pmap_destroy(k, ci, made)) == ["rmw new.pm_refs", "load new.pm_kernel_cpus"]
    assert bench.mem.in_use == pages
    assert made.number not in k.pmaps


def test_pmap_destroy_of_a_pmap_in_use_is_an_assertion():
    bench = Bench("svs-netbsd8", 2)
    lwp = bench.lwp("a", cpu=1)
    bench.load(lwp)
    space = lwp.l_proc.pmap
    assert bench.operations(pmap.pmap_destroy(bench.k, bench.k.cpus[0], space)) == ["rmw a.pm_refs"]
    with pytest.raises(KernelAssertion, match="in use"):
        bench.run(pmap.pmap_destroy(bench.k, bench.k.cpus[0], space))


@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_recursive_slot_leads_to_the_table_pages(level):
    bench = Bench("svs-netbsd8", 1)
    lwp = bench.lwp("a")
    bench.load(lwp)
    enter(bench, lwp)
    space = lwp.l_proc.pmap
    pa = space.pm_pdirpa
    for above in range(SMALL.levels, level, -1):
        pa = bench.mem.table(pa).v[SMALL.index(VA, above)] & FRAME
    va = bench.k.layout.recursive(VA, level)
    assert walk(bench.mem, SMALL, space.pm_pdirpa, va, Access.WRITE, False, set_ad=False).pa == pa


def test_svs_pdir_switch_judges_the_kernel_pmap():
    bench = Bench("svs-netbsd8", 1)
    k = bench.k
    with pytest.raises(KernelAssertion, match="not the kernel pmap"):
        bench.run(svs.svs_pdir_switch(k, k.cpus[0], k.design.revision, False, k.pmap_kernel))


def test_svs_pmap_sync_judges_lock_slot_and_pmap():
    bench = Bench("svs-netbsd8", 1)
    lwp = bench.lwp("a")
    bench.load(lwp)
    k, ci, space = bench.k, lwp.l_cpu, lwp.l_proc.pmap
    sync = k.design.pmap_sync
    with pytest.raises(KernelAssertion, match="pm_lock owned"):
        bench.run(sync(k, ci, space, 0))
    space.pm_lock.owner = ci.cpu
    with pytest.raises(KernelAssertion, match="user slot"):
        bench.run(sync(k, ci, space, SMALL.user_slots))
    with pytest.raises(KernelAssertion, match="not the kernel pmap"):
        bench.run(sync(k, ci, k.pmap_kernel, 0))


def test_svs_pmap_sync_of_2020_asserts_that_this_cpu_has_the_pmap():
    bench = Bench("svs-netbsd10", 2)
    lwp = bench.lwp("a")
    space, ci = lwp.l_proc.pmap, lwp.l_cpu
    space.pm_lock.owner = ci.cpu
    with pytest.raises(KernelAssertion, match="this CPU has the pmap loaded"):
        bench.run(bench.k.design.pmap_sync(bench.k, ci, space, 0))


@pytest.mark.parametrize("profile", SVS)
def test_svs_pmap_sync_looks_again_under_the_mutex(profile):
    """A CPU that left between the two looks is not written to."""
    bench = Bench(profile, 2)
    a, b = bench.lwp("a", cpu=0), bench.lwp("b", cpu=1)
    bench.load(a)
    space = b.l_proc.pmap = a.l_proc.pmap
    bench.load(b)
    ci, other = bench.k.cpus
    space.pm_lock.owner = ci.cpu
    space.pm_pdir.v[1] = 0x77000 | P
    done = []
    for step in bench.steps(bench.k.design.pmap_sync(bench.k, ci, space, 1)):
        done.append(bench.operation(step))
        if done[-1] == "acquire cpu1.ci_svs_mtx":
            space.pm_kernel_cpus.v[0] &= ~2
    assert other.ci_svs_updir.v[1] == 0
    assert done[-4:] == ["acquire cpu1.ci_svs_mtx", "load a.pm_kernel_cpus", "release cpu1.ci_svs_mtx", "spl 0"]


def test_get_ptp_and_free_ptp_need_the_lock():
    bench = Bench("svs-netbsd8", 1)
    lwp = bench.lwp("a")
    bench.load(lwp)
    space = lwp.l_proc.pmap
    with pytest.raises(KernelAssertion, match="pm_lock owned"):
        bench.run(ptp.pmap_get_ptp(bench.k, lwp.l_cpu, space, VA))
    enter(bench, lwp)
    with pytest.raises(KernelAssertion, match="pm_lock owned"):
        bench.run(ptp.pmap_free_ptp(bench.k, lwp, space, VA))
    bench.run(teardown.pmap_remove_all(bench.k, lwp, space))
    with pytest.raises(KernelAssertion, match="torn down"):
        enter(bench, lwp)
    assert mappings.pmap_extract(bench.k, space, VA) & (P | U | W | A | D) == P | U | W | A
