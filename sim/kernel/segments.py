"""A fault in the last instructions before user mode: a bad segment register, or a frame that ``iretq`` refuses.

The trap comes from kernel mode with the user tables loaded, onto the entry stack: one page, of which the lowest bytes
are a trap frame's, above a page that is never mapped.  So it matters byte by byte what is pushed there, and by whom.

Since the end of February 2018 the way out has popped all but the frame of ``iretq`` by then, and the trap code knows
the five places (kernuser_reenter): it goes on as if the fault had come from user mode.  Before, only ``iretq`` and
``%gs`` entered at SWAPGS and so came to SVS_ENTER, and all saved their registers on the nested frame first.
Source: amd64_trap.S 1.25 and 1.50, locore.S of July 2018 (intrfastexit).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import ModelError
from sim.hardware.sites import Site
from sim.hardware.steps import Access, Proc, cli, cost, sti
from sim.kernel.crossings import SegmentFault
from sim.kernel.entry import must, to_kernel_tables
from sim.kernel.layout import PAGE_SIZE, TRAPFRAME
from sim.kernel.traps import Userret, userret

if TYPE_CHECKING:
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp

PLACES = ("es", "ds", "fs", "gs", "iretq")
REENTER_1_25 = ("gs", "iretq")
IRET_FRAME = 5 * 8  # %rip, %cs, %rflags, %rsp, %ss
ERROR_AND_TRAPNO = 2 * 8
TF_REGSIZE = TRAPFRAME - IRET_FRAME - ERROR_AND_TRAPNO


def _push(rsp: int, size: int, at: Site) -> Proc:
    """Write *size* bytes below *rsp*, each page of which has to be mapped; return the new stack pointer."""
    low = rsp - size
    for page in range((rsp - 1) // PAGE_SIZE, low // PAGE_SIZE - 1, -1):
        yield from must(max(low, page * PAGE_SIZE), Access.WRITE, at)
    return low


def _nested(rsp: int, handled: bool) -> Proc:
    """What is pushed from the fault at *rsp* on until the registers are saved (INTRENTRY).

    The CPU aligns its frame to 16 bytes.  kernuser_reenter saves %rdi, then puts error and trap number under the outer
    frame, the one that ``iretq`` was to pop, where the registers follow.
    """
    yield cost("exception_entry", SegmentFault.exception)
    inner = yield from _push(rsp & ~15, IRET_FRAME + 8, SegmentFault.cpu_frame)
    inner = yield from _push(inner, 8, SegmentFault.trapno)
    if handled:
        yield from _push(inner, 8, SegmentFault.rdi)
        inner = yield from _push(rsp, ERROR_AND_TRAPNO, SegmentFault.outer_frame)
    yield from _push(inner, TF_REGSIZE, SegmentFault.registers)


def segment_fault_plain(k: Kernel, lwp: Lwp) -> Proc:
    """Without isolation the stack is the LWP's own, and the tables are right anyway."""
    yield from _nested(lwp.pcb_rsp0 - IRET_FRAME, True)
    yield from must(k.layout.kernel_text, Access.EXEC, SegmentFault.handler)


def segment_fault_svs(k: Kernel, lwp: Lwp, pcid: bool, handled: bool, where: str) -> Proc:
    """On the entry stack; *handled* is whether the way out and the trap code are those of March 2018 and later."""
    ci = lwp.l_cpu
    popped = handled or where == "iretq"
    yield from _nested(ci.ci_svs_rsp0 - IRET_FRAME if popped else ci.ci_svs_ursp0, handled)
    if handled or where in REENTER_1_25:
        yield cost("swapgs", SegmentFault.swapgs)
        yield from must(k.layout.utls, Access.READ, SegmentFault.utls)
        yield from to_kernel_tables(ci, pcid, SegmentFault)
    yield from must(k.layout.kernel_text, Access.EXEC, SegmentFault.handler)


def bad_segment_on_exit(k: Kernel, lwp: Lwp, where: str) -> Proc:
    """The way out faults *where* (one of ``PLACES``), after the CR3 switch and before user mode.

    Entered from inside the kernel, as the last part of a system call, in place of :func:`userret`.
    """
    yield cli(Userret.cli)
    leaving = k.design.leave(k, lwp, "iret")
    value = None
    while True:
        try:
            step = leaving.send(value)
        except StopIteration as stop:
            raise ModelError("the way out has no step that pops the frame, at which to fault") from stop
        value = yield step
        if step[1].pops_frame:
            leaving.close()
            break
    yield from k.design.segment_fault(k, lwp, where)
    yield cost("fault_work", SegmentFault.signal)
    yield sti(SegmentFault.sti)
    k.hooks.count(lwp.l_cpu, "segment faults")
    yield from userret(k, lwp, "iret")
