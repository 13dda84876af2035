"""A fault between the CR3 move and user mode: what lies on the entry stack, byte by byte.

Read: locore.S of July 2018 (intrfastexit: the general registers are popped first), amd64_trap.S 1.25 (check_swapgs) and
1.50 (kernuser_reenter, and its comment on the size of the stack under SVS), svs.c (ci_svs_rsp0, the redzone).
"""

from __future__ import annotations

import pytest

from sim.errors import MachineCheck
from sim.hardware.steps import Access, Op
from sim.kernel import segments
from sim.kernel.layout import PAGE_SIZE, TRAPFRAME
from tests.kernel.machines import Bench
from tests.kernel.test_entry import ASK, kernel_cr3
from tests.kernel.test_order import SVS, in_user_mode

LATER = [profile for profile in SVS if profile != "svs-2018-02"]


def fault(profile, where):
    """A bench whose LWP is on its way out with user tables loaded, and the trap."""
    bench, lwp, ci = in_user_mode(profile)
    ci.cpu.user = False
    return bench, ci, bench.k.design.segment_fault(bench.k, lwp, where)


@pytest.mark.parametrize("where", segments.PLACES)
@pytest.mark.parametrize("profile", LATER)
def test_the_trap_goes_on_as_if_from_user_mode(profile, where):
    bench, _, trap = fault(profile, where)
    assert bench.operations(trap) == [
        "write rsp0", "write rsp0", "write rsp0",  # the CPU's frame and error, trap number, %rdi
        "write rsp0", "write rsp0",  # error and trap number under the outer frame, INTR_SAVE_GPRS
        "read utls", "load cpu0 utls", kernel_cr3(profile), "reg rsp", "exec kernel text",  # SVS_ENTER, calltrap
    ]  # fmt: skip


def test_the_nested_frame_just_fits():
    """Of 208 bytes the outer frame of iretq keeps 40, and 168 lie under it.

    The CPU rounds down to 160 and pushes 48, then 8 and 8 follow: 96 are left.  At the outer frame again, 16 and the
    152 of the registers end exactly where the redzone begins.
    """
    bench, ci, trap = fault("svs-netbsd8", "es")
    lowest = []
    for step in bench.steps(trap):
        if step[0] is Op.ACCESS and step[3] is Access.WRITE:
            lowest.append(step[2] - ci.ci_svs_ursp0)
    assert lowest == [112, 104, 96, 152, 0]
    assert ci.ci_svs_ursp0 % PAGE_SIZE == 0
    assert segments.TF_REGSIZE + segments.ERROR_AND_TRAPNO + segments.IRET_FRAME == TRAPFRAME == 208


@pytest.mark.parametrize("where", ["es", "ds", "fs", "gs"])
def test_in_february_2018_the_cpu_itself_pushes_into_the_redzone(where):
    """The registers are not popped yet when a segment register is loaded: the frame fills the page's bytes."""
    bench, _, trap = fault("svs-2018-02", where)
    with pytest.raises(MachineCheck, match="cpu pushes its frame"):
        bench.run(trap)


def test_in_february_2018_saving_the_registers_of_a_refused_iretq_overruns_the_stack():
    """112 after the CPU's push, 104 after the trap number, and INTRENTRY takes 152."""
    bench, _, trap = fault("svs-2018-02", "iretq")
    with pytest.raises(MachineCheck, match="save registers"):
        bench.run(trap)


def test_without_isolation_the_stack_is_deep_enough():
    bench, _, trap = fault("none", "es")
    ops = bench.operations(trap)
    assert ops == [*["write kstack"] * 5, "exec kernel text"]


@pytest.mark.parametrize("where", segments.PLACES)
def test_the_whole_way(where):
    """intrfastexit up to the reload, kernuser_reenter, INTRENTRY, sti, calltrap; then out again with good registers."""
    bench, lwp, ci = in_user_mode("svs-netbsd8")
    bench.run(bench.k.design.enter_syscall(bench.k, lwp))
    out = ["reg rsp", "cr3 cpu0 ci_svs_updir", "exec text.user", "read rsp0"]
    assert bench.operations(segments.bad_segment_on_exit(bench.k, lwp, where)) == [
        "cli", *out, *["write rsp0"] * 5,
        "read utls", "load cpu0 utls", "cr3 a.pm_pdir", "reg rsp", "exec kernel text", "sti",
        *ASK, *out, "reg user True", "sti",
    ]  # fmt: skip
    assert ci.cpu.user


def test_pti_switches_back_first():
    bench, lwp, ci = in_user_mode("pti")
    assert isinstance(bench, Bench)
    bench.run(bench.k.design.enter_syscall(bench.k, lwp))
    bench.run(segments.bad_segment_on_exit(bench.k, lwp, "gs"))
    assert ci.cpu.user
