"""mi_switch, cpu_switchto, svs_lwp_switch, lwp_startup, mutexes: operation by operation.

Read: kern_synch.c (mi_switch, as of NetBSD 6 to 8), kern_lwp.c (lwp_startup), amd64 locore.S of July 2018
(cpu_switchto), svs.c, kern_mutex.c.  cpu_switchto changes stacks, exchanges curlwp, calls svs_lwp_switch and sets
TSS.rsp0.
"""

from __future__ import annotations

import pytest

from sim.errors import KernelAssertion
from sim.hardware.cpu import IPL_SCHED, IPL_VM
from sim.hardware.lock import Mutex
from sim.kernel import ctxswitch, svs
from sim.kernel.cpuinfo import GLDT_SEL
from sim.kernel.layout import PAGE_SIZE, TRAPFRAME
from sim.kernel.ldt import lldt
from sim.kernel.lwp import LSONPROC, LSRUN, LSSLEEP, LSZOMB
from sim.kernel.mutex import mutex_enter, mutex_exit
from sim.kernel.sched import SleepqBlock
from tests.kernel.machines import Bench
from tests.kernel.test_order import SVS

PCID = ("svs-netbsd9", "svs-netbsd10")
QUEUE = ["spl 7", "acquire cpu0.spc_mutex"]


def two(profile="svs-netbsd8"):
    """*old* runs on CPU 0 with its pmap loaded; *new* is first on the run queue."""
    bench = Bench(profile, 2)
    new = bench.lwp("new")
    old = bench.lwp("old")
    bench.load(old)
    k, ci = bench.k, bench.k.cpus[0]
    bench.run(k.design.lwp_switch(k, ci, None, old))
    new.l_stat = LSRUN
    ci.ci_runqueue.add(new)
    return bench, old, new


def lwp_switch(profile, new="new"):
    """svs_lwp_switch: krsp0 (a field of cpu_info), UTLS scratch, the L1 entry read and entered, INVPCID."""
    if profile not in SVS:
        return []
    return ["store cpu0 utls", "read PTE_BASE", "load kernel L1", "store cpu0 user L1",
            *(["invpcid address 1"] if profile in PCID else [])]  # fmt: skip


@pytest.mark.parametrize("profile", ["none", *SVS, "pti"])
def test_mi_switch_of_a_running_lwp(profile):
    bench, old, new = two(profile)
    ops = bench.operations(ctxswitch.mi_switch(bench.k, old))
    assert ops == [
        f"spl {IPL_SCHED}", *QUEUE, "store cpu0.ci_want_resched",
        "store old.l_ctxswtch", "release cpu0.spc_mutex", "spl 7",  # set before its lock, the queue's, is let go
        "load cpu0.tp_count", "load cpu0.ci_want_pmapload", "store cpu0.ci_tlbstate",  # pmap_deactivate
        "wait new.l_ctxswtch",
        "reg rsp", "rmw cpu0.ci_curlwp", *lwp_switch(profile), "reg tss_rsp0", "switch",
    ]  # fmt: skip
    assert (old.l_stat, new.l_stat, old.l_ncsw) == (LSRUN, LSONPROC, 1)


def test_mi_switch_of_a_sleeper_lets_the_sleep_queue_go_last():
    bench, old, _ = two()
    k, ci = bench.k, bench.k.cpus[0]
    bench.run(mutex_enter(ci, k.sleepq_mtx, SleepqBlock))
    old.l_stat = LSSLEEP
    ops = bench.operations(ctxswitch.mi_switch(k, old, held=k.sleepq_mtx))
    at = ops.index("store cpu0.ci_want_resched")
    assert ops[at + 1 : at + 5] == [
        "release cpu0.spc_mutex", "spl 7", "store old.l_ctxswtch", "release sleepq_mtx",
    ]  # fmt: skip
    assert ci.cpu.ipl == IPL_SCHED, "the level stays up over the switch"
    assert old.l_stat == LSSLEEP


def resumed(bench, old, new):
    """What *old* does when it is switched back to, on CPU 1."""
    k = bench.k
    proc = ctxswitch.mi_switch(k, old)
    bench.run(proc)  # up to the switch
    ci = k.cpus[1]
    ci.ci_curlwp, ci.ci_prevlwp, old.l_cpu, ci.cpu.ipl = old, ci.ci_idlelwp, ci, IPL_SCHED
    old.l_stat = LSONPROC
    return bench.operations(proc, 1)


def test_an_lwp_that_runs_again_activates_its_pmap_before_it_lets_the_previous_go():
    bench, old, new = two()
    assert resumed(bench, old, new) == ["store cpu1.ci_want_pmapload", "store idle/1.l_ctxswtch", "spl 0"]


def test_a_new_lwp_lets_the_previous_go_lowers_the_level_and_then_activates():
    bench, old, new = two()
    ci = bench.k.cpus[0]
    ci.ci_curlwp, ci.ci_prevlwp, ci.cpu.ipl, ci.ci_tlbstate.v[0] = new, old, IPL_SCHED, 1
    assert bench.operations(ctxswitch.lwp_startup(bench.k, new)) == [
        "store old.l_ctxswtch", "spl 0", "store cpu0.ci_want_pmapload",
    ]  # fmt: skip


def test_an_lwp_alone_goes_on_at_once():
    bench = Bench("svs-netbsd8", 1)
    lwp = bench.lwp("a")
    bench.load(lwp)
    assert bench.operations(ctxswitch.mi_switch(bench.k, lwp)) == [
        f"spl {IPL_SCHED}", *QUEUE, "store cpu0.ci_want_resched", "release cpu0.spc_mutex", "spl 7", "spl 0",
    ]  # fmt: skip
    assert lwp.l_ncsw == 0


def test_a_zombie_is_no_old_lwp_for_svs():
    """lwp_exit_switchaway calls cpu_switchto with no old LWP: its stack may be gone."""
    bench, old, new = two()
    old.l_stat = LSZOMB
    bench.k.cpus[0].ci_svs_krsp0 = 0
    assert "store cpu0 user L1" in bench.operations(ctxswitch.cpu_switchto(bench.k, bench.k.cpus[0], old, new))


@pytest.mark.parametrize("profile", SVS)
def test_tss_rsp0_is_the_cpus_own_whatever_the_lwp(profile):
    bench, old, new = two(profile)
    ci = bench.k.cpus[0]
    for lwp in (new, old):
        bench.run(ctxswitch.cpu_switchto(bench.k, ci, ci.ci_curlwp, lwp))
        assert ci.cpu.tss_rsp0 == ci.ci_svs_rsp0
        assert ci.ci_svs_krsp0 == lwp.pcb_rsp0 - TRAPFRAME
        table, index = ci.ci_svs_rsp0_pte
        assert table.v[index] == bench.k.tables.l1(lwp.pcb_rsp0 // PAGE_SIZE * PAGE_SIZE)
        assert table.v[index - 1] == 0, "the redzone"
    bench, old, new = two("none")
    bench.run(ctxswitch.cpu_switchto(bench.k, bench.k.cpus[0], old, new))
    assert bench.k.cpus[0].cpu.tss_rsp0 == new.pcb_rsp0


@pytest.mark.parametrize("profile", SVS)
def test_a_kernel_lwp_leaves_stack_page_and_tables_as_they_are(profile):
    bench, old, _ = two(profile)
    k, ci = bench.k, bench.k.cpus[0]
    table, index = ci.ci_svs_rsp0_pte
    before = table.v[index], ci.ci_svs_krsp0, ci.cpu.cr3_pa, ci.ci_pmap.v[0], old.l_proc.pmap.pm_kernel_cpus.v[0]
    ops = bench.operations(ctxswitch.cpu_switchto(k, ci, old, ci.ci_idlelwp))
    assert ops == ["reg rsp", "rmw cpu0.ci_curlwp", "reg tss_rsp0", "switch"]
    after = table.v[index], ci.ci_svs_krsp0, ci.cpu.cr3_pa, ci.ci_pmap.v[0], old.l_proc.pmap.pm_kernel_cpus.v[0]
    assert before == after


def test_svs_lwp_switch_judges_the_rsp0_entry_and_the_congruence():
    bench, old, new = two()
    k, ci = bench.k, bench.k.cpus[0]
    table, index = ci.ci_svs_rsp0_pte
    table.v[index] ^= 0x1000
    with pytest.raises(KernelAssertion, match="rsp0 pte is old's"):
        bench.run(svs.svs_lwp_switch(k, ci, False, old, new))
    new.pcb_rsp0 += 8
    with pytest.raises(KernelAssertion, match="congruent"):
        bench.run(svs.svs_lwp_switch(k, ci, False, None, new))


def test_a_spin_mutex_raises_the_level_first_and_lowers_it_last():
    bench = Bench("none", 1)
    ci, spin, adaptive = bench.k.cpus[0], Mutex("m", "m", IPL_VM), Mutex("n", "n")
    assert bench.operations(mutex_enter(ci, spin, SleepqBlock)) == ["spl 6", "acquire m"]
    assert bench.operations(mutex_exit(ci, spin, SleepqBlock)) == ["release m", "spl 0"]
    assert bench.operations(mutex_enter(ci, adaptive, SleepqBlock)) == ["acquire n"]
    assert bench.operations(mutex_exit(ci, adaptive, SleepqBlock)) == ["release n"]
    with pytest.raises(KernelAssertion, match="owned at mutex_exit"):
        bench.run(mutex_exit(ci, spin, SleepqBlock))
    ci.cpu.ipl = IPL_SCHED
    assert bench.operations(mutex_enter(ci, spin, SleepqBlock))[0] == "spl 7", "never down"


@pytest.mark.parametrize("asked", [False, True])
def test_an_idle_cpu_looks_again_with_interrupts_off_before_it_halts(asked):
    """x86_cpu_idle_halt: a wake-up after the first look is not slept over; sti takes effect after hlt."""
    bench = Bench("none", 1)
    bench.k.mwait = False
    ci = bench.k.cpus[0]
    proc, value, ops = ctxswitch.idle_loop(bench.k, ci.ci_idlelwp), None, []
    while len(ops) < 4:
        step = proc.send(value)
        ops.append(bench.operation(step))
        if ops[-1] == "cli" and asked:
            ci.ci_want_resched.v[0] = 1
        value = bench.take(step, 0)
    assert ops == ["load cpu0.ci_want_resched", "cli", "load cpu0.ci_want_resched", "sti" if asked else "halt"]


@pytest.mark.parametrize("asked", [False, True])
def test_with_mwait_it_looks_once_more_with_interrupts_on_and_the_line_monitored(asked):
    """x86_cpu_idle_mwait."""
    bench = Bench("none", 1)
    ci = bench.k.cpus[0]
    proc, value, ops = ctxswitch.idle_loop(bench.k, ci.ci_idlelwp), None, []
    while len(ops) < 3:
        step = proc.send(value)
        ops.append(bench.operation(step))
        if len(ops) == 2 and asked:
            ci.ci_want_resched.v[0] = 1
        value = bench.take(step, 0)
    again = "load cpu0.ci_want_resched"
    assert ops == [again, again, again if asked else "mwait cpu0.ci_want_resched"]


@pytest.mark.parametrize(("selector", "loads"), [(GLDT_SEL, 0), (GLDT_SEL + 1, 1)])
def test_lldt_returns_at_once_for_the_selector_that_is_loaded(selector, loads):
    """cpufunc.S 1.55."""
    bench, _, _ = two()
    ci = bench.k.cpus[0]
    trace = []
    bench.run(lldt(ci, selector), trace=trace)
    assert trace == ["lldt:ci_curldt", *["lldt:lldt"] * loads]
    assert ci.ci_curldt == selector
