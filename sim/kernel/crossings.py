"""The sites of entry and exit code, which the designs share (:mod:`sim.kernel.entry`, :mod:`sim.kernel.designs.pti`).

What the processor does at a crossing, whatever the design, is charged as hardware; the CR3 moves apart from the rest
that isolation adds.
"""

from __future__ import annotations

from typing import ClassVar

from sim.hardware.sites import KERNEL_DATA, SAVED_RAX, Procedure, Site, site

HARDWARE, CR3, SVS = "entry/exit hardware", "entry/exit CR3", "entry/exit SVS"


class RingCrossing(Procedure):
    """From user mode through a gate; *instruction* is what the crossing itself costs."""

    gate = site("interrupt gate", HARDWARE)
    ring = site("ring 0")
    instruction: ClassVar[Site]
    push_frame = site("push frame", HARDWARE, stack=True)
    fetch = site("fetch")


class ToKernelTables(Procedure):
    """The CR3 move of SVS_ENTER, and of ``pti``."""

    utls = site("utls", utls=True)
    utls_kpdirpa = site("utls kpdirpa")
    read_cr3 = site("read cr3")
    cr3_kernel = site("cr3 kernel", CR3)
    rsp_krsp0 = site("rsp krsp0", needs=KERNEL_DATA)


class UserEntry(RingCrossing, ToKernelTables):
    """From user mode to the LWP's own kernel stack."""

    swapgs = site("swapgs", HARDWARE)
    entry_stack = site("entry stack")
    kernel_stack = site("kernel stack", stack=True)
    thread_stack_address = site("thread stack's address", stack=True)
    thread_stack = site("thread stack")
    copy_frame = site("copy frame", stack=True)


class SyscallEntry(UserEntry, name="syscall_entry", cause=SVS):
    """The syscall instruction."""

    instruction = site("syscall", HARDWARE)
    rsp = site("rsp")
    utls_scratch = site("utls scratch")
    utls_rsp0 = site("utls rsp0", needs=SAVED_RAX)
    sti = site("sti", HARDWARE)


class TrapEntry(UserEntry, name="trap_entry", cause=SVS):
    """An interrupt or trap from user mode."""

    instruction = site("interrupt_entry", HARDWARE)
    exception = site("exception", HARDWARE)
    tss_rsp0 = site("tss rsp0")


class AltstackEntry(RingCrossing, ToKernelTables, name="altstack_entry", cause=SVS):
    """An interrupt on a stack of its own (IST), from any mode."""

    instruction = site("interrupt_entry", HARDWARE)
    save_registers = site("save registers")
    handler = site("handler")


class AltstackLeave(Procedure, name="altstack_leave", cause=SVS):
    """Back from it."""

    cr3_user = site("cr3 user", CR3)
    pop_frame = site("pop frame", HARDWARE)
    iret = site("iret", HARDWARE)
    ring = site("ring")


class NmiEntry(ToKernelTables, name="nmi_entry", cause=SVS):
    """After the IST entry of an NMI, where CR3 is saved."""

    save_cr3 = site("save cr3")
    handler = site("handler")


class NmiLeave(Procedure, name="nmi_leave", cause=SVS):
    """The CR3 found comes back."""

    cr3_found = site("cr3 found", CR3)
    flags_restored = site("flags restored", HARDWARE)


class SegmentFault(ToKernelTables, name="segment_fault", cause=SVS):
    """The trap of a bad segment register on the way out, all of which isolation has to pay for."""

    exception = site("exception")
    cpu_frame = site("cpu pushes its frame", stack=True)
    trapno = site("push trapno", stack=True)
    rdi = site("push rdi", stack=True)
    outer_frame = site("push under the outer frame", stack=True)
    registers = site("save registers", stack=True)
    swapgs = site("swapgs")
    cr3_kernel = site("cr3 kernel")
    thread_stack_address = site("thread stack's address", stack=True)
    thread_stack = site("thread stack")
    copy_frame = site("copy frame", stack=True)
    handler = site("handler")
    signal = site("signal")
    sti = site("sti")


class Leave(Procedure, name="leave", cause=SVS):
    """To user mode; *pop_frame* is where a bad segment register would trap."""

    flush_deferred = site("flush deferred?")
    flush_no_more = site("flush deferred no more")
    entry_stack = site("entry stack")
    copy_frame = site("copy frame", stack=True)
    rsp_ursp0 = site("rsp ursp0", needs=KERNEL_DATA)
    cr3_user = site("cr3 user", CR3)
    fetch = site("fetch")
    pop_frame = site("pop frame", HARDWARE, stack=True, pops_frame=True)
    swapgs = site("swapgs", HARDWARE)
    sysret = site("sysret", HARDWARE)
    iret = site("iret", HARDWARE)
    ring = site("ring 3")
    flags_restored = site("flags restored", HARDWARE)
