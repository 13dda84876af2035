"""The operations of litmus programs, made of the kernel's own procedures."""

from __future__ import annotations

from dataclasses import dataclass

from sim.explore.cached import BornMem
from sim.explore.judges.tally import Tally
from sim.explore.judges.uses import Uses
from sim.explore.judges.view import View
from sim.explore.litmus import Op
from sim.explore.litmus_state import ENTERING, LitmusState
from sim.explore.model import Broken, Violation
from sim.explore.touched import Touched
from sim.hardware.cpu import VECTOR_DEVICE, VECTOR_NMI, VECTOR_TIMER
from sim.hardware.paging import FRAME, P, W
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Access, Proc, add, compare_and_swap, ipi, reg, rmw, touch, user, wait
from sim.kernel import process as kproc
from sim.kernel.ctxswitch import block_on, lwp_startup, mi_switch
from sim.kernel.disable import sysctl_machdep_svs_enabled
from sim.kernel.entry import nothing
from sim.kernel.kernel import Kernel
from sim.kernel.layout import PAGE_SIZE
from sim.kernel.lwp import Lwp
from sim.kernel.mappings import pmap_enter, pmap_extract, pmap_remove, pmap_update, pmap_write_protect
from sim.kernel.mutex import TakesMutex, mutex_enter, mutex_exit
from sim.kernel.pmap import Pmap, pmap_create, pmap_destroy
from sim.kernel.process import User, UvmFault
from sim.kernel.program import LwpSpec
from sim.kernel.sched import wakeup
from sim.kernel.segments import PLACES, bad_segment_on_exit
from sim.kernel.traps import fault_enter, syscall_enter, userret
from sim.kernel.uvm import unmap


class LitmusProgram(Procedure, name="litmus", cause="kernel work"):
    """What the program itself does; the texts of its operations become sites as it is read."""

    start = site("start")
    end = site("end")
    uvmspace_free = site("uvmspace_free")
    nmi = site("nmi")
    tick = site("tick")
    device = site("device")
    mark = site("mark")


class LitmusSwitch(TakesMutex, name="litmus:switch", cause="kernel work"): ...


class LitmusKernel(Procedure, name="kernel", cause="kernel work"): ...


_ACCESS = {
    **{verb: User.site(verb) for verb in ("read", "write")},
    **{verb: LitmusKernel.site(verb) for verb in ("copyin", "copyout")},
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What operations work on, and whom they tell what a pmap's user may rely on from now on."""

    kernel: Kernel
    mem: BornMem
    touched: Touched
    view: View
    tally: Tally
    uses: Uses
    state: LitmusState


def never(_value: int) -> bool:
    """A parked LWP waits for nothing."""
    return False


def body(on: Setting, lwp: Lwp, ops: tuple[Op, ...]) -> Proc:
    """An LWP's life: its first arrival, its operations, then rest (in user mode, or asleep if others want the CPU)."""
    k = on.kernel
    yield from lwp_startup(k, lwp)
    if not lwp.l_system:
        yield from userret(k, lwp, "iret")
    yield user(0, LitmusProgram.start)
    for op in ops:
        yield user(0, LitmusProgram.site(op.text))
        if op.verb in _USER_VERBS:
            yield from _USER_VERBS[op.verb](on, lwp, op)
            continue
        work = _foreign if op.pmap and on.state.pmaps[op.pmap] is not lwp.l_proc.pmap else _KERNEL_VERBS[op.verb]
        if lwp.l_system:
            yield from work(on, lwp, op)
            continue
        yield from syscall_enter(k, lwp)
        yield from work(on, lwp, op)
        if op.verb == "segment":
            continue
        yield from userret(k, lwp, "sysret")
    on.state.done.add(lwp.l_name)
    while True:
        if lwp.l_system or lwp.l_cpu.ci_runqueue.count:
            if not lwp.l_system:
                yield from syscall_enter(k, lwp)
            yield from block_on(k, lwp, f"end/{lwp.l_name}")
        yield wait(on.state.never, 0, never, LitmusProgram.end)


def _target(on: Setting, lwp: Lwp, op: Op) -> Pmap:
    """The pmap that an operation is about."""
    return on.state.pmaps[op.pmap] if op.pmap else lwp.l_proc.pmap


def _one_more_if_alive(count: int, _operand: int) -> int:
    return count + 1 if count > 0 else count


def _foreign(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """An operation on another process's pmap, which may be exiting: a reference keeps the pmap meanwhile.

    Who enters pages holds the vmspace (uvm_io), and exit waits for it; who takes them away (pmap_page_remove) holds the
    pmap only, and may meet its owner tearing it down.
    """
    pmap = on.state.pmaps[op.pmap]
    counter = on.state.vmspaces[op.pmap] if op.verb in ENTERING else pmap.pm_obj_refs
    before = yield rmw(counter, 0, _one_more_if_alive, 0, LitmusProgram.site(f"reference {counter.name}"))
    if before <= 0:
        on.state.outcomes.append(f"{lwp.l_name}:{op.text}=gone")
        return
    yield from _KERNEL_VERBS[op.verb](on, lwp, op)
    if op.verb in ENTERING:
        yield rmw(counter, 0, add, -1, LitmusProgram.site(f"release {counter.name}"))
    else:
        yield from pmap_destroy(on.kernel, lwp.l_cpu, pmap)


def _enter(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Map a fresh page; the one that was there is freed once pmap_update says that it can be."""
    pmap, va = _target(on, lwp, op), on.state.litmus.va(op.slot, op.page)
    pa = on.mem.alloc_page(f"{pmap.name} page")
    old = yield from pmap_enter(on.kernel, lwp, pmap, va, pa, True, False)
    yield from pmap_update(on.kernel, lwp, pmap)
    if old & P:
        on.uses.promise_gone(pmap, va, old & FRAME)
        on.mem.free(old & FRAME)
    on.uses.promise_entered(pmap, va, pa)


def _remove(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Unmap one page, update, free it: from here on nobody may use it, whoever unmapped it."""
    pmap, va = _target(on, lwp, op), on.state.litmus.va(op.slot, op.page)
    before = on.uses.usable(pmap, va)
    pages = yield from pmap_remove(on.kernel, lwp, pmap, va, va + PAGE_SIZE)
    yield from pmap_update(on.kernel, lwp, pmap)
    for pa in pages:
        on.uses.promise_gone(pmap, va, pa)
        on.mem.free(pa)
    if not pages:
        on.uses.promise_none(pmap, va, before, "removed-by-others")


def _munmap(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Unmap one page of the LWP's own as munmap does: under the map's lock, and what was there is freed."""
    pmap, va = lwp.l_proc.pmap, on.state.litmus.va(op.slot, op.page)
    before = on.uses.usable(pmap, va)
    yield from unmap(on.kernel, lwp, va, va + PAGE_SIZE)
    on.uses.promise_none(pmap, va, before)


def _zap(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Unmap one page and leave the shootdown queued, for an ``update`` later; nothing is promised yet."""
    pmap, va = _target(on, lwp, op), on.state.litmus.va(op.slot, op.page)
    pages = yield from pmap_remove(on.kernel, lwp, pmap, va, va + PAGE_SIZE)
    on.state.unpromised.setdefault(lwp.l_name, []).extend((pmap, va, pa) for pa in pages)


def _update(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """pmap_update: what was left queued is done, and the pages go."""
    yield from pmap_update(on.kernel, lwp, _target(on, lwp, op))
    for pmap, va, pa in on.state.unpromised.pop(lwp.l_name, []):
        on.uses.promise_gone(pmap, va, pa)
        on.mem.free(pa)


def _protect(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Make a page read-only: from here on nobody may write it."""
    pmap, va = _target(on, lwp, op), on.state.litmus.va(op.slot, op.page)
    yield from pmap_write_protect(on.kernel, lwp, pmap, va, va + PAGE_SIZE)
    yield from pmap_update(on.kernel, lwp, pmap)
    on.uses.promise_protected(pmap, va)


def _access(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """An access in user mode (``read``, ``write``) or in the kernel on a user's behalf (``copyin``, ``copyout``).

    A fault goes through the fault handler, which looks at the mapping under ``pm_lock``; if it is there the access is
    tried again.  An endless fault is three in a row, more if others map the page meanwhile.
    """
    va = on.state.litmus.va(op.slot, op.page)
    by_user = op.verb in _USER_VERBS
    kind = Access.WRITE if op.verb in ("write", "copyout") else Access.READ
    for _ in range(3 + on.state.litmus.entries):
        failed = yield touch(((va, kind),), 0, by_user, _ACCESS[op.verb])
        if failed < 0:
            on.state.outcomes.append(f"{lwp.l_name}:{op.text}=ok")
            return
        if by_user:
            yield from fault_enter(on.kernel, lwp)
        legal = yield from _fault(on, lwp, va, kind)
        if by_user:
            yield from userret(on.kernel, lwp, "iret")
        on.tally.premise("endless-fault")
        if not legal:
            on.state.outcomes.append(f"{lwp.l_name}:{op.text}=fault")
            return
    raise Violation(Broken("endless-fault", f"{lwp.l_name}: {op.text} faults again and again, though it is mapped"))


def _fault(on: Setting, lwp: Lwp, va: int, kind: Access) -> Proc:
    """What the fault handler finds: whether the pmap allows the access; if so it has waited for who holds the pmap."""
    pmap = lwp.l_proc.pmap
    on.view.mapping(pmap, va)
    if not _allows(pmap_extract(on.kernel, pmap, va), kind):
        return False
    yield from mutex_enter(lwp.l_cpu, pmap.pm_lock, UvmFault)
    entry = pmap_extract(on.kernel, pmap, va)
    yield from mutex_exit(lwp.l_cpu, pmap.pm_lock, UvmFault)
    return _allows(entry, kind)


def _allows(entry: int, kind: Access) -> bool:
    return bool(entry) and (kind is Access.READ or bool(entry & W))


def _syscall(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """A system call that does nothing."""
    yield from nothing()


def _switch(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Give the CPU to a named LWP of this CPU's run queue; this one stays runnable behind it."""
    other, ci = on.state.lwps[op.name], lwp.l_cpu
    yield from mutex_enter(ci, ci.ci_runqueue.spc_mutex, LitmusSwitch)
    for queue in ci.ci_runqueue.queues.values():
        if other in queue:
            queue.remove(other)
            queue.appendleft(other)
    yield from mutex_exit(ci, ci.ci_runqueue.spc_mutex, LitmusSwitch)
    yield from mi_switch(on.kernel, lwp)


def _block(on: Setting, lwp: Lwp, op: Op) -> Proc:
    yield from block_on(on.kernel, lwp, op.name)


def _wake(on: Setting, lwp: Lwp, op: Op) -> Proc:
    yield from wakeup(on.kernel, lwp.l_cpu, op.name)


def _only_ours(count: int) -> bool:
    return count == 1


def _exit(on: Setting, lwp: Lwp, op: Op) -> Proc:
    on.state.done.add(lwp.l_name)
    proc = lwp.l_proc
    vmspace = on.state.vmspaces.get(proc.name)
    if vmspace is not None and proc.p_nlwps == 1:
        while (yield rmw(vmspace, 0, compare_and_swap, (1, 0), LitmusProgram.uvmspace_free)) != 1:
            yield wait(vmspace, 0, _only_ours, LitmusProgram.uvmspace_free)
    on.touched.wrote(("p_nlwps", proc.name))
    yield from kproc.exit1(on.kernel, lwp)


def _fork(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """fork whose child exits at once: copies write protection into the parent and makes a pmap that goes again."""
    pmap = lwp.l_proc.pmap
    spec = LwpSpec(op.name or f"{lwp.l_name}c", iter(()), f"{pmap.name}c", cpu=lwp.l_cpu.ci_index, bound=True)
    yield from kproc.fork1(on.kernel, lwp, spec, False)
    on.uses.promise_all_protected(pmap)


def _create(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """pmap_create alone, so that a foreign pmap exists on which no LWP runs."""
    on.state.pmaps[op.name] = yield from pmap_create(on.kernel, lwp.l_cpu, op.name)
    on.uses.follow(on.state.pmaps[op.name])


def _disable(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """machdep.svs.enabled=0."""
    result = yield from sysctl_machdep_svs_enabled(on.kernel, lwp, 0)
    on.state.outcomes.append(f"{lwp.l_name}:disable={result}")


def _nmi(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Make an NMI pending on a CPU: it can land anywhere from now on."""
    yield ipi(VECTOR_NMI, 1 << int(op.name), False, LitmusProgram.nmi)


def _tick(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Make a timer interrupt pending on a CPU."""
    yield ipi(VECTOR_TIMER, 1 << int(op.name), False, LitmusProgram.tick)


def _device(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Make a device interrupt pending on a CPU; its handler wakes nobody."""
    yield ipi(VECTOR_DEVICE, 1 << int(op.name), False, LitmusProgram.device)


def _segment(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """The way out faults at a segment register or at iretq."""
    yield from bad_segment_on_exit(on.kernel, lwp, op.name or PLACES[0])


def _mark(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Nothing but a point where interrupts can land in user mode."""
    yield reg("mark", 0, LitmusProgram.mark)


_USER_VERBS = {"read": _access, "write": _access, "user": _mark, "nmi": _nmi, "tick": _tick, "device": _device}
_KERNEL_VERBS = {
    "enter": _enter,
    "replace": _enter,
    "remove": _remove,
    "munmap": _munmap,
    "zap": _zap,
    "update": _update,
    "copyin": _access,
    "copyout": _access,
    "protect": _protect,
    "syscall": _syscall,
    "switch": _switch,
    "block": _block,
    "wake": _wake,
    "exit": _exit,
    "fork": _fork,
    "create": _create,
    "disable": _disable,
    "segment": _segment,
}

# What each verb takes after it: "page" ([PMAP:]SLOT.PAGE), "name", "cpu", "pmap" or "register" (optional) or nothing.
VERBS = {
    "enter": "page", "replace": "page", "remove": "page", "munmap": "page", "zap": "page", "protect": "page",
    "read": "page", "write": "page", "copyin": "page", "copyout": "page", "update": "pmap", "syscall": "", "user": "",
    "switch": "lwp", "block": "name", "wake": "name",
    "exit": "", "fork": "", "create": "name", "disable": "", "nmi": "cpu", "tick": "cpu", "device": "cpu",
    "segment": "register",
}  # fmt: skip
