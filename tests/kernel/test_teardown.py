"""pmap_remove_all of NetBSD 10 and who calls it, operation by operation.

Read: pmap.c of NetBSD 10 (pmap_remove_all, pmap_zap_ptp), x86_tlb.c 1.20 (pmap_tlb_shootdown of -1: both sets).
"""

from __future__ import annotations

import pytest

from sim.hardware.steps import Op
from sim.kernel import mappings, process, teardown
from sim.kernel.cpuinfo import TLBSTATE_STALE
from sim.kernel.layout import PAGE_SIZE
from tests.kernel.machines import SMALL, Bench
from tests.kernel.test_mappings import SPAN, enter, loaded, sync
from tests.kernel.test_order import VA

QUEUE = ["spl 6", "load cpu0.tp_count"]
RECURSIVE = [*QUEUE, "store cpu0.tp_count", "load a.pm_cpus", "load a.pm_kernel_cpus", "spl 0"]
FLUSH = ["load cpu0.tp_count", "spl 6", "load cpu0.tp_count"]


def test_a_batch_is_zapped_without_stores_shot_down_as_a_whole_and_then_updated():
    bench, lwp, space = loaded("svs-netbsd10")
    for va in (VA, VA + 2 * PAGE_SIZE):
        bench.run(enter(bench, lwp, va))
    tables = list(space.ptp_wire)
    first = SMALL.index(VA, 1)
    assert bench.operations(teardown.pmap_remove_all_in_batches(bench.k, lwp, space)) == [
        "acquire a.pm_lock", "load cpu0.ci_want_pmapload",  # the lookup of the table pages is under the lock
        "read PTE_BASE", *["load a L1"] * 3,  # from the lowest entry until all are found: no store, no shootdown each
        "write L2_BASE", "rmw a L2", *RECURSIVE,
        "write L3_BASE", "rmw a L3", *RECURSIVE,
        "write L4_BASE", "rmw a.pm_pdir", *sync("svs-netbsd10"), *RECURSIVE,
        *RECURSIVE,  # REMOVE_ALL: everything, on all that use the pmap or have it loaded
        "release a.pm_lock",
        *FLUSH, "invpcid all_nonglobal 0", "store cpu0.tp_count", "spl 0",  # pmap_update
        "acquire a.pm_lock", "release a.pm_lock",  # no table page is left
    ]  # fmt: skip
    assert first + 2 < SMALL.entries
    assert space.ptp_wire == {}
    assert all(bench.mem.is_free(pa) for pa in tables)


@pytest.mark.parametrize(("tables", "flushes"), [(1, 1), (32, 1), (33, 2)])
def test_at_most_32_table_pages_go_at_once(tables, flushes):
    bench, lwp, space = loaded("svs-netbsd10")
    for n in range(tables):
        bench.run(enter(bench, lwp, n * SPAN))
    ops = bench.operations(teardown.pmap_remove_all_in_batches(bench.k, lwp, space))
    assert ops.count("invpcid all_nonglobal 0") == flushes
    assert space.ptp_wire == {}


def lazily_loaded_elsewhere(profile):
    """An LWP whose pmap another CPU has in CR3 still, where a kernel LWP has replaced it."""
    bench = Bench(profile, 2)
    lwp = bench.lwp("a")
    bench.load(lwp)
    bench.run(enter(bench, lwp, VA))
    sibling = bench.lwp("b", "a", cpu=1)
    sibling.l_proc.p_nlwps = 1
    sibling.l_proc = lwp.l_proc
    bench.load(sibling)
    bench.run(bench.k.design.lwp_switch(bench.k, lwp.l_cpu, None, lwp))
    from sim.kernel.pmap import pmap_deactivate

    bench.run(pmap_deactivate(bench.k, sibling.l_cpu, sibling), 1)
    lwp.l_proc.p_nlwps = 1
    return bench, lwp


@pytest.mark.parametrize(("profile", "ipis"), [("svs-netbsd8", 0), ("svs-netbsd9", 0), ("svs-netbsd10", 1)])
def test_an_exit_interrupts_a_cpu_that_has_the_pmap_lazily_in_netbsd_10_only(profile, ipis):
    bench, lwp = lazily_loaded_elsewhere(profile)
    space = lwp.l_proc.pmap
    ops = []
    for step in bench.steps(process.exit1(bench.k, lwp)):
        ops.append(bench.operation(step))
        if step[0] is Op.SWITCH:
            break
    assert len([op for op in ops if op.startswith("ipi tlb")]) == ipis
    assert (bench.k.cpus[1].ci_tlbstate.v[0] == TLBSTATE_STALE) == bool(ipis)
    assert space.ptp_wire == {}


@pytest.mark.parametrize("profile", ["svs-netbsd8", "svs-netbsd10"])
def test_an_exec_flushes_and_frees_in_every_revision(profile):
    bench, lwp, space = loaded(profile)
    lwp.l_proc.p_nlwps = 1
    bench.run(enter(bench, lwp, VA))
    tables = list(space.ptp_wire)
    bench.run(process.execve(bench.k, lwp))
    assert all(bench.mem.is_free(pa) for pa in tables)
    assert mappings.mapped_ranges(bench.k, space) == []
