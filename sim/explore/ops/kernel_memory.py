"""Operations on kernel memory, for LWPs and for handlers of device interrupts."""

from __future__ import annotations

from collections.abc import Callable

from sim.explore.litmus import Op
from sim.explore.ops.setting import LitmusKernel, Setting, said
from sim.hardware.steps import Access, Proc, touch
from sim.kernel import kmem
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp

_ACCESS = {verb: LitmusKernel.site(verb) for verb in ("kread", "kwrite", "kzalloc")}


def _gone(on: Setting, op: Op, pa: int) -> None:
    """Page *pa*, and what was at the address before it, must not be used from here on: it was unmapped and shot down.

    What has come behind it is somebody else's, who got the address as soon as it was free.
    """
    k = on.kernel
    va = k.kmem.va(op.page)
    pages = on.uses.usable(k.pmap_kernel, va)
    last = next((at for at, page in enumerate(pages) if page[0] == pa), -1)
    on.uses.promise_none(k.pmap_kernel, va, pages[: last + 1])


def kenter(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Map a fresh page, as kmem_intr_alloc does; what was there before must not be used from here on."""
    k = on.kernel
    if not (yield from kmem.uvm_km_kmem_alloc(k, lwp, op.page)):
        said(on, lwp, op, "taken")
        return
    found = on.view.mapping(k.pmap_kernel, k.kmem.va(op.page))
    if found is not None:  # else somebody has unmapped it already
        on.uses.promise_entered(k.pmap_kernel, k.kmem.va(op.page), found.pa)
    if op.verb == "kzalloc":  # its owner clears it
        yield from kaccess(on, lwp, op)


def kremove(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Unmap a page, update, free it."""
    pa = yield from kmem.pipe_loan_free(on.kernel, lwp, op.page)
    if not pa:
        said(on, lwp, op, "gone")
        return
    _gone(on, op, pa)
    on.mem.free(pa)


def kfree(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Give a page back, as kmem_intr_free does."""
    pa = yield from kmem.uvm_km_kmem_free(on.kernel, lwp, op.page)
    if not pa:
        said(on, lwp, op, "gone")
        return
    _gone(on, op, pa)


def kzap(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Unmap a page and leave the shootdown queued, for an ``update`` later; nothing is promised yet."""
    k = on.kernel
    pa = yield from kmem.take(k, lwp, op.page)
    if not pa:
        said(on, lwp, op, "gone")
        return
    on.state.unpromised.setdefault(lwp.l_name, []).append((k.pmap_kernel, k.kmem.va(op.page), pa))


def kaccess(on: Setting, lwp: Lwp, op: Op) -> Proc:
    """Read or write an address that may be unmapped meanwhile, as /dev/kmem does: a fault is an error."""
    kind = Access.READ if op.verb == "kread" else Access.WRITE
    failed = yield touch(((on.kernel.kmem.va(op.page), kind),), 0, False, _ACCESS[op.verb])
    said(on, lwp, op, "ok" if failed < 0 else "fault")


VERBS: dict[str, Callable[[Setting, Lwp, Op], Proc]] = {
    "kenter": kenter,
    "kzalloc": kenter,
    "kremove": kremove,
    "kfree": kfree,
    "kzap": kzap,
    "kread": kaccess,
    "kwrite": kaccess,
}
IN_HANDLERS = frozenset(VERBS) - {"kzap"}  # a handler that leaves a shootdown to others breaks pmap(9)


def handler(k: Kernel, lwp: Lwp, what: tuple[Setting, Op]) -> Proc:
    """The handler of a device whose interrupt makes an operation; it hits *lwp*."""
    on, op = what
    on.state.asked[op.text] -= 1
    yield from VERBS[op.verb](on, lwp, op)
