"""Entering and leaving the kernel: memory and register operations in the order of the sources.

Read: amd64 locore.S (SYSCALL_ENTRY, handle_syscall, syscall_sysret, intrfastexit, the hot-patch templates svs_*),
frameasm.h 1.38 and 1.55 (INTRENTRY), amd64_trap.S 1.50 (trap02, trap08, kernuser_reenter, alltraps), spl.S (doreti).
Pushing and popping a frame is one access to the page that it goes to.
"""

from __future__ import annotations

import pytest

from sim.errors import KernelAssertion
from sim.hardware.cpu import IPL_SCHED, IPL_VM, VECTOR_DEVICE, VECTOR_NMI, VECTOR_TLB
from sim.kernel import entry, traps
from sim.kernel.cpuinfo import UTLS_KPDIRPA, UTLS_RSP0, UTLS_SCRATCH
from sim.kernel.layout import TRAPFRAME
from tests.kernel.test_order import SVS, in_user_mode

PCID = ("svs-netbsd9", "svs-netbsd10")


def kernel_cr3(profile):
    """SVS_ENTER's CR3 write: with PCID, UTLS kpdirpa has PCID 0 and the no-flush bit."""
    return "cr3 a.pm_pdir pcid 0 no-flush" if profile in PCID else "cr3 a.pm_pdir"


def user_cr3(profile, cpu=0):
    """SVS_LEAVE's CR3 write: with PCID, ci_svs_updirpa has PCID 1 and the no-flush bit."""
    return f"cr3 cpu{cpu} ci_svs_updir" + (" pcid 1 no-flush" if profile in PCID else "")


@pytest.mark.parametrize("profile", SVS)
def test_syscall(profile):
    bench, lwp, ci = in_user_mode(profile)
    assert bench.operations(bench.k.design.enter_syscall(bench.k, lwp)) == [
        "cli", "reg user False", "exec text.user",  # SYSCALL masks the flag; then swapgs
        "write utls", "store cpu0 utls",  # %rax to scratch
        "load cpu0 utls", "reg rsp", "write rsp0",  # rsp0; the frame
        "load cpu0 utls", kernel_cr3(profile), "reg rsp", "read kstack",  # SVS_ENTER; from here the kernel's own stack
        "sti",  # handle_syscall
    ]  # fmt: skip
    assert ci.cpu.rsp == lwp.pcb_rsp0 - TRAPFRAME


def test_syscall_uses_the_three_utls_words():
    bench, lwp, ci = in_user_mode("svs-2018-02")
    steps = [step for step in bench.steps(bench.k.design.enter_syscall(bench.k, lwp)) if step[2:3] == (ci.ci_svs_utls,)]
    assert [step[3] for step in steps] == [UTLS_SCRATCH, UTLS_RSP0, UTLS_KPDIRPA]
    assert ci.ci_svs_utls.v[UTLS_RSP0] == ci.ci_svs_rsp0


@pytest.mark.parametrize("profile", SVS)
def test_trap_from_user_mode(profile):
    bench, lwp, ci = in_user_mode(profile)
    assert bench.operations(bench.k.design.enter_trap(bench.k, lwp)) == [
        "cli", "reg user False", "reg rsp", "write rsp0",  # the CPU: gate, TSS.rsp0, push
        "exec text.user", "read utls", "load cpu0 utls", kernel_cr3(profile), "reg rsp", "read kstack",
    ]  # fmt: skip
    assert ci.cpu.rsp == lwp.pcb_rsp0 - TRAPFRAME
    assert not ci.cpu.intr


@pytest.mark.parametrize("profile", SVS)
def test_the_way_out(profile):
    bench, lwp, ci = in_user_mode(profile)
    bench.run(bench.k.design.enter_syscall(bench.k, lwp))
    assert bench.operations(bench.k.design.leave(bench.k, lwp, "sysret")) == [
        "reg rsp", user_cr3(profile), "exec text.user", "read rsp0", "reg user True", "sti",
    ]  # fmt: skip
    assert ci.cpu.rsp == ci.ci_svs_ursp0


def test_without_isolation_neither_way_touches_cr3():
    bench, lwp, _ = in_user_mode("none")
    assert bench.operations(bench.k.design.enter_syscall(bench.k, lwp)) == [
        "cli", "reg user False", "exec text.user", "reg rsp", "write kstack", "sti",
    ]  # fmt: skip
    assert bench.operations(bench.k.design.leave(bench.k, lwp, "iret")) == ["read kstack", "reg user True", "sti"]
    assert bench.operations(bench.k.design.enter_trap(bench.k, lwp)) == [
        "cli", "reg user False", "reg rsp", "write kstack", "exec text.user",
    ]  # fmt: skip


ASK = ["cli", "load cpu0.ci_want_resched", "load cpu0.ci_want_pmapload"]


@pytest.mark.parametrize("how", ["sysret", "iret"])
def test_last_checks_are_made_with_interrupts_off(how):
    bench, lwp, _ = in_user_mode("svs-2018-02")
    bench.run(bench.k.design.enter_syscall(bench.k, lwp))
    assert bench.operations(traps.userret(bench.k, lwp, how)) == [
        *ASK, "reg rsp", "cr3 cpu0 ci_svs_updir", "exec text.user", "read rsp0", "reg user True", "sti",
    ]  # fmt: skip


@pytest.mark.parametrize(("how", "first"), [("sysret", "load"), ("iret", "ast")])
def test_a_system_call_loads_the_pmap_before_the_ast_a_trap_after_it(how, first):
    """.Lsyscall_checkast ORs both words and serves WANT_PMAPLOAD first; alltraps and doreti look at the AST first."""
    bench, lwp, ci = in_user_mode("svs-2018-02")
    bench.run(bench.k.design.enter_syscall(bench.k, lwp))
    ci.ci_want_resched.v[0] = ci.ci_want_pmapload.v[0] = 1
    found = bench.operations(traps.userret(bench.k, lwp, how))
    load, ast = found.index("store cpu0.ci_tlbstate"), found.index(f"spl {IPL_SCHED}")
    assert (load < ast) is (first == "load")
    assert found[: len(ASK) + 1] == ([*ASK, "sti"] if first == "load" else [*ASK[:2], "sti", f"spl {IPL_SCHED}"])
    assert found.count("cli") == 3, "looked at again after each"


def test_the_level_must_be_down_on_the_way_to_user_mode():
    bench, lwp, ci = in_user_mode("none")
    ci.cpu.ipl = IPL_VM
    with pytest.raises(KernelAssertion, match="spl lowered"):
        bench.run(traps.userret(bench.k, lwp, "sysret"))


def test_interrupt_from_user_mode():
    bench, lwp, ci = in_user_mode("svs-2018-02")
    entry = bench.operations(bench.k.design.enter_trap(bench.k, lwp))
    bench, lwp, ci = in_user_mode("svs-2018-02")
    way_out = [*ASK, "reg rsp", "cr3 cpu0 ci_svs_updir", "exec text.user", "read rsp0", "reg user True", "sti"]
    assert bench.operations(traps.interrupt(bench.k, lwp, VECTOR_DEVICE, (("work", 5),))) == [
        *entry, f"spl {IPL_VM}", "sti", "work", "cli", "spl 0", *way_out,
    ]  # fmt: skip
    assert ci.cpu.user


def test_interrupt_from_kernel_mode_reads_no_tss_and_leaves_cr3_alone():
    bench, lwp, ci = in_user_mode("svs-netbsd9")
    bench.run(bench.k.design.enter_syscall(bench.k, lwp))
    ci.cpu.tss_rsp0 = 0
    before = ci.cpu.cr3_pa, ci.cpu.rsp
    assert bench.operations(traps.interrupt(bench.k, lwp, VECTOR_DEVICE, (("work", 5),))) == [
        "cli", "write kstack", f"spl {IPL_VM}", "sti", "work", "cli", "spl 0", "sti",
    ]  # fmt: skip
    assert (ci.cpu.cr3_pa, ci.cpu.rsp) == before


@pytest.mark.parametrize("mode", ["user", "kernel"])
def test_the_shootdown_interrupt_is_outside_the_levels_and_looks_at_no_ast(mode):
    """Xintr_lapic_tlb: INTRENTRY, EOI, pmap_tlb_intr, INTRFASTEXIT."""
    bench, lwp, ci = in_user_mode("svs-2018-02")
    k = bench.k
    if mode == "kernel":
        bench.run(k.design.enter_syscall(k, lwp))
    ci.cpu.ipl = IPL_SCHED if mode == "kernel" else 0
    ci.ci_want_resched.v[0] = 1
    k.pmap_tlb_pendcount.v[0] = 1
    packet = k.cpus[1].ci_pmap_data
    packet.tp_count.v[0], packet.tp_va = 1, [0x3000]
    k.pmap_tlb_packet.v[0] = packet.request(1)
    found = bench.operations(traps.interrupt(k, lwp, VECTOR_TLB, ()))
    handler = [
        "load pmap_tlb_pendcount", "load pmap_tlb_packet", "invlpg 0x3000", "load cpu0.ci_tlbstate",
        "rmw pmap_tlb_pendcount",
    ]  # fmt: skip
    at = found.index(handler[0])
    assert found[at : at + 5] == handler
    assert found[at + 5 :] == (
        ["reg rsp", "cr3 cpu0 ci_svs_updir", "exec text.user", "read rsp0", "reg user True", "sti"]
        if mode == "user" else ["sti"]
    )  # fmt: skip
    assert not any(item.startswith("spl") for item in found)


@pytest.mark.parametrize("profile", SVS)
def test_ist_entry_switches_cr3_only_if_the_frame_says_user(profile):
    bench, lwp, ci = in_user_mode(profile)
    k = bench.k
    head = ["cli", "reg user False", "write ist1", "exec text.user", "store cpu0.nmi stack"]
    tail = ["exec kernel text"]
    switch = ["read utls", "load cpu0 utls", kernel_cr3(profile)]
    rsp = ci.cpu.rsp
    pcid = k.design.pcid
    assert bench.operations(entry.alt_svs(k, lwp, True, pcid, 1)) == [*head, *switch, *tail]
    assert ci.cpu.rsp == rsp, "RSP stays on the IST page"
    assert bench.operations(entry.alt_svs(k, lwp, False, pcid, 1)) == [*head, *tail]
    assert bench.operations(entry.leave_alt_svs(k, lwp, False, pcid)) == ["reg user False"]
    assert bench.operations(entry.leave_alt_svs(k, lwp, True, pcid)) == [user_cr3(profile), "reg user True"]


@pytest.mark.parametrize("profile", PCID)
@pytest.mark.parametrize("pcid", [True, False])
@pytest.mark.parametrize("place", ["user", "entry", "kernel"])
def test_nmi_takes_the_kernel_pmaps_tables_from_its_stack_and_puts_back_what_it_found(profile, pcid, place):
    """svs_enter_nmi: CR3 to the nmistore, nmistore.cr3 to CR3; neither value has the no-flush bit."""
    bench, lwp, ci = in_user_mode(profile, pcid=pcid)
    k = bench.k
    if place == "entry":
        ci.cpu.user, ci.cpu.intr = False, False
    elif place == "kernel":
        bench.run(k.design.enter_syscall(k, lwp))
    found = ci.cpu.cr3_pa, ci.cpu.pcid, ci.cpu.user, ci.cpu.intr
    suffix = (" pcid 0", " pcid 1" if place != "kernel" else " pcid 0") if pcid else ("", "")
    name = "a.pm_pdir" if place == "kernel" else "cpu0 ci_svs_updir"
    ops = bench.operations(traps.interrupt(k, lwp, VECTOR_NMI, ()))
    assert ops == [
        "cli", "reg user False", "write ist1", "exec text.user", "store cpu0.nmi stack",
        f"cr3 kernel pm_pdir{suffix[0]}", "exec kernel text",
        f"cr3 {name}{suffix[1]}", f"reg user {place == 'user'}", *(["sti"] if found[3] else []),
    ]  # fmt: skip
    assert (ci.cpu.cr3_pa, ci.cpu.pcid, ci.cpu.user, ci.cpu.intr) == found


def test_before_the_nmi_entry_an_nmi_is_an_ordinary_ist_entry():
    bench, lwp, _ = in_user_mode("svs-netbsd8")
    ops = bench.operations(traps.interrupt(bench.k, lwp, VECTOR_NMI, ()))
    assert [op for op in ops if op.startswith("cr3")] == ["cr3 a.pm_pdir", "cr3 cpu0 ci_svs_updir"]
