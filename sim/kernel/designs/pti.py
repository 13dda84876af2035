"""Page-table isolation as Linux has it (pti.rst, arch/x86/mm/pti.c, tlb.c): a second L4 page for each process.

Both halves of a process have PCIDs of their own, and a CPU remembers those of some (:mod:`sim.kernel.contexts`).  User
tables hold the process's user slots and one kernel slot: the ``pcpu_area`` with every CPU's entry area, shared by all
processes.  Entry runs on the CPU's entry stack (the rsp0 page, here a page of its own mapped in both halves), reads CR3
and flips it, and copies the frame to the thread's stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, NX, A, D, G, P, W
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Access, Invpcid, Proc, cost, invlpg, invpcid, load, reg, sti, store, write_cr3
from sim.kernel import entry
from sim.kernel.contexts import USER_BIT, Contexts, kernel_pcid
from sim.kernel.crossings import Leave, NmiEntry, SegmentFault, SyscallEntry, ToKernelTables, TrapEntry, UserEntry
from sim.kernel.designs.base import Design, Isolated, Profile
from sim.kernel.entry import alt_plain, cross_in, must
from sim.kernel.layout import PAGE_SIZE, PCPU_ENTRY_PAGES, TEXT_USER_PAGES, TRAPFRAME
from sim.kernel.pmap import PmapCreate
from sim.kernel.shootdown2018 import Shootdown2018

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp
    from sim.kernel.pmap import Pmap
    from sim.kernel.shootdown import Flushes, Shootdown


def _user_table(k: Kernel, top: Words, va: int) -> Words:
    """Return the L1 table that serves *va* below *top*, made if missing."""
    return k.mem.grow(top, va, lambda level: k.mem.alloc_table(f"pti shared L{level}") | P | W | A)


def _build(k: Kernel) -> None:
    """Build the shared kernel part of user tables: idt, ldt, entry areas, entry text."""
    k.pti_shared = k.mem.table(k.mem.alloc_table("pti shared"))
    for i in range(TEXT_USER_PAGES):
        va = k.layout.text_user + i * PAGE_SIZE
        large = k.kernel_entry(va)
        pa = (large & FRAME) + va % k.layout.large
        _user_table(k, k.pti_shared, va).v[k.geometry.index(va, 1)] = pa | P | A | G
    pages = [k.layout.idt, k.layout.ldt]
    for ci in k.cpus:
        stack = k.layout.entry_page(ci.ci_index, "rsp0") + PAGE_SIZE
        k.tables.enter(stack, k.mem.alloc_page(f"cpu{ci.ci_index} entry stack"), NX)
        pages += [k.layout.entry_page(ci.ci_index, what) for what in PCPU_ENTRY_PAGES if what != "ldt"]
        pages.append(stack)
        ci.ci_svs_rsp0 = stack + TRAPFRAME
        ci.ci_svs_ursp0 = stack
    for va in pages:
        _user_table(k, k.pti_shared, va).v[k.geometry.index(va, 1)] = k.tables.l1(va) | A | D | G


def _pmap_create(k: Kernel, pmap: Pmap) -> Proc:
    """Allocate the user L4 page and enter the shared kernel part."""
    yield cost("page_zero", PmapCreate.user_l4_page)
    pmap.pm_updirpa = k.mem.alloc_table(f"{pmap.name}.pm_updir")
    pmap.pm_updir = k.mem.table(pmap.pm_updirpa)
    first = k.geometry.pte_slot + 1
    pmap.pm_updir.v[first:] = k.pti_shared.v[first:]


class PtiSetUserPgd(Procedure, name="pti_set_user_pgd", cause="pti_set_user_pgd"):
    read_pm_pdir = site("read pm_pdir")
    write_pm_updir = site("write pm_updir")


def _pmap_sync(k: Kernel, pmap: Pmap, slot: int) -> Proc:
    """Write the changed entry into the process's user L4 page; every CPU uses that very page.

    Where an entry goes, the count of changes that follows in the shootdown is locked: it drains this store before
    anybody looks who has to be told.
    """
    entry = yield load(pmap.pm_pdir, slot, PtiSetUserPgd.read_pm_pdir)
    assert pmap.pm_updir is not None
    yield store(pmap.pm_updir, slot, entry, PtiSetUserPgd.write_pm_updir)


def _to_kernel_tables(k: Kernel, ci: CpuInfo, pcid: bool, at: type[ToKernelTables]) -> Proc:
    """Read CR3, flip to the kernel half, write it.

    The half follows from CR3: while a pmap is loaded, an NMI finds ``ci_pmap`` ahead of it, and the old tables.
    """
    yield cost("load", at.read_cr3)
    current, found = k.curpmap(ci), ci.cpu.cr3_pa
    kernel = current.pm_pdirpa if found == current.pm_updirpa else found
    yield write_cr3(kernel, ci.cpu.pcid & ~USER_BIT, pcid, at.cr3_kernel)


def _in(k: Kernel, lwp: Lwp, pcid: bool, at: type[UserEntry]) -> Proc:
    """Entry stack, CR3, copy of the frame."""
    ci = lwp.l_cpu
    yield reg("rsp", ci.ci_svs_ursp0, at.entry_stack)
    yield from must(ci.ci_svs_ursp0, Access.WRITE, at.push_frame)
    yield from must(k.layout.text_user, Access.EXEC, at.fetch)
    yield cost("push_frame", at.push_frame)
    yield cost("swapgs", at.swapgs)
    yield from _to_kernel_tables(k, ci, pcid, at)
    yield from must(k.layout.entry_page(ci.ci_index, "tss"), Access.READ, at.thread_stack_address)
    yield reg("rsp", lwp.pcb_rsp0 - TRAPFRAME, at.thread_stack)
    yield from must(lwp.pcb_rsp0 - TRAPFRAME, Access.WRITE, at.copy_frame)
    yield cost("push_frame", at.copy_frame)


def _syscall(k: Kernel, lwp: Lwp, pcid: bool) -> Proc:
    """System call entry."""
    yield from cross_in("syscall", SyscallEntry)
    yield from _in(k, lwp, pcid, SyscallEntry)
    yield sti(SyscallEntry.sti)


def _trap(k: Kernel, lwp: Lwp, pcid: bool) -> Proc:
    """Interrupt or trap from user mode."""
    yield from cross_in("interrupt_entry", TrapEntry)
    yield from _in(k, lwp, pcid, TrapEntry)


def _leave(k: Kernel, lwp: Lwp, contexts: Contexts, how: str) -> Proc:
    """Copy the frame to the entry stack, flip CR3 and flush the user half if that was left to now, return.

    Interrupts are off, so that no flush is asked for between the look and the CR3 write.
    """
    ci = lwp.l_cpu
    yield reg("rsp", ci.ci_svs_ursp0, Leave.entry_stack)
    yield from must(ci.ci_svs_ursp0, Access.WRITE, Leave.copy_frame)
    yield cost("push_frame", Leave.copy_frame)
    user = k.curpmap(ci).pm_updirpa
    if contexts.pcid:
        flush = yield from contexts.take_user_flush(ci, Leave)
        yield write_cr3(user, ci.cpu.pcid | USER_BIT, not flush, Leave.cr3_user)
    else:
        yield write_cr3(user, 0, False, Leave.cr3_user)
    yield from must(k.layout.text_user, Access.EXEC, Leave.fetch)
    yield from must(ci.ci_svs_ursp0, Access.READ, Leave.pop_frame)
    yield cost("swapgs", Leave.swapgs)
    yield cost(how, Leave.sysret if how == "sysret" else Leave.iret)
    yield reg("user", True, Leave.ring)
    yield sti(Leave.flags_restored)


def _paranoid(k: Kernel, lwp: Lwp, from_user: bool, pcid: bool, stack: int) -> Proc:
    """IST and NMI: keep the CR3 found, load the kernel half; returns the CR3 found."""
    ci = lwp.l_cpu
    yield from alt_plain(k, lwp, from_user, stack)
    found = (ci.cpu.cr3_pa, ci.cpu.pcid)
    yield from _to_kernel_tables(k, ci, pcid, NmiEntry)
    yield from must(k.layout.kernel_text, Access.EXEC, NmiEntry.handler)
    return found


def _segment_fault(k: Kernel, lwp: Lwp, pcid: bool) -> Proc:
    """A kernel-mode trap with user tables loaded: flips CR3 back, and goes on as if it had come from user mode.

    The frame goes to the thread's stack (error_entry, fixup_bad_iret), as the entry stack is for whoever enters next.
    """
    yield cost("exception_entry", SegmentFault.exception)
    yield from _to_kernel_tables(k, lwp.l_cpu, pcid, SegmentFault)
    yield from must(k.layout.entry_page(lwp.l_cpu.ci_index, "tss"), Access.READ, SegmentFault.thread_stack_address)
    yield reg("rsp", lwp.pcb_rsp0 - TRAPFRAME, SegmentFault.thread_stack)
    yield from must(lwp.pcb_rsp0 - TRAPFRAME, Access.WRITE, SegmentFault.copy_frame)
    yield from must(k.layout.kernel_text, Access.EXEC, SegmentFault.handler)


class Pti(Isolated):
    """A second L4 page for each process.

    Attributes:
        text_global: whether the kernel's text keeps G, besides the entry areas.
        defer_user_flush: whether a page's user-half entry is left to the next return to user mode, whose CR3 load then
            flushes that half, in place of an INVPCID now.
    """

    owner_until_update = True

    def __init__(self, name: str, *, pcid: bool, shootdown: Shootdown) -> None:
        super().__init__(name, pcid=pcid, shootdown=shootdown)
        self.contexts: Contexts = Contexts(pcid=pcid, user_half=True)
        self.text_global = False
        self.defer_user_flush = False

    def boot(self, k: Kernel) -> None:
        """Entry areas of all CPUs, shared by all processes' user tables; they keep G."""
        super().boot(k)
        entry.svs_pgg_update(k, False, keep_text=self.text_global)
        _build(k)

    def enter_syscall(self, k: Kernel, lwp: Lwp) -> Proc:
        """Through the CPU's entry stack."""
        return _syscall(k, lwp, self.pcid)

    def enter_trap(self, k: Kernel, lwp: Lwp) -> Proc:
        """Through the CPU's entry stack."""
        return _trap(k, lwp, self.pcid)

    def enter_nmi(self, k: Kernel, lwp: Lwp, from_user: bool) -> Proc:
        """Save the CR3 found and load the kernel's."""
        return _paranoid(k, lwp, from_user, self.pcid, 1)

    def leave_nmi(self, k: Kernel, lwp: Lwp, from_user: bool, token: object) -> Proc:
        """Restore the CR3 found."""
        return entry.leave_nmi(k, lwp, from_user, token, noflush=self.pcid)

    def leave(self, k: Kernel, lwp: Lwp, how: str) -> Proc:
        """Copy the frame to the entry stack and switch; flush the user half if that was left to now."""
        yield from _leave(k, lwp, self.contexts, how)

    def invlpg(self, k: Kernel, ci: CpuInfo, va: int, who: type[Flushes]) -> Proc:
        """flush_tlb_one_user: INVPCID for the user half, unless that is flushed later, and INVLPG."""
        if self.pcid and self.defer_user_flush:
            yield from self.contexts.flush_user_later(ci, ci.cpu.pcid - kernel_pcid(0), who)
        elif self.pcid:
            yield invpcid(Invpcid.ADDRESS, ci.cpu.pcid | USER_BIT, va, who.invpcid_user)
        yield invlpg(va, who.invlpg)

    def segment_fault(self, k: Kernel, lwp: Lwp, where: str) -> Proc:
        """Handled through the CPU's entry stack."""
        return _segment_fault(k, lwp, self.pcid)

    def rsp0(self, ci: CpuInfo, new: Lwp) -> int:
        """The CPU's entry stack."""
        return ci.ci_svs_rsp0

    def pmap_create(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """The second L4 page."""
        return _pmap_create(k, pmap)

    def pmap_destroy(self, k: Kernel, pmap: Pmap) -> None:
        """Give the second L4 page back."""
        k.mem.free(pmap.pm_updirpa)

    def pmap_sync(self, k: Kernel, ci: CpuInfo, pmap: Pmap, slot: int) -> Proc:
        """Write the user L4 page too."""
        return _pmap_sync(k, pmap, slot)

    def sync_now(self, k: Kernel, pmap: Pmap, slot: int) -> None:
        """Write the process's user L4 page."""
        assert pmap.pm_updir is not None
        pmap.pm_updir.v[slot] = pmap.pm_pdir.v[slot]


def _make(pcid: bool) -> Design:
    return Pti("pti", pcid=pcid, shootdown=Shootdown2018())


PROFILES = (
    Profile(
        "pti",
        "one more L4 page for each process, written twice; nothing is copied per CPU (Linux)",
        _make,
        pcid=True,
    ),
)
