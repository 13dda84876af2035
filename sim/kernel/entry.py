"""Entering and leaving the kernel, without isolation and with SVS (amd64 locore.S, vector.S, frameasm.h).

Interrupts are off from the crossing until the kernel's own stack is in use, and from the last check on the way out.
What the CPU itself does at a crossing (ring, flag, stack from TSS or IST, pushing the frame) is done here too, through
the tables that are loaded at that moment; a push onto an unmapped page is a double fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import MachineCheck
from sim.hardware.paging import FRAME, PS, G, P
from sim.hardware.steps import Access, Proc, access, cli, cost, load, reg, sti, store, write_cr3
from sim.kernel.cpuinfo import UTLS_KPDIRPA, UTLS_RSP0, UTLS_SCRATCH
from sim.kernel.layout import PAGE_SIZE, PCPU_ENTRY_PAGES, TRAPFRAME
from sim.kernel.svs import PCID_KERN, PCID_USER

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp


def nothing() -> Proc:
    """No step at all."""
    yield from ()


def must(va: int, kind: Access, label: str) -> Proc:
    """A kernel-mode access that has to succeed: a fault here has no handler that could run."""
    fault = yield access(va, kind, False, label)
    if fault is not None:
        raise MachineCheck(f"{label}: page at {va:#x} is not mapped in the loaded tables (double fault)")


def cross_in(how: str, label: str) -> Proc:
    """The ring crossing itself: interrupts off, kernel mode.  One event for the CPU, so nothing comes between."""
    yield cli(f"{label}:interrupt gate")
    yield reg("user", False, f"{label}:ring 0")
    yield cost(how, f"{label}:{how}")


# --- without isolation ----------------------------------------------------------------------------------------------


def syscall_plain(k: Kernel, lwp: Lwp) -> Proc:
    """Xsyscall: the kernel stack from the CPU's data, frame pushed there."""
    yield from cross_in("syscall", "syscall_entry")
    yield cost("swapgs", "syscall_entry:swapgs")
    yield from must(k.layout.text_user, Access.EXEC, "syscall_entry:fetch")
    yield reg("rsp", lwp.pcb_rsp0, "syscall_entry:rsp")
    yield from must(lwp.pcb_rsp0 - TRAPFRAME, Access.WRITE, "syscall_entry:push frame")
    yield cost("push_frame", "syscall_entry:push frame")
    yield sti("syscall_entry:sti")


def trap_plain(k: Kernel, lwp: Lwp) -> Proc:
    """INTRENTRY from user mode: the CPU takes RSP from TSS.rsp0 and pushes."""
    yield from cross_in("interrupt_entry", "trap_entry")
    stack = lwp.l_cpu.cpu.tss_rsp0
    yield reg("rsp", stack - TRAPFRAME, "trap_entry:tss rsp0")
    yield from must(stack - TRAPFRAME, Access.WRITE, "trap_entry:push frame")
    yield from must(k.layout.text_user, Access.EXEC, "trap_entry:fetch")
    yield cost("push_frame", "trap_entry:push frame")
    yield cost("swapgs", "trap_entry:swapgs")


def leave_plain(k: Kernel, lwp: Lwp, how: str) -> Proc:
    """Registers restored from the kernel stack, sysret or iret."""
    yield from must(lwp.pcb_rsp0 - TRAPFRAME, Access.READ, "leave:pop frame")
    yield cost("push_frame", "leave:pop frame")
    yield cost("swapgs", "leave:swapgs")
    yield cost(how, f"leave:{how}")
    yield reg("user", True, "leave:ring 3")
    yield sti("leave:flags restored")


def alt_plain(k: Kernel, lwp: Lwp, from_user: bool, stack: int) -> Proc:
    """IST entry: the stack is the CPU's IST page."""
    ci = lwp.l_cpu
    yield from cross_in("interrupt_entry", "altstack_entry")
    yield from must(k.layout.entry_page(ci.ci_index, f"ist{stack}"), Access.WRITE, "altstack_entry:push frame")
    yield from must(k.layout.text_user, Access.EXEC, "altstack_entry:fetch")
    yield cost("push_frame", "altstack_entry:push frame")
    yield store(ci.ci_nmi_stack, stack, lwp.pcb_rsp0, "altstack_entry:save registers")


def leave_alt_plain(k: Kernel, lwp: Lwp, from_user: bool) -> Proc:
    """IST exit."""
    yield cost("push_frame", "altstack_leave:pop frame")
    yield cost("iret", "altstack_leave:iret")
    yield reg("user", from_user, "altstack_leave:ring")


def segment_fault_plain(k: Kernel, lwp: Lwp) -> Proc:
    """A kernel-mode trap on the current stack; the tables are right anyway."""
    yield cost("exception_entry", "segment_fault:exception")
    yield from must(k.layout.kernel_text, Access.EXEC, "segment_fault:handler")


# --- SVS ------------------------------------------------------------------------------------------------------------


def _to_kernel_tables(ci: CpuInfo, pcid: bool, label: str) -> Proc:
    """SVS_ENTER: CR3 from UTLS kpdirpa, then RSP to the real kernel stack with no stack access between."""
    kpdirpa = yield load(ci.ci_svs_utls, UTLS_KPDIRPA, f"{label}:utls kpdirpa")
    yield write_cr3(kpdirpa, PCID_KERN, pcid, f"{label}:cr3 kernel")
    yield reg("rsp", ci.ci_svs_krsp0, f"{label}:rsp krsp0")


def syscall_svs(k: Kernel, lwp: Lwp, pcid: bool) -> Proc:
    """Xsyscall_svs: scratch, rsp0 from UTLS, frame pushed on the user-only page, then SVS_ENTER.

    That %rax is fetched back from scratch before the general registers are pushed is part of ``push_frame``.
    """
    ci = lwp.l_cpu
    yield from cross_in("syscall", "syscall_entry")
    yield from must(k.layout.text_user, Access.EXEC, "syscall_entry:fetch")
    yield cost("swapgs", "syscall_entry:swapgs")
    yield from must(k.layout.utls, Access.WRITE, "syscall_entry:utls")
    yield store(ci.ci_svs_utls, UTLS_SCRATCH, 1, "syscall_entry:utls scratch")
    rsp0 = yield load(ci.ci_svs_utls, UTLS_RSP0, "syscall_entry:utls rsp0")
    yield reg("rsp", rsp0 - TRAPFRAME, "syscall_entry:rsp")
    yield from must(rsp0 - TRAPFRAME, Access.WRITE, "syscall_entry:push frame")
    yield cost("push_frame", "syscall_entry:push frame")
    yield from _to_kernel_tables(ci, pcid, "syscall_entry")
    yield from must(ci.ci_svs_krsp0, Access.READ, "syscall_entry:kernel stack")
    yield sti("syscall_entry:sti")


def trap_svs(k: Kernel, lwp: Lwp, pcid: bool) -> Proc:
    """INTRENTRY from user mode: the CPU pushes on TSS.rsp0, mapped only in the user tables; then SVS_ENTER."""
    ci = lwp.l_cpu
    yield from cross_in("interrupt_entry", "trap_entry")
    stack = ci.cpu.tss_rsp0
    yield reg("rsp", stack - TRAPFRAME, "trap_entry:tss rsp0")
    yield from must(stack - TRAPFRAME, Access.WRITE, "trap_entry:push frame")
    yield from must(k.layout.text_user, Access.EXEC, "trap_entry:fetch")
    yield cost("push_frame", "trap_entry:push frame")
    yield cost("swapgs", "trap_entry:swapgs")
    yield from must(k.layout.utls, Access.READ, "trap_entry:utls")
    yield from _to_kernel_tables(ci, pcid, "trap_entry")
    yield from must(ci.ci_svs_krsp0, Access.READ, "trap_entry:kernel stack")


def leave_svs(k: Kernel, lwp: Lwp, pcid: bool, how: str) -> Proc:
    """SVS_LEAVE: RSP to the user-only page, CR3 to the user tables, registers restored through it."""
    ci = lwp.l_cpu
    yield reg("rsp", ci.ci_svs_ursp0, "leave:rsp ursp0")
    yield write_cr3(ci.ci_svs_updirpa, PCID_USER if pcid else PCID_KERN, pcid, "leave:cr3 user")
    yield from must(k.layout.text_user, Access.EXEC, "leave:fetch")
    yield from must(ci.ci_svs_ursp0, Access.READ, "leave:pop frame")
    yield cost("push_frame", "leave:pop frame")
    yield cost("swapgs", "leave:swapgs")
    yield cost(how, f"leave:{how}")
    yield reg("user", True, "leave:ring 3")
    yield sti("leave:flags restored")


def alt_svs(k: Kernel, lwp: Lwp, from_user: bool, pcid: bool, stack: int) -> Proc:
    """SVS_ENTER_ALTSTACK: CR3 only if the frame's CS says user; RSP stays on the IST page, which both tables map."""
    ci = lwp.l_cpu
    yield from alt_plain(k, lwp, from_user, stack)
    if from_user:
        yield from must(k.layout.utls, Access.READ, "altstack_entry:utls")
        kpdirpa = yield load(ci.ci_svs_utls, UTLS_KPDIRPA, "altstack_entry:utls kpdirpa")
        yield write_cr3(kpdirpa, PCID_KERN, pcid, "altstack_entry:cr3 kernel")
    yield from must(k.layout.kernel_text, Access.EXEC, "altstack_entry:handler")


def leave_alt_svs(k: Kernel, lwp: Lwp, from_user: bool, pcid: bool) -> Proc:
    """SVS_LEAVE_ALTSTACK."""
    ci = lwp.l_cpu
    if from_user:
        user_pcid = PCID_USER if pcid else PCID_KERN
        yield write_cr3(ci.ci_svs_updirpa, user_pcid, pcid, "altstack_leave:cr3 user")
    yield from leave_alt_plain(k, lwp, from_user)


def nmi_svs(k: Kernel, lwp: Lwp, from_user: bool) -> Proc:
    """SVS_ENTER_NMI: whatever CR3 was, keep it and load pmap_kernel's, which lies at the top of the NMI stack.

    Neither that value nor the one read from CR3 has the no-flush bit, so with PCID both moves flush.  Returns the CR3
    found.
    """
    ci = lwp.l_cpu
    yield from alt_plain(k, lwp, from_user, 1)
    found = (ci.cpu.cr3_pa, ci.cpu.pcid)
    yield cost("load", "nmi_entry:save cr3")
    yield write_cr3(k.pmap_kernel.pm_pdirpa, PCID_KERN, False, "nmi_entry:cr3 kernel")
    yield from must(k.layout.kernel_text, Access.EXEC, "nmi_entry:handler")
    return found


def leave_nmi(k: Kernel, lwp: Lwp, from_user: bool, token: object, *, noflush: bool) -> Proc:
    """The CR3 found comes back: SVS_LEAVE_NMI as it was read, Linux and FreeBSD with the no-flush bit."""
    assert isinstance(token, tuple)
    pa, pcid = token
    yield write_cr3(pa, pcid, noflush, "nmi_leave:cr3 found")
    yield from leave_alt_plain(k, lwp, from_user)


def segment_fault_svs(k: Kernel, lwp: Lwp, pcid: bool, handled: bool) -> Proc:
    """The trap comes from kernel mode, so SVS_ENTER is skipped although user tables are loaded.

    From 1.16 on the trap code recognises the exit path and switches; in 1.10 the handler is fetched from tables that
    do not map it (the todo item "Handle segment register faults properly").
    """
    ci = lwp.l_cpu
    yield cost("exception_entry", "segment_fault:exception")
    if handled:
        yield from must(k.layout.utls, Access.READ, "segment_fault:utls")
        yield from _to_kernel_tables(ci, pcid, "segment_fault")
    yield from must(k.layout.kernel_text, Access.EXEC, "segment_fault:handler")


def svs_pgg_update(k: Kernel, on: bool, *, keep_text: bool = False) -> None:
    """Set or clear G in every kernel mapping; idt, ldt and the pcpu entry pages always keep it.

    With *keep_text* the kernel's text, a large page, keeps it too.
    """
    k.tables.pg_g = G if on else 0
    keep = {k.layout.idt, k.layout.ldt}
    if keep_text:
        keep.add(k.layout.kernel_text)
    for ci in k.cpus:
        keep.update(k.layout.entry_page(ci.ci_index, what) for what in PCPU_ENTRY_PAGES)
    first = k.geometry.pte_slot + 1
    for slot in range(first, first + 4):
        _set_global(k, k.pmap_kernel.pm_pdir.v[slot], k.geometry.levels - 1, k.geometry.va_of_slot(slot), keep, on)


def _set_global(k: Kernel, parent: int, level: int, base: int, keep: set[int], on: bool) -> None:
    """Walk one table and change G in its leaves."""
    if not parent & P:
        return
    table = k.mem.table(parent & FRAME)
    span = PAGE_SIZE * k.geometry.entries ** (level - 1)
    for i, value in enumerate(table.v):
        va = base + i * span
        if not value & P:
            continue
        if level == 1 or value & PS:
            if va not in keep:
                table.v[i] = value | G if on else value & ~G
        else:
            _set_global(k, value, level - 1, va, keep, on)
