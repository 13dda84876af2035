"""Context switches: mi_switch (sys/kern/kern_synch.c) and cpu_switchto (amd64 locore.S), and the idle loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.cpu import IPL_NONE, IPL_SCHED
from sim.hardware.lock import Mutex
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import (
    Access,
    Proc,
    cli,
    cost,
    exchange,
    halt,
    load,
    mwait,
    reg,
    release,
    rmw,
    spl,
    sti,
    store,
    switch,
    touch,
    wait,
)
from sim.kernel.lwp import LSONPROC, LSRUN, LSZOMB
from sim.kernel.mutex import TakesMutex, mutex_enter, mutex_exit
from sim.kernel.pmap import pmap_activate, pmap_deactivate
from sim.kernel.sched import sched_idle, sleepq_block

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp


def _switched_out(value: int) -> bool:
    return value == 0


class MiSwitch(TakesMutex, name="mi_switch", cause="context switch"):
    splsched = site("splsched")
    sched_nextlwp = site("sched_nextlwp")
    clear_ci_want_resched = site("clear ci_want_resched")
    splx = site("splx")
    ctxswtch = site("l_ctxswtch")
    sleepq_mutex_exit = site("sleepq mutex_exit")
    newl_off_cpu = site("wait until newl is off its CPU")
    prev_ctxswtch = site("prev l_ctxswtch")


def mi_switch(k: Kernel, lwp: Lwp, held: Mutex | None = None) -> Proc:
    """Give the CPU to the best runnable LWP; returns when *lwp* runs again (perhaps on another CPU).

    *held* is the sleep queue's mutex that the LWP still holds.  The level stays at IPL_SCHED until the end.
    """
    ci = lwp.l_cpu
    queue = ci.ci_runqueue
    previous = yield spl(IPL_SCHED, MiSwitch.splsched)
    yield from mutex_enter(ci, queue.spc_mutex, MiSwitch)
    yield cost("mi_switch_work", MiSwitch.sched_nextlwp)
    kassert(queue.spc_mutex.owner is ci.cpu, "sched_nextlwp: spc_mutex owned")
    if lwp.l_stat == LSONPROC and lwp is not ci.ci_idlelwp:
        lwp.l_stat = LSRUN
        queue.add(lwp)
    new = queue.pop() or ci.ci_idlelwp
    new.l_stat = LSONPROC
    new.l_slice = 0 if new is not lwp else new.l_slice
    new.l_rticks = k.ticks
    queue.idle = new is ci.ci_idlelwp
    ci.ci_onproc = new
    yield store(ci.ci_want_resched, 0, 0, MiSwitch.clear_ci_want_resched)
    if new is lwp:
        yield from mutex_exit(ci, queue.spc_mutex, MiSwitch)
        yield spl(previous, MiSwitch.splx)
        return
    if held is None:  # the LWP is locked by the queue's mutex now, else by its sleep queue's
        yield store(lwp.l_ctxswtch, 0, 1, MiSwitch.ctxswtch)
    yield from mutex_exit(ci, queue.spc_mutex, MiSwitch)
    if held is not None:
        yield store(lwp.l_ctxswtch, 0, 1, MiSwitch.ctxswtch)
        ci.ci_data.pop(held.name)
        yield release(held, MiSwitch.sleepq_mutex_exit)
    lwp.l_ncsw += 1
    k.hooks.switch_begin(ci, lwp, new)
    k.hooks.count(ci, "context_switches")
    yield from pmap_deactivate(k, ci, lwp)
    yield wait(new.l_ctxswtch, 0, _switched_out, MiSwitch.newl_off_cpu)
    new.l_cpu = ci  # only now: until here the other CPU's interrupts may still run in its context
    yield from cpu_switchto(k, ci, lwp, new)
    ci = lwp.l_cpu
    kassert(ci.ci_curlwp is lwp, "mi_switch: curlwp is the LWP")
    kassert(lwp.l_stat == LSONPROC, "mi_switch: the LWP is LSONPROC")
    yield from pmap_activate(k, lwp)
    yield from _let_go_of_previous(k, ci)
    k.hooks.switch_end(ci, lwp)
    yield spl(previous if previous < IPL_SCHED else IPL_NONE, MiSwitch.splx)


def _let_go_of_previous(k: Kernel, ci: CpuInfo) -> Proc:
    """The LWP that was replaced is off this CPU: another one may run it now."""
    prev = ci.ci_prevlwp
    yield store(prev.l_ctxswtch, 0, 0, MiSwitch.prev_ctxswtch)
    if prev.l_stat == LSZOMB:
        k.reap(prev)


class LwpStartup(Procedure, name="lwp_startup", cause="kernel work"):
    spl0 = site("spl0")


def lwp_startup(k: Kernel, lwp: Lwp) -> Proc:
    """A new LWP's first instructions: it was switched to at IPL_SCHED and begins with spl0, its pmap wanted last.

    Preemption is off meanwhile (KPREEMPT_DISABLE), so an interrupt after spl0 finds the LWP here again.
    """
    ci = lwp.l_cpu
    kassert(ci.ci_curlwp is lwp, "lwp_startup: curlwp is the LWP")
    yield from _let_go_of_previous(k, ci)
    yield spl(IPL_NONE, LwpStartup.spl0)
    yield from pmap_activate(k, lwp)
    k.hooks.switch_end(ci, lwp)


class CpuSwitchto(Procedure, name="cpu_switchto", cause="context switch"):
    save_and_restore = site("save and restore")
    new_stack = site("new stack", stack=True)
    xchg_curlwp = site("xchg curlwp")
    tss_rsp0 = site("tss rsp0")
    rsp = site("rsp")
    switch_stacks = site("switch stacks")


def cpu_switchto(k: Kernel, ci: CpuInfo, old: Lwp, new: Lwp) -> Proc:
    """The stacks, curlwp (exchange), then SVS and TSS.rsp0."""
    yield cost("cpu_switchto_work", CpuSwitchto.save_and_restore)
    yield reg("rsp", new.kstack_va, CpuSwitchto.rsp)
    yield touch(((new.kstack_va, Access.WRITE),), 0, False, CpuSwitchto.new_stack)
    ci.ci_prevlwp = old
    yield rmw(ci.ci_curlwp_word, 0, exchange, new.number, CpuSwitchto.xchg_curlwp)
    ci.ci_curlwp = new
    yield from k.design.lwp_switch(k, ci, None if old.l_stat == LSZOMB else old, new)
    yield reg("tss_rsp0", k.design.rsp0(ci, new), CpuSwitchto.tss_rsp0)
    yield switch(new, CpuSwitchto.switch_stacks)


def block_on(k: Kernel, lwp: Lwp, channel: int | str) -> Proc:
    """Sleep on *channel*; returns when woken (sleepq_block)."""
    if (yield from sleepq_block(k, lwp, channel)):
        yield from mi_switch(k, lwp, held=k.sleepq_mtx)


def preempt(k: Kernel, lwp: Lwp) -> Proc:
    """Involuntary switch on the way to user mode."""
    k.hooks.count(lwp.l_cpu, "preemptions")
    yield from mi_switch(k, lwp)


class IdleLoop(Procedure, name="idle_loop", cause="scheduler"):
    ci_want_resched = site("ci_want_resched")
    cli = site("cli")
    look_again = site("look again")
    sti = site("sti")
    sti_hlt = site("sti hlt")
    mwait = site("monitor and mwait")


def idle_loop(k: Kernel, lwp: Lwp) -> Proc:
    """The idle LWP: switch if something is runnable, else try to steal, else wait.

    x86_cpu_idle_mwait monitors the line before it looks, so that no store is missed; x86_cpu_idle_halt looks with
    interrupts off, and HLT lets them in.
    """
    ci = lwp.l_cpu
    while True:
        wanted = yield load(ci.ci_want_resched, 0, IdleLoop.ci_want_resched)
        if wanted or ci.ci_runqueue.count:
            yield from mi_switch(k, lwp)
            continue
        if (yield from sched_idle(k, ci)):
            continue
        kassert(ci.cpu.ipl == IPL_NONE, "x86_cpu_idle: ci_ilevel is IPL_NONE")
        if not k.mwait:
            yield cli(IdleLoop.cli)
        wanted = yield load(ci.ci_want_resched, 0, IdleLoop.look_again)
        if k.mwait and not wanted:
            yield mwait(ci.ci_want_resched, 0, IdleLoop.mwait)
        elif not k.mwait:
            yield sti(IdleLoop.sti) if wanted else halt(IdleLoop.sti_hlt)
