"""Entering and leaving the kernel, without isolation and with SVS (amd64 locore.S, vector.S, frameasm.h).

Interrupts are off from the crossing until the kernel's own stack is in use, and from the last check on the way out.
What the CPU itself does at a crossing (ring, flag, stack from TSS or IST, pushing the frame) is done here too, through
the tables that are loaded at that moment; a push onto an unmapped page is a double fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import EntryStackFault, MachineCheck
from sim.hardware.paging import FRAME, PS, G, P
from sim.hardware.sites import Site
from sim.hardware.steps import Access, Proc, access, cli, cost, load, reg, sti, store, write_cr3
from sim.kernel.cpuinfo import UTLS_KPDIRPA, UTLS_RSP0, UTLS_SCRATCH
from sim.kernel.crossings import (
    AltstackEntry,
    AltstackLeave,
    Leave,
    NmiEntry,
    NmiLeave,
    RingCrossing,
    SyscallEntry,
    ToKernelTables,
    TrapEntry,
)
from sim.kernel.hotpatch import SVS_ENTER, SVS_ENTER_ALT, SVS_LEAVE, SVS_LEAVE_ALT, has_svs
from sim.kernel.layout import PAGE_SIZE, PCPU_ENTRY_PAGES, TRAPFRAME
from sim.kernel.svs import PCID_KERN, PCID_USER

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp


def nothing() -> Proc:
    """No step at all."""
    yield from ()


def must(va: int, kind: Access, at: Site) -> Proc:
    """A kernel-mode access that has to succeed: a fault here has no handler that could run."""
    fault = yield access(va, kind, False, at)
    if fault is not None:
        fault_class = EntryStackFault if at.stack or at.utls else MachineCheck
        raise fault_class(f"{at}: page at {va:#x} is not mapped in the loaded tables (double fault)")


def cross_in(how: str, at: type[RingCrossing]) -> Proc:
    """The ring crossing itself: interrupts off, kernel mode.  One event for the CPU, so nothing comes between."""
    yield cli(at.gate)
    yield reg("user", False, at.ring)
    yield cost(how, at.instruction)


# --- without isolation ----------------------------------------------------------------------------------------------


def syscall_plain(k: Kernel, lwp: Lwp) -> Proc:
    """Xsyscall: the kernel stack from the CPU's data, frame pushed there."""
    yield from cross_in("syscall", SyscallEntry)
    yield cost("swapgs", SyscallEntry.swapgs)
    yield from must(k.layout.text_user, Access.EXEC, SyscallEntry.fetch)
    yield reg("rsp", lwp.pcb_rsp0, SyscallEntry.rsp)
    yield from must(lwp.pcb_rsp0 - TRAPFRAME, Access.WRITE, SyscallEntry.push_frame)
    yield cost("push_frame", SyscallEntry.push_frame)
    yield sti(SyscallEntry.sti)


def trap_plain(k: Kernel, lwp: Lwp) -> Proc:
    """INTRENTRY from user mode: the CPU takes RSP from TSS.rsp0 and pushes."""
    yield from cross_in("interrupt_entry", TrapEntry)
    stack = lwp.l_cpu.cpu.tss_rsp0
    yield reg("rsp", stack - TRAPFRAME, TrapEntry.tss_rsp0)
    yield from must(stack - TRAPFRAME, Access.WRITE, TrapEntry.push_frame)
    yield from must(k.layout.text_user, Access.EXEC, TrapEntry.fetch)
    yield cost("push_frame", TrapEntry.push_frame)
    yield cost("swapgs", TrapEntry.swapgs)


def leave_plain(k: Kernel, lwp: Lwp, how: str) -> Proc:
    """Registers restored from the kernel stack, sysret or iret."""
    yield from must(lwp.pcb_rsp0 - TRAPFRAME, Access.READ, Leave.pop_frame)
    yield cost("push_frame", Leave.pop_frame)
    yield cost("swapgs", Leave.swapgs)
    yield cost(how, Leave.sysret if how == "sysret" else Leave.iret)
    yield reg("user", True, Leave.ring)
    yield sti(Leave.flags_restored)


def alt_plain(k: Kernel, lwp: Lwp, from_user: bool, stack: int) -> Proc:
    """IST entry: the stack is the CPU's IST page."""
    ci = lwp.l_cpu
    yield from cross_in("interrupt_entry", AltstackEntry)
    yield from must(k.layout.entry_page(ci.ci_index, f"ist{stack}"), Access.WRITE, AltstackEntry.push_frame)
    yield from must(k.layout.text_user, Access.EXEC, AltstackEntry.fetch)
    yield cost("push_frame", AltstackEntry.push_frame)
    yield store(ci.ci_nmi_stack, stack, lwp.pcb_rsp0, AltstackEntry.save_registers)


def leave_alt_plain(k: Kernel, lwp: Lwp, from_user: bool) -> Proc:
    """IST exit."""
    yield cost("push_frame", AltstackLeave.pop_frame)
    yield cost("iret", AltstackLeave.iret)
    yield reg("user", from_user, AltstackLeave.ring)


# --- SVS ------------------------------------------------------------------------------------------------------------


def to_kernel_tables(ci: CpuInfo, pcid: bool, at: type[ToKernelTables]) -> Proc:
    """SVS_ENTER: CR3 from UTLS kpdirpa, then RSP to the real kernel stack with no stack access between."""
    kpdirpa = yield load(ci.ci_svs_utls, UTLS_KPDIRPA, at.utls_kpdirpa)
    yield write_cr3(kpdirpa, PCID_KERN, pcid, at.cr3_kernel)
    # The stack in use is mapped in the user tables only: nothing may touch it between the two.
    yield reg("rsp", ci.ci_svs_krsp0, at.rsp_krsp0)


def syscall_svs(k: Kernel, lwp: Lwp, pcid: bool) -> Proc:
    """Xsyscall_svs: scratch, rsp0 from UTLS, frame pushed on the user-only page, then SVS_ENTER.

    That %rax is fetched back from scratch before the general registers are pushed is part of ``push_frame``.
    """
    ci = lwp.l_cpu
    yield from cross_in("syscall", SyscallEntry)
    yield from must(k.layout.text_user, Access.EXEC, SyscallEntry.fetch)
    yield cost("swapgs", SyscallEntry.swapgs)
    yield from must(k.layout.utls, Access.WRITE, SyscallEntry.utls)
    yield store(ci.ci_svs_utls, UTLS_SCRATCH, lwp.number, SyscallEntry.utls_scratch)  # %rax, which is the LWP's
    rsp0 = yield load(ci.ci_svs_utls, UTLS_RSP0, SyscallEntry.utls_rsp0)
    yield reg("rsp", rsp0 - TRAPFRAME, SyscallEntry.rsp)
    yield from must(rsp0 - TRAPFRAME, Access.WRITE, SyscallEntry.push_frame)
    yield cost("push_frame", SyscallEntry.push_frame)
    yield from to_kernel_tables(ci, pcid, SyscallEntry)
    yield from must(ci.ci_svs_krsp0, Access.READ, SyscallEntry.kernel_stack)
    yield sti(SyscallEntry.sti)


def trap_svs(k: Kernel, lwp: Lwp, pcid: bool) -> Proc:
    """INTRENTRY from user mode: the CPU pushes on TSS.rsp0, mapped only in the user tables; then SVS_ENTER."""
    ci = lwp.l_cpu
    yield from cross_in("interrupt_entry", TrapEntry)
    stack = ci.cpu.tss_rsp0
    yield reg("rsp", stack - TRAPFRAME, TrapEntry.tss_rsp0)
    yield from must(stack - TRAPFRAME, Access.WRITE, TrapEntry.push_frame)
    yield from must(k.layout.text_user, Access.EXEC, TrapEntry.fetch)
    yield cost("push_frame", TrapEntry.push_frame)
    yield cost("swapgs", TrapEntry.swapgs)
    if not has_svs(k, ci, SVS_ENTER):
        return
    yield from must(k.layout.utls, Access.READ, TrapEntry.utls)
    yield from to_kernel_tables(ci, pcid, TrapEntry)
    yield from must(ci.ci_svs_krsp0, Access.READ, TrapEntry.kernel_stack)


def leave_svs(k: Kernel, lwp: Lwp, pcid: bool, how: str) -> Proc:
    """SVS_LEAVE: RSP to the user-only page, CR3 to the user tables, registers restored through it."""
    ci = lwp.l_cpu
    if not has_svs(k, ci, SVS_LEAVE):
        yield from leave_plain(k, lwp, how)
        return
    # The frame lies on the kernel stack's page; the user tables have that page at ursp0 and nowhere else.
    yield reg("rsp", ci.ci_svs_ursp0, Leave.rsp_ursp0)
    yield write_cr3(ci.ci_svs_updirpa, PCID_USER if pcid else PCID_KERN, pcid, Leave.cr3_user)
    yield from must(k.layout.text_user, Access.EXEC, Leave.fetch)
    yield from must(ci.ci_svs_ursp0, Access.READ, Leave.pop_frame)
    yield cost("push_frame", Leave.pop_frame)
    yield cost("swapgs", Leave.swapgs)
    yield cost(how, Leave.sysret if how == "sysret" else Leave.iret)
    yield reg("user", True, Leave.ring)
    yield sti(Leave.flags_restored)


def alt_svs(k: Kernel, lwp: Lwp, from_user: bool, pcid: bool, stack: int) -> Proc:
    """SVS_ENTER_ALTSTACK: CR3 only if the frame's CS says user; RSP stays on the IST page, which both tables map."""
    ci = lwp.l_cpu
    yield from alt_plain(k, lwp, from_user, stack)
    # This trusts the frame: an NMI between the crossing and the CR3 write finds a kernel CS and user tables.
    if has_svs(k, ci, SVS_ENTER_ALT) and from_user:
        yield from must(k.layout.utls, Access.READ, AltstackEntry.utls)
        kpdirpa = yield load(ci.ci_svs_utls, UTLS_KPDIRPA, AltstackEntry.utls_kpdirpa)
        yield write_cr3(kpdirpa, PCID_KERN, pcid, AltstackEntry.cr3_kernel)
    yield from must(k.layout.kernel_text, Access.EXEC, AltstackEntry.handler)


def leave_alt_svs(k: Kernel, lwp: Lwp, from_user: bool, pcid: bool) -> Proc:
    """SVS_LEAVE_ALTSTACK."""
    ci = lwp.l_cpu
    if from_user and has_svs(k, ci, SVS_LEAVE_ALT):
        user_pcid = PCID_USER if pcid else PCID_KERN
        yield write_cr3(ci.ci_svs_updirpa, user_pcid, pcid, AltstackLeave.cr3_user)
    yield from leave_alt_plain(k, lwp, from_user)


def nmi_svs(k: Kernel, lwp: Lwp, from_user: bool) -> Proc:
    """SVS_ENTER_NMI: whatever CR3 was, keep it and load pmap_kernel's, which lies at the top of the NMI stack.

    Neither that value nor the one read from CR3 has the no-flush bit, so with PCID both moves flush.  Returns the CR3
    found.
    """
    ci = lwp.l_cpu
    yield from alt_plain(k, lwp, from_user, 1)
    found = (ci.cpu.cr3_pa, ci.cpu.pcid)
    yield cost("load", NmiEntry.save_cr3)
    yield write_cr3(k.pmap_kernel.pm_pdirpa, PCID_KERN, False, NmiEntry.cr3_kernel)
    yield from must(k.layout.kernel_text, Access.EXEC, NmiEntry.handler)
    return found


def leave_nmi(k: Kernel, lwp: Lwp, from_user: bool, token: object, *, noflush: bool) -> Proc:
    """The CR3 found comes back: SVS_LEAVE_NMI as it was read, Linux and FreeBSD with the no-flush bit."""
    assert isinstance(token, tuple)
    pa, pcid = token
    yield write_cr3(pa, pcid, noflush, NmiLeave.cr3_found)
    yield from leave_alt_plain(k, lwp, from_user)


def svs_pgg_update(k: Kernel, on: bool, *, keep_text: bool = False) -> None:
    """Set or clear G in every kernel mapping; idt, ldt and the pcpu entry pages always keep it.

    With *keep_text* the kernel's text, which has large pages, keeps it too.
    """
    k.tables.pg_g = G if on else 0
    k.tables.text_g = G if on or keep_text else 0
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
