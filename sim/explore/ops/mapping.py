"""Operations on mappings: entering, removing, protecting and using pages."""

from __future__ import annotations

from sim.explore.litmus import Op
from sim.explore.model import Broken, Violation
from sim.explore.ops.setting import LitmusKernel, Setting, target
from sim.hardware.paging import FRAME, P, W
from sim.hardware.steps import Access, Proc, touch
from sim.kernel.layout import PAGE_SIZE
from sim.kernel.lwp import Lwp
from sim.kernel.mappings import pmap_enter, pmap_extract, pmap_remove, pmap_update, pmap_write_protect
from sim.kernel.mutex import mutex_enter, mutex_exit
from sim.kernel.process import User, UvmFault
from sim.kernel.traps import fault_enter, userret
from sim.kernel.uvm import unmap

_ACCESS = {
    **{verb: User.site(verb) for verb in ("read", "write")},
    **{verb: LitmusKernel.site(verb) for verb in ("copyin", "copyout")},
}


def enter(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Map a fresh page; the one that was there is freed once pmap_update says that it can be."""
    pmap, va = target(on, lwp, op), on.state.litmus.va(op.slot, op.page)
    pa = on.mem.alloc_page(f"{pmap.name} page")
    old = yield from pmap_enter(on.kernel, lwp, pmap, va, pa, True, False)
    yield from pmap_update(on.kernel, lwp, pmap)
    if old & P:
        on.uses.promise_gone(pmap, va, old & FRAME)
        on.mem.free(old & FRAME)
    on.uses.promise_entered(pmap, va, pa)


def remove(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Unmap one page, update, free it: from here on nobody may use it, whoever unmapped it."""
    pmap, va = target(on, lwp, op), on.state.litmus.va(op.slot, op.page)
    before = on.uses.usable(pmap, va)
    pages = yield from pmap_remove(on.kernel, lwp, pmap, va, va + PAGE_SIZE)
    yield from pmap_update(on.kernel, lwp, pmap)
    for pa in pages:
        on.uses.promise_gone(pmap, va, pa)
        on.mem.free(pa)
    if not pages:
        on.uses.promise_none(pmap, va, before, "removed-by-others")


def munmap(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Unmap one page of the LWP's own as munmap does: under the map's lock, and what was there is freed."""
    pmap, va = lwp.l_proc.pmap, on.state.litmus.va(op.slot, op.page)
    before = on.uses.usable(pmap, va)
    yield from unmap(on.kernel, lwp, va, va + PAGE_SIZE)
    on.uses.promise_none(pmap, va, before)


def zap(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Unmap one page and leave the shootdown queued, for an ``update`` later; nothing is promised yet."""
    pmap, va = target(on, lwp, op), on.state.litmus.va(op.slot, op.page)
    pages = yield from pmap_remove(on.kernel, lwp, pmap, va, va + PAGE_SIZE)
    on.state.unpromised.setdefault(lwp.l_name, []).extend((pmap, va, pa) for pa in pages)


def update(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """pmap_update: what was left queued is done, and the pages go."""
    yield from pmap_update(on.kernel, lwp, target(on, lwp, op))
    for pmap, va, pa in on.state.unpromised.pop(lwp.l_name, []):
        on.uses.promise_gone(pmap, va, pa)
        on.mem.free(pa)


def protect(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Make a page read-only: from here on nobody may write it."""
    pmap, va = target(on, lwp, op), on.state.litmus.va(op.slot, op.page)
    yield from pmap_write_protect(on.kernel, lwp, pmap, va, va + PAGE_SIZE)
    yield from pmap_update(on.kernel, lwp, pmap)
    on.uses.promise_protected(pmap, va)


def access(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """An access in user mode (``read``, ``write``) or in the kernel on a user's behalf (``copyin``, ``copyout``).

    A fault goes through the fault handler, which looks at the mapping under ``pm_lock``; if it is there the access is
    tried again.  An endless fault is three in a row, more if others map the page meanwhile.
    """
    va = on.state.litmus.va(op.slot, op.page)
    by_user = op.verb in ("read", "write")
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
