"""The operations of litmus programs, made of the kernel's own procedures."""

from __future__ import annotations

from collections.abc import Callable

from sim.explore.litmus import Op
from sim.explore.litmus_state import ENTERING
from sim.explore.ops import control, kernel_memory, mapping
from sim.explore.ops.setting import LitmusProgram, Setting, said
from sim.explore.watched import WatchedRunQueue
from sim.hardware.steps import Proc, add, rmw, user, wait
from sim.kernel.ctxswitch import block_on, lwp_startup
from sim.kernel.lwp import Lwp
from sim.kernel.pmap import pmap_destroy
from sim.kernel.traps import syscall_enter, userret

__all__ = ["USER_VERBS", "VERBS", "LitmusProgram", "Setting", "body"]


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
    inside = False  # a system call that goes on with the next operation
    for op in ops:
        yield user(0, LitmusProgram.site(op.text))
        if op.verb in _USER_VERBS:
            yield from _USER_VERBS[op.verb](on, lwp, op)
            continue
        work = _foreign if op.pmap and on.state.pmaps[op.pmap] is not lwp.l_proc.pmap else _KERNEL_VERBS[op.verb]
        if lwp.l_system:
            yield from work(on, lwp, op)
            continue
        if not inside:
            yield from syscall_enter(k, lwp)
        yield from work(on, lwp, op)
        inside = op.more
        if op.verb != "segment" and not inside:
            yield from userret(k, lwp, "sysret")
    yield from control.ends(on, lwp)
    while True:
        if lwp.l_system or _gives_way(on, lwp):
            if not lwp.l_system:
                yield from syscall_enter(k, lwp)
            yield from block_on(k, lwp, f"end/{lwp.l_name}")
        yield wait(on.state.never, 0, never, LitmusProgram.end)


def _gives_way(on: Setting, lwp: Lwp) -> bool:
    """Whether an LWP that rests in user mode sleeps because others wait for its CPU.

    Not if the kernel has to take the CPU away, as it was asked to or a more important LWP waits: a call would hide that
    it does not.
    """
    ci, queue = lwp.l_cpu, lwp.l_cpu.ci_runqueue
    if not queue.count or isinstance(queue, WatchedRunQueue) and queue.preempting:
        return False
    asked = ci.ci_want_resched
    on.touched.looked((asked.name, 0))
    return not on.view.own(ci.ci_index, asked, 0)


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
        said(on, lwp, op, "gone")
        return
    yield from _KERNEL_VERBS[op.verb](on, lwp, op)
    if op.verb in ENTERING:
        yield rmw(counter, 0, add, -1, LitmusProgram.site(f"release {counter.name}"))
    else:
        yield from pmap_destroy(on.kernel, lwp.l_cpu, pmap)


Work = Callable[[Setting, Lwp, Op], Proc]
_USER_VERBS: dict[str, Work] = {
    "read": mapping.access,
    "write": mapping.access,
    "touch": mapping.touched,
    "look": mapping.touched,
    "recall": mapping.touched,
    "user": control.mark,
    "quantum": control.quantum,
    "await": control.await_,
    "nmi": control.nmi,
    "tick": control.tick,
    "device": control.device,
}
_KERNEL_VERBS: dict[str, Work] = {
    "enter": mapping.enter,
    "enter_read": mapping.enter,
    "replace": mapping.enter,
    "enter_again": mapping.enter_again,
    "remove": mapping.remove,
    "munmap": mapping.munmap,
    "mremap": mapping.mremap,
    "madvise": mapping.munmap,
    "mprotect_none": mapping.munmap,
    "zap": mapping.zap,
    "update": mapping.update,
    "copyin": mapping.access,
    "copyout": mapping.access,
    "protect": mapping.protect,
    "mprotect": mapping.mprotect,
    "page_remove": mapping.page_remove,
    "page_protect": mapping.page_protect,
    "syscall": control.syscall,
    "switch": control.switch,
    "block": control.block,
    "wake": control.wake,
    "exit": control.exit_,
    "fork": control.fork,
    "exec": control.exec_,
    "disable": control.disable,
    "segment": control.segment,
    **kernel_memory.VERBS,
}

USER_VERBS = frozenset(_USER_VERBS)  # made in user mode, not in a system call

# What each verb takes after it: "page" ([PMAP:]SLOT.PAGE), "range" (the same, perhaps with +COUNT), both, "name",
# "cpu", "shared page", "kernel page", "child" (optional: an LWP), "pmap" or "register" (optional), "device" (a CPU, and
# perhaps a name or what the handler does), or nothing.
VERBS = {
    **dict.fromkeys(("enter", "enter_read", "enter_again", "replace", "read", "write", "touch", "look", "recall",
                     "copyin", "copyout"), "page"),
    **dict.fromkeys(("remove", "munmap", "madvise", "zap", "protect", "mprotect", "mprotect_none"), "range"),
    "mremap": "range and page", "update": "pmap", "syscall": "", "user": "", "quantum": "", "await": "lwp",
    "switch": "lwp", "block": "name", "wake": "name", "exit": "", "fork": "child", "exec": "", "disable": "",
    "nmi": "cpu", "tick": "cpu", "device": "device", "segment": "register",
    "page_remove": "shared page", "page_protect": "shared page",
    **dict.fromkeys(kernel_memory.VERBS, "kernel page"),
}  # fmt: skip
