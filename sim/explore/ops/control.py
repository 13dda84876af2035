"""Operations on LWPs, processes and CPUs: calls, switches, sleeps, exit, interrupts."""

from __future__ import annotations

from functools import partial

from sim.explore.judges.entry_code import disabled
from sim.explore.litmus import LitmusLwp, Op
from sim.explore.ops import kernel_memory
from sim.explore.ops.setting import LitmusProgram, LitmusSwitch, Setting, said, usable
from sim.hardware.cpu import VECTOR_DEVICE, VECTOR_NMI, VECTOR_TIMER
from sim.hardware.steps import Proc, compare_and_swap, ipi, reg, rmw, store, wait
from sim.kernel import process as kproc
from sim.kernel.ctxswitch import block_on, mi_switch
from sim.kernel.disable import sysctl_machdep_svs_enabled
from sim.kernel.entry import nothing
from sim.kernel.lwp import Lwp
from sim.kernel.mutex import mutex_enter, mutex_exit
from sim.kernel.program import LwpSpec
from sim.kernel.sched import RR_TICKS, wakeup
from sim.kernel.segments import PLACES, bad_segment_on_exit


def syscall(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """A system call that does nothing."""
    yield from nothing()


def switch(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Give the CPU to a named LWP of this CPU's run queue; this one stays runnable behind it."""
    other, ci = on.state.lwps[op.name], lwp.l_cpu
    yield from mutex_enter(ci, ci.ci_runqueue.spc_mutex, LitmusSwitch)
    for queue in ci.ci_runqueue.queues.values():
        if other in queue:
            queue.remove(other)
            queue.appendleft(other)
    yield from mutex_exit(ci, ci.ci_runqueue.spc_mutex, LitmusSwitch)
    yield from mi_switch(on.kernel, lwp)


def block(on: Setting, lwp: Lwp, op: Op) -> Proc:
    yield from block_on(on.kernel, lwp, op.name)


def wake(on: Setting, lwp: Lwp, op: Op) -> Proc:
    yield from wakeup(on.kernel, lwp.l_cpu, op.name)


def _only_ours(count: int) -> bool:
    return count == 1


def exit_(on: Setting, lwp: Lwp, op: Op) -> Proc:
    yield from ends(on, lwp)
    proc = lwp.l_proc
    vmspace = on.state.vmspaces.get(proc.name)
    if vmspace is not None and proc.p_nlwps == 1:
        while (yield rmw(vmspace, 0, compare_and_swap, (1, 0), LitmusProgram.uvmspace_free)) != 1:
            yield wait(vmspace, 0, _only_ours, LitmusProgram.uvmspace_free)
    yield from kproc.exit1(on.kernel, lwp)


def fork(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """fork: of an LWP of the program, else of one that exits at once, which shares no pages."""
    pmap, here = lwp.l_proc.pmap, lwp.l_cpu.ci_index
    item = next((item for item in on.state.litmus.lwps if item.name == op.name), None)
    if item is None:
        spec = LwpSpec(f"{lwp.l_name}c", iter(()), f"{pmap.name}c", cpu=here, bound=True)
        on.uses.protects(lwp.l_name, pmap, on.uses.user_vas)
        yield from kproc.fork1(on.kernel, lwp, spec, False)
        on.uses.promise_all_protected(lwp.l_name, pmap)
        return
    born = partial(_born, on, item)
    spec = LwpSpec(item.name, iter(()), item.pmap, cpu=here, bound=item.bound, inherits=True, life=born)
    yield from kproc.fork1(on.kernel, lwp, spec, False)


def _born(on: Setting, item: LitmusLwp, lwp: Lwp) -> Proc:
    """The life of an LWP that is forked; its pmap counts from now on."""
    on.state.lwps[item.name] = lwp
    on.state.pmaps[item.pmap] = lwp.l_proc.pmap
    on.uses.follow(lwp.l_proc.pmap)
    return on.body(on, lwp, item.ops)


def exec_(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """execve: the pmap is emptied; an LWP of several of a process gets a new one."""
    pmap, vas = lwp.l_proc.pmap, on.state.litmus.user_vas
    before = usable(on, pmap, vas)
    yield from kproc.execve(on.kernel, lwp)
    if lwp.l_proc.pmap is not pmap:
        on.uses.follow(lwp.l_proc.pmap)
        return
    for va, pages in before.items():
        on.uses.promise_none(pmap, va, pages)


def disable(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """machdep.svs.enabled=0."""
    result = yield from sysctl_machdep_svs_enabled(on.kernel, lwp, 0)
    if not result:
        disabled(on.view, on.tally)
    said(on, lwp, op, result)


def nmi(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Make an NMI pending on a CPU: it can land anywhere from now on."""
    yield ipi(VECTOR_NMI, 1 << int(op.name), False, LitmusProgram.nmi)


def tick(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Make a timer interrupt pending on a CPU."""
    yield ipi(VECTOR_TIMER, 1 << int(op.name), False, LitmusProgram.tick)


def device(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Make a device interrupt pending on a CPU; its handler makes an operation, or wakes who sleeps on a channel."""
    cpu, *what = op.name.split()
    yield ipi(VECTOR_DEVICE, 1 << int(cpu), False, LitmusProgram.device)
    if len(what) == 2:
        made = Op(what[0], " ".join(what), page=int(what[1]))
        on.state.asked[made.text] += 1
        on.payloads[int(cpu)] += (("call", kernel_memory.handler, (on, made)),)
    elif what:
        on.payloads[int(cpu)] += (("wake", what[0]),)


def segment(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """The way out faults at a segment register or at iretq."""
    yield from bad_segment_on_exit(on.kernel, lwp, op.name or PLACES[0])


def quantum(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """The LWP has had its quantum but for one tick."""
    yield reg("mark", 0, LitmusProgram.mark)
    lwp.l_slice = RR_TICKS - 1


def _ended(value: int) -> bool:
    return value == 1


def await_(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Compute in user mode until another LWP has come to its end."""
    yield wait(on.state.ended[op.name], 0, _ended, LitmusProgram.await_)


def ends(on: Setting, lwp: Lwp) -> Proc:
    """An LWP has made all its operations; who awaits it sees so."""
    on.state.done.add(lwp.l_name)
    if lwp.l_name in on.state.ended:
        yield store(on.state.ended[lwp.l_name], 0, 1, LitmusProgram.end)


def mark(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Nothing but a point where interrupts can land in user mode."""
    yield reg("mark", 0, LitmusProgram.mark)
