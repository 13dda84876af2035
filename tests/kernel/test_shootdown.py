"""TLB shootdown, operation by operation: x86_tlb.c 1.1.2.1 (2018) and 1.20 (2022); flushes by cpufunc.S 1.55."""

from __future__ import annotations

import pytest

from sim.errors import KernelAssertion
from sim.hardware.paging import PS, G
from sim.hardware.steps import Op
from sim.kernel import shootdown
from sim.kernel.cpuinfo import TLBSTATE_LAZY, TLBSTATE_STALE, TLBSTATE_VALID
from sim.kernel.shootdown import EVERYTHING, pmap_tlb_shootdown
from tests.kernel.machines import Bench

OLD = ("svs-2018-02", "svs-netbsd8", "svs-netbsd9")
PCID = ("svs-netbsd9", "svs-netbsd10")
PAGE = 0x3000


def shared(profile, cpus):
    """One process with an LWP on each CPU, its pmap loaded everywhere."""
    bench = Bench(profile, cpus)
    lwps = [bench.lwp("a", cpu=0)]
    bench.load(lwps[0])
    for i in range(1, cpus):
        lwps.append(bench.lwp(f"b{i}", cpu=i))
        lwps[i].l_proc = lwps[0].l_proc
        bench.load(lwps[i])
    return bench, lwps[0]


def queue(bench, lwp, va=PAGE, pte=0):
    bench.run(pmap_tlb_shootdown(bench.k, lwp, lwp.l_proc.pmap, va, pte, "REMOVE_PTE"))


def page(profile, va=PAGE):
    """pmap_update_pg: invlpg, which with PCID flushes the user PCID first."""
    return [*(["invpcid address 1"] if profile in PCID else []), f"invlpg {va:#x}"]


# --- queueing -------------------------------------------------------------------------------------------------------


def test_a_request_is_queued_at_splvm_for_pm_cpus():
    bench, lwp = shared("svs-netbsd8", 2)
    space, packet = lwp.l_proc.pmap, bench.k.cpus[0].ci_pmap_data
    assert bench.operations(pmap_tlb_shootdown(bench.k, lwp, space, PAGE, 0, "ENTER")) == [
        "spl 6", "load cpu0.tp_count", "store cpu0.tp_count", "load a.pm_cpus", "spl 0",
    ]  # fmt: skip
    assert (packet.tp_count.v[0], packet.tp_va, packet.tp_cpumask, packet.tp_userpmap) == (1, [PAGE], 3, True)


@pytest.mark.parametrize(("va", "sets"), [(PAGE, 1), (EVERYTHING, 2), (0x7F << 40, 2)])
def test_above_the_user_limit_pm_kernel_cpus_are_targets_too(va, sets):
    bench, lwp = shared("svs-netbsd8", 2)
    space = lwp.l_proc.pmap
    space.pm_cpus.v[0] = 1
    ops = bench.operations(pmap_tlb_shootdown(bench.k, lwp, space, va, 0, "FREE_PTP1"))
    assert [op for op in ops if op.startswith("load a")] == ["load a.pm_cpus", "load a.pm_kernel_cpus"][:sets]
    assert bench.k.cpus[0].ci_pmap_data.tp_cpumask == (3 if sets == 2 else 1)


def test_the_kernel_pmaps_targets_are_all_running_cpus():
    bench, lwp = shared("svs-netbsd8", 3)
    bench.run(pmap_tlb_shootdown(bench.k, lwp, bench.k.pmap_kernel, 0x700000, G, "KREMOVE"))
    packet = bench.k.cpus[0].ci_pmap_data
    assert (packet.tp_cpumask, packet.tp_userpmap, packet.tp_pte & G) == (7, False, G)
    with pytest.raises(KernelAssertion, match="G only in the kernel pmap"):
        queue(bench, lwp, pte=G)


@pytest.mark.parametrize(("profile", "most"), [(profile, 6) for profile in OLD] + [("svs-netbsd10", 16), ("pti", 6)])
def test_a_packet_holds_so_many_pages_and_then_everything(profile, most):
    bench, lwp = shared(profile, 2)
    packet = bench.k.cpus[0].ci_pmap_data
    for n in range(most):
        queue(bench, lwp, (n + 1) << 12)
    assert packet.tp_count.v[0] == most
    queue(bench, lwp, PAGE)
    queue(bench, lwp, PAGE)
    assert packet.tp_count.v[0] == EVERYTHING


def test_a_large_page_is_rounded_and_a_dying_pmap_queues_nothing():
    bench, lwp = shared("svs-netbsd8", 1)
    queue(bench, lwp, bench.k.layout.large * 3 + 0x2000, PS)
    assert bench.k.cpus[0].ci_pmap_data.tp_va == [bench.k.layout.large * 3]
    lwp.md_gc_pmap = lwp.l_proc.pmap
    assert bench.operations(pmap_tlb_shootdown(bench.k, lwp, lwp.l_proc.pmap, PAGE, 0, "REMOVE_PTE")) == []


# --- sending --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [*OLD, "svs-netbsd10", "pti", "none"])
def test_nothing_queued_is_one_look(profile):
    bench, lwp = shared(profile, 2)
    assert bench.operations(bench.k.design.shootdown.shootnow(bench.k, lwp.l_cpu)) == ["load cpu0.tp_count"]


@pytest.mark.parametrize("profile", OLD)
def test_shootnow_of_2018(profile):
    bench, lwp = shared(profile, 3)
    queue(bench, lwp)
    assert bench.operations(bench.k.design.shootdown.shootnow(bench.k, lwp.l_cpu)) == [
        "load cpu0.tp_count", "spl 6", "load cpu0.tp_count",
        "rmw pmap_tlb_pendcount",  # claim
        "load pmap_tlb_gen", "store pmap_tlb_gen", "store pmap_tlb_packet",  # ++gen, copy
        "ipi tlb 110 broadcast",
        *page(profile),
        "store cpu0.tp_count", "spl 0",
        "load pmap_tlb_pendcount", "wait pmap_tlb_pendcount or pmap_tlb_gen",  # both are polled
    ]  # fmt: skip
    assert bench.k.pmap_tlb_pendcount.v[0] == 0


@pytest.mark.parametrize("profile", OLD)
def test_local_shootdown_of_2018(profile):
    bench, lwp = shared(profile, 1)
    queue(bench, lwp)
    assert bench.operations(bench.k.design.shootdown.shootnow(bench.k, lwp.l_cpu)) == [
        "load cpu0.tp_count", "spl 6", "load cpu0.tp_count", *page(profile), "store cpu0.tp_count", "spl 0",
    ]  # fmt: skip


def test_shootnow_of_2020():
    bench, lwp = shared("svs-netbsd10", 3)
    queue(bench, lwp)
    assert bench.operations(bench.k.design.shootdown.shootnow(bench.k, lwp.l_cpu)) == [
        "load cpu0.tp_count", "spl 6", "load cpu0.tp_count",
        "rmw pmap_tlb_packet",  # the pointer from null
        "store pmap_tlb_pendcount",
        "ipi tlb 110 broadcast",
        "store cpu0.tp_count", "spl 0",  # cleared and lowered once the IPIs are out
        *page("svs-netbsd10"),
        "wait cpu0.packet",
    ]  # fmt: skip
    assert (bench.k.pmap_tlb_packet.v[0], bench.k.pmap_tlb_pendcount.v[0]) == (0, 0)


def test_local_shootdown_of_2020_flushes_at_splvm_and_skips_the_mailbox():
    bench, lwp = shared("svs-netbsd10", 1)
    queue(bench, lwp)
    assert bench.operations(bench.k.design.shootdown.shootnow(bench.k, lwp.l_cpu)) == [
        "load cpu0.tp_count", "spl 6", "load cpu0.tp_count", *page("svs-netbsd10"), "store cpu0.tp_count", "spl 0",
    ]  # fmt: skip


@pytest.mark.parametrize("profile", ["svs-netbsd9", "svs-netbsd10"])
@pytest.mark.parametrize("meanwhile", ["sent", "not sent"])
def test_a_taken_mailbox_is_waited_for_at_the_old_level(profile, meanwhile):
    """Both generations: splx, spin, splvm, and look whether an interrupt has sent the packet meanwhile."""
    bench, lwp = shared(profile, 2)
    k, packet = bench.k, bench.k.cpus[0].ci_pmap_data
    box = k.pmap_tlb_packet if profile == "svs-netbsd10" else k.pmap_tlb_pendcount
    box.v[0] = 1
    queue(bench, lwp)
    ops = []
    for step in bench.steps(k.design.shootdown.shootnow(k, lwp.l_cpu)):
        ops.append(bench.operation(step))
        if step[0] is Op.WAIT and step[2] is box and box.v[0] == 1:
            assert lwp.l_cpu.cpu.ipl == 0
            box.v[0] = 0
            if meanwhile == "sent":
                packet.tp_count.v[0] = 0
    claim = f"rmw {box.name}"
    assert ops[3:8] == [claim, "spl 0", f"wait {box.name}", "spl 6", "load cpu0.tp_count"]
    assert ops[8] == ("spl 0" if meanwhile == "sent" else claim)
    assert (len(ops) == 9) is (meanwhile == "sent")


@pytest.mark.parametrize(("mask", "ipis"), [
    (0b1111, ["ipi tlb 1110 broadcast"]),
    (0b1110, ["ipi tlb 10", "ipi tlb 100", "ipi tlb 1000"]),  # not every attached CPU: this one is no target
    (0b1011, ["ipi tlb 10", "ipi tlb 1000"]),
])  # fmt: skip
def test_one_broadcast_only_if_every_cpu_is_a_target(mask, ipis):
    bench, lwp = shared("svs-netbsd9", 4)
    assert bench.operations(shootdown.send_ipis(bench.k, lwp.l_cpu, mask)) == ipis


# --- receiving ------------------------------------------------------------------------------------------------------


def posted(profile, *, user=True, state=TLBSTATE_VALID):
    """CPU 1 is about to handle the packet of CPU 0."""
    bench, lwp = shared(profile, 2)
    k = bench.k
    if user:
        queue(bench, lwp)
    else:
        bench.run(pmap_tlb_shootdown(k, lwp, k.pmap_kernel, 0x700000, 0, "KREMOVE"))
    send = k.design.shootdown.shootnow(k, lwp.l_cpu)
    value = None
    while not bench.shot:
        value = bench.take(send.send(value), 0)
    bench.shot = []
    k.cpus[1].cpu.intr = False
    k.cpus[1].ci_tlbstate.v[0] = state
    return bench, lwp.l_proc.pmap, bench.operations(k.design.shootdown.intr(k, k.cpus[1]), 1)


@pytest.mark.parametrize("profile", [*OLD, "svs-netbsd10"])
@pytest.mark.parametrize("state", [TLBSTATE_VALID, TLBSTATE_LAZY])
def test_the_handler(profile, state):
    bench, space, ops = posted(profile, state=state)
    leave = ["rmw a.pm_cpus", "store cpu1.ci_tlbstate"] if state == TLBSTATE_LAZY else []
    if profile in OLD:  # flush, leave, and last of all the acknowledgement
        wanted = ["load pmap_tlb_pendcount", "load pmap_tlb_packet", *page(profile), "load cpu1.ci_tlbstate", *leave,
                  "rmw pmap_tlb_pendcount"]  # fmt: skip
    else:  # copy, acknowledge; the last one clears the pointer, then marks the packet done; flush, leave
        wanted = ["load pmap_tlb_packet", "load cpu0.packet", "rmw pmap_tlb_pendcount", "store pmap_tlb_packet",
                  "store cpu0.packet", *page(profile), "load cpu1.ci_tlbstate", *leave]  # fmt: skip
    assert ops == wanted
    assert space.pm_cpus.v[0] == (1 if leave else 3)
    assert space.pm_kernel_cpus.v[0] == 3, "the handler never touches pm_kernel_cpus"
    assert bench.k.cpus[1].ci_tlbstate.v[0] == (TLBSTATE_STALE if leave else TLBSTATE_VALID)


@pytest.mark.parametrize("profile", [*OLD, "svs-netbsd10"])
def test_a_lazy_cpu_stays_for_the_kernel_pmap(profile):
    bench, space, ops = posted(profile, user=False, state=TLBSTATE_LAZY)
    assert space.pm_cpus.v[0] == 3
    assert bench.k.cpus[1].ci_tlbstate.v[0] == TLBSTATE_LAZY


def test_handlers_assert_that_something_is_posted():
    for profile, what in (("svs-netbsd9", "pendcount > 0"), ("svs-netbsd10", "a packet is posted")):
        bench, lwp = shared(profile, 2)
        lwp.l_cpu.cpu.intr = False
        with pytest.raises(KernelAssertion, match=what):
            bench.run(bench.k.design.shootdown.intr(bench.k, lwp.l_cpu))


# --- flushes (cpufunc.S) --------------------------------------------------------------------------------------------

ALL = {
    "none": (["cr3 a.pm_pdir"], ["pge False", "pge True"]),
    "svs-2018-02": (["cr3 a.pm_pdir"], ["cr3 a.pm_pdir"]),  # CR4.PGE is off: tlbflushg falls to tlbflush
    "svs-netbsd8": (["cr3 a.pm_pdir"], ["cr3 a.pm_pdir"]),
    "svs-netbsd9": (["invpcid all_nonglobal 0"], ["pge False", "pge True"]),
    "svs-netbsd10": (["invpcid all_nonglobal 0"], ["pge False", "pge True"]),
}


@pytest.mark.parametrize("profile", ALL)
@pytest.mark.parametrize("globals_too", [False, True])
def test_everything(profile, globals_too):
    bench, lwp = shared(profile, 1)
    request = shootdown.Request(EVERYTHING, (), globals_too, True, 0)
    ops = bench.operations(shootdown.pmap_tlb_invalidate(bench.k, lwp.l_cpu, request, shootdown.PmapTlbIntr))
    assert ops == ALL[profile][globals_too]


def test_pages_are_flushed_from_the_last_to_the_first():
    bench, lwp = shared("svs-netbsd8", 1)
    request = shootdown.Request(2, (0x1000, 0x2000), False, True, 0)
    ops = bench.operations(shootdown.pmap_tlb_invalidate(bench.k, lwp.l_cpu, request, shootdown.PmapTlbIntr))
    assert ops == ["invlpg 0x2000", "invlpg 0x1000"]
