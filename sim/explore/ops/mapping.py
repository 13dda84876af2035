"""Operations on mappings: entering, removing, protecting and using pages."""

from __future__ import annotations

from sim.explore.litmus import Op
from sim.explore.model import Broken, Violation
from sim.explore.ops.setting import LitmusKernel, Pages, Setting, said, target, usable
from sim.hardware.paging import FRAME, P, W
from sim.hardware.steps import Access, Proc, touch
from sim.kernel import uvm_pages
from sim.kernel.layout import PAGE_SIZE
from sim.kernel.lwp import Lwp
from sim.kernel.mappings import pmap_enter, pmap_extract, pmap_remove, pmap_update, pmap_write_protect
from sim.kernel.mutex import mutex_enter, mutex_exit
from sim.kernel.pmap import Pmap
from sim.kernel.process import User, UvmFault, page_fault
from sim.kernel.traps import fault_enter, userret
from sim.kernel.uvm import mremap as uvm_mremap
from sim.kernel.uvm import protect as uvm_protect
from sim.kernel.uvm import unmap

_ACCESS = {
    **{verb: User.site(verb) for verb in ("read", "write", "touch", "look", "recall")},
    **{verb: LitmusKernel.site(verb) for verb in ("copyin", "copyout")},
}


def enter(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Map a fresh page, writable or not; the one that was there is freed once pmap_update says that it can be."""
    pmap, va = target(on, lwp, op), on.state.litmus.va(op.slot, op.page)
    pa = on.mem.alloc_page(f"{pmap.name} page")
    ahead = (op.pmap or lwp.l_proc.name, op.slot, op.page) in on.state.litmus.unused
    old = yield from pmap_enter(on.kernel, lwp, pmap, va, pa, op.verb != "enter_read", False, accessed=not ahead)
    yield from pmap_update(on.kernel, lwp, pmap)
    if old & P:
        _gone(on, [(pmap, va, old & FRAME)])
    on.uses.promise_entered(pmap, va, pa)


def enter_again(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Map the page that is there once more, read-only, as a fault does that finds it shared: nobody may write it."""
    pmap, va = target(on, lwp, op), on.state.litmus.va(op.slot, op.page)
    on.view.mapping(pmap, va)
    old = pmap_extract(on.kernel, pmap, va)
    if not old:
        said(on, lwp, op, "gone")
        return
    on.uses.protects(lwp.l_name, pmap, (va,))
    yield from pmap_enter(on.kernel, lwp, pmap, va, old & FRAME, False, True)
    yield from pmap_update(on.kernel, lwp, pmap)
    on.uses.promise_protected(lwp.l_name, pmap, va)


def _range(on: Setting, op: Op) -> tuple[int, ...]:
    """The addresses of an operation's pages."""
    return tuple(on.state.litmus.va(op.slot, op.page + i) for i in range(op.pages))


def _places(on: Setting, pmap: Pmap, before: dict[int, Pages], pages: list[int]) -> list[tuple[Pmap, int, int]]:
    """Where each of *pages*, just unmapped, was: pmap, address, pa; *before* is what could be used there.

    One that came and went meanwhile, so that nobody may use it by now, is put at the first address.
    """
    now = usable(on, pmap, tuple(before))
    found = []
    for pa in pages:
        page = pa, on.mem.births[pa]
        vas = [va for va in before if page in before[va] or page in now[va]]
        found.append((pmap, (vas or list(before))[0], pa))
    return found


def remove(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Unmap pages, update, free them: from here on nobody may use what was there, whoever unmapped it."""
    pmap, vas = target(on, lwp, op), _range(on, op)
    before = usable(on, pmap, vas)
    pages = yield from pmap_remove(on.kernel, lwp, pmap, vas[0], vas[-1] + PAGE_SIZE)
    yield from pmap_update(on.kernel, lwp, pmap)
    found = _places(on, pmap, before, pages)
    _gone(on, found)
    for va in set(vas) - {va for _, va, _ in found}:
        on.uses.promise_none(pmap, va, before[va], "removed-by-others")


def _gone(on: Setting, found: list[tuple[Pmap, int, int]]) -> None:
    """Nobody may use these pages any more; they are free."""
    for pmap, va, pa in found:
        on.uses.promise_gone(pmap, va, pa)
        on.mem.free(pa)


def munmap(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Unmap pages of the LWP's own as munmap, madvise or mprotect (PROT_NONE) does: under the map's lock.

    What was there is freed.
    """
    pmap, vas = lwp.l_proc.pmap, _range(on, op)
    before, end = usable(on, pmap, vas), vas[-1] + PAGE_SIZE
    if op.verb == "mprotect_none":
        yield from uvm_protect(on.kernel, lwp, vas[0], end, False, True)
    else:
        yield from unmap(on.kernel, lwp, vas[0], end, shared=op.verb == "madvise")
    for va in vas:
        on.uses.promise_none(pmap, va, before[va])


def mremap(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Move pages of the LWP's own to another address, where faults map them."""
    pmap, vas = lwp.l_proc.pmap, _range(on, op)
    before = usable(on, pmap, vas)
    error = yield from uvm_mremap(on.kernel, lwp, vas[0], vas[-1] + PAGE_SIZE, on.state.litmus.va(*op.to))
    said(on, lwp, op, error)
    if error:
        return
    for place, va in enumerate(vas):
        on.uses.promise_none(pmap, va, before[va])
        to = on.state.litmus.va(*op.to) + place * PAGE_SIZE
        found = on.view.mapping(pmap, to)
        if found is not None:  # faulted in already: whatever was there before is not what was moved
            on.uses.promise_entered(pmap, to, found.pa)
        else:
            on.uses.promise_left(pmap, to)


def zap(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Unmap pages and leave the shootdown queued, for an ``update`` later; nothing is promised yet."""
    pmap, vas = target(on, lwp, op), _range(on, op)
    before = usable(on, pmap, vas)
    pages = yield from pmap_remove(on.kernel, lwp, pmap, vas[0], vas[-1] + PAGE_SIZE)
    on.state.unpromised.setdefault(lwp.l_name, []).extend(_places(on, pmap, before, pages))


def update(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """pmap_update: what was left queued is done, and the pages go."""
    yield from pmap_update(on.kernel, lwp, target(on, lwp, op))
    _gone(on, on.state.unpromised.pop(lwp.l_name, []))


def protect(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Make pages read-only: from here on nobody may write them."""
    pmap, vas = target(on, lwp, op), _range(on, op)
    on.uses.protects(lwp.l_name, pmap, vas)
    yield from pmap_write_protect(on.kernel, lwp, pmap, vas[0], vas[-1] + PAGE_SIZE)
    yield from pmap_update(on.kernel, lwp, pmap)
    for va in vas:
        on.uses.promise_protected(lwp.l_name, pmap, va)


def mprotect(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """The same as mprotect does it, under the map's lock; faults for writing map the page writable again."""
    pmap, vas = lwp.l_proc.pmap, _range(on, op)
    on.uses.protects(lwp.l_name, pmap, vas)
    yield from uvm_protect(on.kernel, lwp, vas[0], vas[-1] + PAGE_SIZE, False, False)
    for va in vas:
        on.uses.promise_protected(lwp.l_name, pmap, va)


def page_remove(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Take a shared page from everybody who maps it, and free it; the hooks tell the judges."""
    yield from uvm_pages.page_out(on.kernel, lwp, on.state.shared[op.name])


def page_protect(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Take write permission for a shared page from everybody who maps it."""
    yield from uvm_pages.page_clean(on.kernel, lwp, on.state.shared[op.name])


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
            said(on, lwp, op, "ok")
            return
        if by_user:
            yield from fault_enter(on.kernel, lwp)
        legal = yield from _fault(on, lwp, va, kind)
        if by_user:
            yield from userret(on.kernel, lwp, "iret")
        on.tally.premise("endless-fault")
        if not legal:
            said(on, lwp, op, "fault")
            return
    raise Violation(Broken("endless-fault", f"{lwp.l_name}: {op.text} faults again and again, though it is mapped"))


def touched(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Write (``touch``) or read (``look``) in user mode, where a fault maps the page: page_fault of timed runs.

    ``recall`` reads, too, and says whether the page has what it had from the start, or is another one.
    """
    va = on.state.litmus.va(op.slot, op.page)
    kind = Access.WRITE if op.verb == "touch" else Access.READ
    for _ in range(3 + on.state.litmus.entries):
        failed = yield touch(((va, kind),), 0, True, _ACCESS[op.verb])
        if failed < 0:
            said(on, lwp, op, _whose(on, lwp.l_proc.pmap, va) if op.verb == "recall" else "ok")
            return
        on.tally.premise("endless-fault")
        yield from page_fault(on.kernel, lwp, va, kind, 0, False)
    raise Violation(Broken("endless-fault", f"{lwp.l_name}: {op.text} faults again and again"))


def _whose(on: Setting, pmap: Pmap, va: int) -> str:
    """Whether the page there is one of those that were there first."""
    found = on.view.mapping(pmap, va)
    return "kept" if found is not None and (found.pa, found.birth) in on.state.first else "new"


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
