"""Kernel mappings, operation by operation (pmap.c of July 2018), and kernel memory (uvm_km.c 1.135)."""

from __future__ import annotations

import pytest

from sim.errors import PageMisused
from sim.hardware.cpu import IPL_VM
from sim.hardware.paging import FRAME, NX, A, D, G, P, W
from sim.kernel import kmem
from sim.kernel.layout import KernelMemory
from sim.kernel.mappings import pmap_update
from sim.kernel.shootdown import EVERYTHING, pmap_tlb_shootdown
from tests.kernel.machines import Bench

USER_PAGE = 0x3000
TAG = ["spl 6", "acquire kmem_arena.vm_lock", "load kmem_arena", "store kmem_arena", "release kmem_arena.vm_lock",
       "spl 0"]  # fmt: skip
TESTSET = ["write PTE_BASE", "rmw kernel L1"]  # kvtopte, pmap_pte_testset
SHOOT = ["spl 6", "load cpu0.tp_count", "store cpu0.tp_count", "spl 0"]  # pmap_tlb_shootdown: no set is read
IDLE = ["load cpu0.tp_count"]  # pmap_tlb_shootnow without anything to do


def made(profile="svs-netbsd8", cpus=2):
    """A kernel with two pages of memory that has been used, and an LWP of a process."""
    bench = Bench(profile, cpus)
    lwp = bench.lwp("a")
    bench.load(lwp)
    bench.k.kmem = KernelMemory(bench.k.tables, 3)
    for page in (0, 1):
        kmem.was_there(bench.k, page)
    return bench, lwp


def pte(bench, page):
    return bench.k.tables.l1(bench.k.kmem.va(page))


@pytest.mark.parametrize(("profile", "globl"), [("none", G), ("svs-netbsd8", G), ("svs-netbsd10", 0), ("pti", 0)])
def test_kenter_leaves_a_and_d_to_the_hardware_and_takes_pmap_pg_g(profile, globl):
    bench, lwp = made(profile)
    pa = bench.mem.alloc_page("data")
    assert bench.operations(kmem.pmap_kenter_pa(bench.k, lwp, bench.k.kmem.va(2), pa)) == TESTSET
    assert pte(bench, 2) == pa | P | W | NX | globl


def test_kenter_over_a_mapping_in_use_shoots_it_down():
    bench, lwp = made()
    pa = bench.mem.alloc_page("data")
    assert bench.operations(kmem.pmap_kenter_pa(bench.k, lwp, bench.k.kmem.va(0), pa)) == [*TESTSET, *SHOOT]
    assert bench.k.cpus[0].ci_pmap_data.why == "KENTER"


def test_kremove_shoots_down_what_was_accessed_on_all_running_cpus():
    bench, lwp = made("svs-netbsd8", 3)
    old = pte(bench, 0)
    assert bench.operations(kmem.pmap_kremove(bench.k, lwp, bench.k.kmem.va(0))) == [*TESTSET, *SHOOT]
    packet = bench.k.cpus[0].ci_pmap_data
    assert (packet.tp_cpumask, packet.tp_va, packet.tp_userpmap) == (0b111, [bench.k.kmem.va(0)], False)
    assert packet.tp_pte & (G | A) == old & (G | A)
    assert pte(bench, 0) == 0


def test_kremove_of_what_was_never_accessed_or_is_not_there_sends_nothing():
    bench, lwp = made()
    table, index = bench.k.tables.pte(bench.k.kmem.va(0))
    table.v[index] &= ~(A | D)
    for page in (0, 2):
        assert bench.operations(kmem.pmap_kremove(bench.k, lwp, bench.k.kmem.va(page))) == TESTSET


def test_memory_is_freed_before_its_shootdown_and_its_address_after():
    """uvm_km_pgremove_intrsafe frees the pages, uvm_km_kmem_free calls pmap_update; vmem_free comes last."""
    bench, lwp = made(cpus=1)
    pa, going = pte(bench, 0) & FRAME, kmem.uvm_km_kmem_free(bench.k, lwp, 0)
    freed_at = None
    done = []
    for step in bench.steps(going):
        done.append(bench.operation(step))
        if freed_at is None and bench.mem.is_free(pa):
            freed_at = len(done)
    assert [op for op in done if op != "cost"] == [
        *TAG, *TESTSET, *SHOOT,
        "load cpu0.tp_count", "spl 6", "load cpu0.tp_count", f"invlpg {bench.k.kmem.va(0):#x}", "store cpu0.tp_count",
        "spl 0", *TAG,
    ]  # fmt: skip
    assert done[freed_at - 1] == "load cpu0.tp_count"
    assert done[freed_at - 2] == "cost"
    assert bench.k.kmem.tags.v[0] == kmem.FREE


def test_who_does_not_find_memory_in_use_touches_nothing():
    bench, lwp = made()
    asked = ["spl 6", "acquire kmem_arena.vm_lock", "load kmem_arena", "release kmem_arena.vm_lock", "spl 0"]
    assert bench.operations(kmem.uvm_km_kmem_free(bench.k, lwp, 2)) == asked
    assert bench.operations(kmem.pipe_loan_free(bench.k, lwp, 2)) == asked
    assert bench.operations(kmem.uvm_km_kmem_alloc(bench.k, lwp, 0)) == asked
    assert bench.run(kmem.uvm_km_kmem_free(bench.k, lwp, 2)) == 0


def test_loaned_pages_stay_their_owners():
    bench, lwp = made()
    pa = pte(bench, 1) & FRAME
    assert bench.run(kmem.pipe_loan_free(bench.k, lwp, 1)) == pa
    bench.mem.free(pa)
    with pytest.raises(PageMisused):
        bench.mem.free(pa)


def test_allocated_memory_needs_no_shootdown():
    bench, lwp = made()
    assert bench.operations(kmem.uvm_km_kmem_alloc(bench.k, lwp, 2)) == [*TAG, *TESTSET, *IDLE]
    assert bench.k.kmem.vm_lock.ipl == IPL_VM


@pytest.mark.parametrize("user_first", [True, False])
def test_one_packet_for_pages_of_a_process_and_of_the_kernel(user_first):
    """kcpuset_copy of all running CPUs, or kcpuset_merge into them: the union either way."""
    bench, lwp = made("svs-netbsd8", 3)
    space = lwp.l_proc.pmap
    requests = [lambda: pmap_tlb_shootdown(bench.k, lwp, space, USER_PAGE, 0, "REMOVE_PTE"),
                lambda: kmem.pmap_kremove(bench.k, lwp, bench.k.kmem.va(0))]  # fmt: skip
    for request in requests if user_first else requests[::-1]:
        bench.run(request())
    packet = bench.k.cpus[0].ci_pmap_data
    assert (packet.tp_cpumask, packet.tp_userpmap) == (0b111, True)
    assert sorted(packet.tp_va) == [USER_PAGE, bench.k.kmem.va(0)]


def test_a_full_packet_with_a_page_of_the_kernel_flushes_global_entries():
    bench, lwp = made("none")
    bench.run(kmem.pmap_kremove(bench.k, lwp, bench.k.kmem.va(0)))
    for page in range(6):
        bench.run(pmap_tlb_shootdown(bench.k, lwp, lwp.l_proc.pmap, page << 12, 0, "REMOVE_PTE"))
    assert bench.k.cpus[0].ci_pmap_data.tp_count.v[0] == EVERYTHING
    assert [op for op in bench.operations(bench.k.design.shootdown.shootnow(bench.k, lwp.l_cpu)) if "pge" in op]


def test_a_handler_frees_no_table_pages_of_the_lwp_that_it_hit():
    """pmap_update: "not from interrupt context"; the frames of handlers lie above the LWP's own."""
    bench, lwp = made()
    lwp.frames = [iter(())]
    lwp.md_gc_ptp = [bench.mem.alloc_table("a L1")]
    lwp.frames.append(iter(()))
    bench.run(pmap_update(bench.k, lwp, bench.k.pmap_kernel))
    assert len(lwp.md_gc_ptp) == 1
    lwp.frames.pop()
    bench.run(pmap_update(bench.k, lwp, bench.k.pmap_kernel))
    assert lwp.md_gc_ptp == []


def test_linux_forgets_the_other_contexts_and_flushes_a_mixed_packet_whole():
    """flush_tlb_one_kernel: invalidate_other; a packet that is also for this pmap is done besides."""
    bench, lwp = made("pti")
    space = lwp.l_proc.pmap
    bench.run(pmap_tlb_shootdown(bench.k, lwp, space, USER_PAGE, 0, "REMOVE_PTE"))
    bench.run(kmem.pmap_kremove(bench.k, lwp, bench.k.kmem.va(0)))
    ops = bench.operations(bench.k.design.shootdown.shootnow(bench.k, lwp.l_cpu))
    assert ops.count(f"invlpg {bench.k.kmem.va(0):#x}") >= 1
    assert ops.count(f"invlpg {USER_PAGE:#x}") >= 1
    assert ops.index("store cpu0.cpu_tlbstate") < ops.index(f"invlpg {bench.k.kmem.va(0):#x}")
    assert space.pm_tlb_gen.v[0] == 1
    assert bench.k.pmap_kernel.pm_tlb_gen.v[0] == 0
