"""System calls, faults and interrupts: from user or kernel mode to the handler and back (amd64 locore.S, trap.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.apic import LEVEL_OF
from sim.hardware.cpu import IPL_NONE, VECTOR_DEVICE, VECTOR_NMI, VECTOR_RESCHED, VECTOR_TIMER, VECTOR_TLB
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Access, Proc, cli, cost, load, spl, sti, touch, work
from sim.kernel.crossings import NmiLeave, TrapEntry
from sim.kernel.ctxswitch import preempt
from sim.kernel.entry import must
from sim.kernel.pmap import pmap_load
from sim.kernel.sched import sched_pstats, sched_tick, wakeup

if TYPE_CHECKING:
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp


class Userret(Procedure, name="userret", cause="kernel work"):
    cli = site("cli")
    astpending = site("astpending")
    ci_want_pmapload = site("ci_want_pmapload")
    sti = site("sti")


def userret(k: Kernel, lwp: Lwp, how: str) -> Proc:
    """Back to user mode: reschedule and deferred pmap load are looked at with interrupts off, last of all.

    A trap or interrupt (``iret``) takes the AST first and looks at the pmap when there is none; a system call looks at
    both and loads the pmap first (locore.S, .Lsyscall_checkast; amd64_trap.S and spl.S, the other two).
    """
    while True:
        # With interrupts on, what an IPI asks for after the look would wait until the next entry.
        ci = lwp.l_cpu
        yield cli(Userret.cli)
        resched = yield load(ci.ci_want_resched, 0, Userret.astpending)
        if not resched or how == "sysret":
            wanted = yield load(ci.ci_want_pmapload, 0, Userret.ci_want_pmapload)
            if wanted:
                yield sti(Userret.sti)
                yield from pmap_load(k, lwp)
                continue
        if not resched:
            break
        yield sti(Userret.sti)
        yield from preempt(k, lwp)
    kassert(ci.cpu.ipl == IPL_NONE, "userret: spl lowered on the way to user mode")
    lwp.l_kpriority = False
    yield from k.design.leave(k, lwp, how)


class Syscall(Procedure, name="syscall", cause="kernel work"):
    work = site("work")
    dispatch = site("dispatch")
    kernel_working_set = site("kernel working set")


def syscall_enter(k: Kernel, lwp: Lwp, made_up: bool = False) -> Proc:
    """From the syscall instruction to the handler's first line; *made_up* ones are counted apart."""
    k.hooks.count(lwp.l_cpu, "made-up calls" if made_up else "syscalls")
    yield from k.design.enter_syscall(k, lwp)
    yield cost("syscall_dispatch", Syscall.dispatch)
    yield touch(k.pages_of(lwp, "syscall"), 0, False, Syscall.kernel_working_set)


class Trap(Procedure, name="trap", cause="kernel work"):
    uvm_fault = site("uvm_fault")
    sti = site("sti")
    kernel_working_set = site("kernel working set")


def fault_enter(k: Kernel, lwp: Lwp) -> Proc:
    """From a faulting user access to the fault handler."""
    k.hooks.count(lwp.l_cpu, "faults")
    yield from k.design.enter_trap(k, lwp)
    yield cost("exception_entry", TrapEntry.exception)
    yield sti(Trap.sti)
    yield touch(k.pages_of(lwp, "fault"), 0, False, Trap.kernel_working_set)


class Interrupt(Procedure, name="interrupt", cause="interrupt"):
    raise_level = site("raise level")
    kernel_working_set = site("kernel working set")
    sti = site("sti")
    cli = site("cli")
    lower_level = site("lower level")
    interrupt_gate = site("interrupt gate")
    interrupt_entry = site("interrupt_entry")
    push_frame = site("push frame", stack=True)
    pop_frame = site("pop frame")
    iret = site("iret")
    flags_restored = site("flags restored")


def interrupt(k: Kernel, lwp: Lwp, vector: int, payload: tuple[object, ...]) -> Proc:
    """An interrupt that hits *lwp*; *payload* is what the device wants done.

    The shootdown IPI is outside the level framework: interrupts stay off, and it returns without a look at ASTs.
    """
    ci = lwp.l_cpu
    from_user = ci.cpu.user
    k.hooks.count(ci, "interrupts")
    if vector == VECTOR_NMI:
        yield from _nmi(k, lwp, from_user)
        return
    if from_user:
        yield from k.design.enter_trap(k, lwp)
    else:
        yield cli(Interrupt.interrupt_gate)
        yield cost("interrupt_entry", Interrupt.interrupt_entry)
        yield from must(lwp.kstack_va, Access.WRITE, Interrupt.push_frame)
        yield cost("push_frame", Interrupt.push_frame)
    if vector == VECTOR_TLB:
        k.hooks.count(ci, "TLB shootdown interrupts")
        k.hooks.shootdown_intr_begin(ci)
        yield from k.design.shootdown.intr(k, ci)
        k.hooks.shootdown_intr_end(ci)
    else:
        previous = yield spl(max(LEVEL_OF[vector], ci.cpu.ipl), Interrupt.raise_level)
        yield touch(k.pages_of(lwp, "interrupt"), 0, False, Interrupt.kernel_working_set)
        yield sti(Interrupt.sti)
        yield from _handler(k, lwp, vector, payload)
        yield cli(Interrupt.cli)
        yield spl(previous, Interrupt.lower_level)
    if from_user and vector == VECTOR_TLB:
        yield from k.design.leave(k, lwp, "iret")
    elif from_user:
        yield from k.hooks.straight(userret, k, lwp, "iret")
    else:
        k.design.leave_to_kernel(k, ci)
        yield cost("push_frame", Interrupt.pop_frame)
        yield cost("iret", Interrupt.iret)
        yield sti(Interrupt.flags_restored)


class Hardclock(Procedure, name="hardclock", cause="interrupt"):
    timer = site("timer")


class Reschedule(Procedure, name="reschedule", cause="interrupt"):
    astpending = site("astpending")


def _handler(k: Kernel, lwp: Lwp, vector: int, payload: tuple[object, ...]) -> Proc:
    """What an interrupt other than shootdown and NMI does."""
    ci = lwp.l_cpu
    if vector == VECTOR_TIMER:
        k.hooks.count(ci, "timer interrupts")
        yield cost("timer_work", Hardclock.timer)
        if ci.ci_index == 0:
            k.ticks += 1
        yield from sched_tick(k, ci)
    elif vector == VECTOR_RESCHED:
        yield cost("store", Reschedule.astpending)
    elif vector == VECTOR_DEVICE:
        for item in payload:
            yield from _device(k, lwp, item)


class Device(Procedure, name="device", cause="interrupt"):
    handler = site("handler")


def _device(k: Kernel, lwp: Lwp, item: object) -> Proc:
    """One device event: ("work", cycles), ("wake", channel), ("call", handler, its argument) or ("pstats",)."""
    ci = lwp.l_cpu
    assert isinstance(item, tuple)
    k.hooks.count(ci, "device interrupts")
    if item[0] == "work":
        yield work(item[1], Device.handler)
    elif item[0] == "wake":
        yield cost("device_work", Device.handler)
        yield from wakeup(k, ci, item[1])
    elif item[0] == "call":
        yield cost("device_work", Device.handler)
        yield from item[1](k, lwp, item[2])
    elif item[0] == "pstats":
        yield from sched_pstats(k, ci)


class Nmi(Procedure, name="nmi", cause="interrupt"):
    handler = site("handler")


def _nmi(k: Kernel, lwp: Lwp, from_user: bool) -> Proc:
    """An NMI, wherever it hits; it keeps and restores the interrupt flag."""
    ci = lwp.l_cpu
    flag = ci.cpu.intr
    k.hooks.count(ci, "NMIs")
    token = yield from k.design.enter_nmi(k, lwp, from_user)
    yield cost("timer_work", Nmi.handler)
    yield from k.design.leave_nmi(k, lwp, from_user, token)
    if flag:
        yield sti(NmiLeave.flags_restored)
