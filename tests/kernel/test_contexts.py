"""The contexts that CPUs remember under ``pti``, operation by operation (Linux's arch/x86/mm/tlb.c)."""

from __future__ import annotations

import pytest

from sim.kernel import shootdown
from sim.kernel.contexts import DYNAMIC_ASIDS, FIRST, LOADED, NOBODY, OTHERS, USER_BIT, USER_FLUSH
from sim.kernel.designs import make_design
from sim.kernel.designs.variations import vary
from sim.kernel.shootdown import EVERYTHING, PmapTlbIntr, pmap_tlb_invalidate, pmap_tlb_shootdown
from tests.kernel.machines import Bench

PAGE = 0x3000


def processes(count, **options):
    """So many processes, the last of them loaded on CPU 0 after all others in turn."""
    bench = Bench("pti", 2, **options)
    lwps = [bench.lwp(f"p{i}") for i in range(count)]
    for lwp in lwps:
        bench.load(lwp)
    return bench, lwps


def cr3(bench, lwp):
    """The CR3 writes of loading an LWP's pmap on CPU 0."""
    from sim.kernel.pmap import pmap_load

    lwp.l_cpu.ci_want_pmapload.v[0] = 1
    bench.put(lwp, 0)
    return [op for op in bench.operations(pmap_load(bench.k, lwp)) if op.startswith("cr3")]


def changed(bench, lwp, va=PAGE):
    """Somebody changes a page of the LWP's pmap; its CPUs are not told yet.  Returns the request."""
    packet = bench.k.cpus[1].ci_pmap_data
    other = bench.lwp("other", cpu=1)
    bench.run(pmap_tlb_shootdown(bench.k, other, lwp.l_proc.pmap, va, 0, "REMOVE_PTE"), 1)
    return packet.request(1)


def test_a_context_that_is_remembered_is_loaded_without_a_flush():
    bench, (a, b) = processes(2)
    assert cr3(bench, a) == ["cr3 p0.pm_pdir pcid 2 no-flush"]
    assert cr3(bench, b) == ["cr3 p1.pm_pdir pcid 3 no-flush"]


def test_the_oldest_of_seven_is_forgotten():
    bench, lwps = processes(DYNAMIC_ASIDS + 1)
    assert cr3(bench, lwps[1]) == ["cr3 p1.pm_pdir pcid 3 no-flush"]
    assert cr3(bench, lwps[0]) == ["cr3 p0.pm_pdir pcid 3"]


def test_with_one_context_every_load_flushes_both_halves():
    bench = Bench("pti+one-context", 1)
    for name in ("p0", "p1"):
        lwp = bench.lwp(name)
        assert cr3(bench, lwp) == [f"cr3 {name}.pm_pdir pcid 1"]
        assert bench.k.cpus[0].cpu_tlbstate.v[USER_FLUSH] == 1


def test_without_pcid_every_load_flushes():
    bench, (a, b) = processes(2, pcid=False)
    assert (cr3(bench, a), cr3(bench, b)) == (["cr3 p0.pm_pdir"], ["cr3 p1.pm_pdir"])


def test_a_context_that_missed_a_change_is_flushed_when_it_comes_back_both_halves():
    bench, (a, b) = processes(2)
    changed(bench, a)
    state = bench.k.cpus[0].cpu_tlbstate
    state.v[USER_FLUSH] = 0
    assert cr3(bench, a) == ["cr3 p0.pm_pdir pcid 2"]
    assert state.v[USER_FLUSH] == 1 << 1
    assert cr3(bench, b) == ["cr3 p1.pm_pdir pcid 3 no-flush"]


def test_the_way_to_user_mode_makes_up_for_the_flush_once():
    bench, (a,) = processes(1)
    leaving = [
        [op for op in bench.operations(bench.k.design.leave(bench.k, a, "sysret")) if op.startswith("cr3")]
        for _ in range(2)
        if not bench.run(bench.k.design.enter_syscall(bench.k, a))
    ]
    user = 2 | USER_BIT
    assert leaving == [[f"cr3 p0.pm_updir pcid {user}"], [f"cr3 p0.pm_updir pcid {user} no-flush"]]


def flushes(bench, request):
    """What a request makes CPU 0 do besides looking."""
    ops = bench.operations(pmap_tlb_invalidate(bench.k, bench.k.cpus[0], request, PmapTlbIntr))
    return [op for op in ops if not op.endswith(("cpu_tlbstate", "pm_tlb_gen"))]


def test_a_request_is_done_once():
    bench, (a,) = processes(1)
    request = changed(bench, a)
    assert flushes(bench, request) == [f"invpcid address {2 | USER_BIT}", f"invlpg {PAGE:#x}"]
    assert flushes(bench, request) == []


def test_a_request_behind_another_change_flushes_the_context():
    bench, (a,) = processes(1)
    changed(bench, a)
    bench.k.cpus[1].ci_pmap_data.clear()
    bench.k.cpus[1].ci_pmap_data.tp_count.v[0] = 0
    assert flushes(bench, changed(bench, a)) == ["cr3 p0.pm_pdir pcid 2"]


@pytest.mark.parametrize("pages", [2, EVERYTHING])
def test_what_is_not_loaded_is_left_alone(pages):
    bench, (a, _) = processes(2)
    request = changed(bench, a)
    assert flushes(bench, request._replace(pages=pages)) == []
    assert cr3(bench, a) == ["cr3 p0.pm_pdir pcid 2"]


def test_pages_of_the_kernel_pmap_make_the_other_contexts_void():
    bench, (a, b) = processes(2)
    kernel = shootdown.Request(1, (bench.k.layout.kernel_data,), False, False, 1, kernel_pmap=True)
    assert flushes(bench, kernel)[-1] == f"invlpg {bench.k.layout.kernel_data:#x}"
    state = bench.k.cpus[0].cpu_tlbstate
    assert state.v[OTHERS] == 1
    assert cr3(bench, a) == ["cr3 p0.pm_pdir pcid 4"]
    assert (state.v[OTHERS], state.v[LOADED], state.v[FIRST]) == (0, 3, NOBODY)
    assert state.v[FIRST + 4] == b.l_proc.pmap.number


def test_an_interrupt_between_the_look_and_the_load_is_kept_out():
    """Whoever changes the pmap after the look gets an IPI in that is only taken once CR3 is loaded."""
    bench, (a, _) = processes(2)
    steps = bench.steps(bench.k.design.load_cr3(bench.k, bench.k.cpus[0], a.l_proc.pmap))
    on = [bench.k.cpus[0].cpu.intr for _ in steps]
    assert on[0]
    assert not any(on[1:])
    assert bench.k.cpus[0].cpu.intr


def test_linux_counts_changes_without_isolation_too_and_svs_does_not():
    for profile, counts in (("none", True), ("svs-netbsd9", False)):
        design = make_design(profile, None)
        vary(design, ["call-queues"])
        assert (design.contexts is not None) is counts
    bench = Bench("none+call-queues", 1)
    lwp = bench.lwp("a")
    bench.load(lwp)
    assert bench.k.cpus[0].cpu.pcid == 0
    assert bench.operations(bench.k.design.leave(bench.k, lwp, "iret"))
    assert bench.k.cpus[0].cpu_tlbstate.v[USER_FLUSH] == 0


def test_a_page_of_the_user_half_can_wait_for_the_return():
    bench = Bench("pti+defer-user-flush", 1)
    a = bench.lwp("a")
    bench.load(a)
    bench.k.cpus[0].cpu_tlbstate.v[USER_FLUSH] = 0
    ops = bench.operations(bench.k.design.invlpg(bench.k, bench.k.cpus[0], PAGE, PmapTlbIntr))
    assert ops[-1] == f"invlpg {PAGE:#x}"
    assert bench.k.cpus[0].cpu_tlbstate.v[USER_FLUSH] == 2
