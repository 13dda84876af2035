"""Address-space IDs as Linux has them (arch/x86/mm/tlb.c): each CPU remembers a few address spaces, each in its PCIDs.

An address space counts its changes (``pm_tlb_gen``, Linux's mm tlb_gen), and a CPU notes up to which of them it has
flushed each context that it remembers.  A CPU that is not told of a change, because it has left the address space, sees
by the count that it has to flush when it comes back; one that is told of a change that it has flushed already does
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.memory import Words
from sim.hardware.sites import site
from sim.hardware.steps import Proc, cli, load, sti, store, write_cr3
from sim.kernel.shootdown import EVERYTHING, Flushes, MarksUserHalf, Request, flush_request

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.crossings import Leave
    from sim.kernel.kernel import Kernel
    from sim.kernel.pmap import Pmap

DYNAMIC_ASIDS = 6  # TLB_NR_DYN_ASIDS
USER_BIT = 1 << 11  # of a PCID: the user half's (X86_CR3_PTI_PCID_USER_BIT)
LOADED, NEXT, OTHERS, USER_FLUSH, FIRST = range(5)  # words of cpu_tlbstate: FIRST and on are number, count by ASID
NOBODY = -1


class SwitchMm(MarksUserHalf, name="switch_mm", cause="switch_mm"):
    cli = site("cli")
    tlb_gen = site("mm tlb_gen")
    invalidate_other = site("invalidate_other")
    clear_other = site("clear_asid_other")
    ctx_id = site("ctx_id")
    ctx_tlb_gen = site("ctx tlb_gen")
    next_asid = site("next_asid")
    note_ctx = site("note ctx")
    load_cr3 = site("load_cr3", "context switch")
    sti = site("sti")


def kernel_pcid(asid: int) -> int:
    """The PCID of an ASID's kernel half; 0 is left for CPUs that have loaded none yet."""
    return asid + 1


class Contexts:
    """The address spaces that CPUs remember.

    Attributes:
        pcid: whether each has PCIDs; without them a CPU has one context, which every load flushes.
        user_half: whether the user half has tables, and a PCID, of its own.
    """

    def __init__(self, *, pcid: bool, user_half: bool, asids: int = DYNAMIC_ASIDS) -> None:
        self.pcid = pcid
        self.user_half = user_half
        self.asids = asids if pcid else 1

    def boot(self, k: Kernel) -> None:
        """Each CPU has the kernel pmap in its first context."""
        for ci in k.cpus:
            state = ci.cpu_tlbstate = Words(f"cpu{ci.ci_index}.cpu_tlbstate", FIRST + 2 * self.asids, shared=False)
            state.v[FIRST:] = [NOBODY, 0] * self.asids
            state.v[FIRST], state.v[NEXT] = k.pmap_kernel.number, 1 % self.asids
            if self.pcid:
                ci.cpu.pcid = kernel_pcid(0)

    def switch(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """switch_mm_irqs_off: load a pmap, under an ASID that knows it if there is one; its PCID is flushed if need be.

        The caller has put this CPU into the sets of *pmap* already: whoever changes it later sends an IPI, and whoever
        did so before has counted.
        """
        state, was_on = ci.cpu_tlbstate, ci.cpu.intr
        yield cli(SwitchMm.cli)
        now = yield load(pmap.pm_tlb_gen, 0, SwitchMm.tlb_gen)
        kassert(not ci.cpu.intr, "switch_mm_irqs_off: irqs_disabled()")
        asid, flush = (yield from self._choose(ci, pmap, now)) if self.pcid else (0, True)
        if flush:
            yield store(state, FIRST + 2 * asid, pmap.number, SwitchMm.note_ctx)
            yield store(state, FIRST + 2 * asid + 1, now, SwitchMm.note_ctx)
            yield from self.flush_user_later(ci, asid, SwitchMm)
        yield store(state, LOADED, asid, SwitchMm.note_ctx)
        yield write_cr3(pmap.pm_pdirpa, kernel_pcid(asid) if self.pcid else 0, not flush, SwitchMm.load_cr3)
        if was_on:
            yield sti(SwitchMm.sti)

    def _choose(self, ci: CpuInfo, pmap: Pmap, now: int) -> Proc:
        """choose_new_asid: the ASID, and whether it has to be flushed."""
        state = ci.cpu_tlbstate
        if (yield load(state, OTHERS, SwitchMm.invalidate_other)):
            for asid in range(self.asids):
                if asid != state.v[LOADED]:
                    yield store(state, FIRST + 2 * asid, NOBODY, SwitchMm.clear_other)
            yield store(state, OTHERS, 0, SwitchMm.invalidate_other)
        for asid in range(self.asids):
            known = yield load(state, FIRST + 2 * asid, SwitchMm.ctx_id)
            if known == pmap.number:
                flushed = yield load(state, FIRST + 2 * asid + 1, SwitchMm.ctx_tlb_gen)
                return asid, flushed < now
        asid = yield load(state, NEXT, SwitchMm.next_asid)
        yield store(state, NEXT, (asid + 1) % self.asids, SwitchMm.next_asid)
        return asid, True

    def flush_user_later(self, ci: CpuInfo, asid: int, who: type[MarksUserHalf]) -> Proc:
        """invalidate_user_asid: the next return to user mode under *asid* flushes its user half."""
        if self.pcid and self.user_half:
            mask = yield load(ci.cpu_tlbstate, USER_FLUSH, who.user_pcid_flush_mask)
            yield store(ci.cpu_tlbstate, USER_FLUSH, mask | 1 << asid, who.user_pcid_flush_mask)

    def invalidate(self, k: Kernel, ci: CpuInfo, request: Request, who: type[Flushes]) -> Proc:
        """flush_tlb_func: what a request asks for, unless this CPU has done so or has another pmap loaded by now.

        Pages of the kernel pmap are in every context: those that are not loaded are forgotten at the next switch.
        """
        state = ci.cpu_tlbstate
        if request.kernel_pmap:
            yield store(state, OTHERS, 1, SwitchMm.invalidate_other)
            yield from flush_request(k, ci, request, who)
            if not request.user_pmap:
                return
        asid = yield load(state, LOADED, who.loaded_mm)
        number = yield load(state, FIRST + 2 * asid, who.loaded_mm)
        if number == k.pmap_kernel.number or request.pmap not in (number, NOBODY):
            return
        flushed = yield load(state, FIRST + 2 * asid + 1, who.ctx_tlb_gen)
        now = yield load(k.pmaps[number].pm_tlb_gen, 0, who.mm_tlb_gen)
        if flushed == now:
            return
        first, last = request.gens
        if request.pages == EVERYTHING or request.pmap == NOBODY or flushed < first - 1 or last != now:
            yield from self.flush(k, ci, who)
            return
        yield from flush_request(k, ci, request, who)
        yield store(state, FIRST + 2 * asid + 1, now, who.ctx_tlb_gen)

    def flush(self, k: Kernel, ci: CpuInfo, who: type[Flushes]) -> Proc:
        """native_flush_tlb: the loaded context, its user half at the next return to user mode."""
        state = ci.cpu_tlbstate
        asid = yield load(state, LOADED, who.loaded_mm)
        number = yield load(state, FIRST + 2 * asid, who.loaded_mm)
        now = yield load(k.pmaps[number].pm_tlb_gen, 0, who.mm_tlb_gen)
        yield from self.flush_user_later(ci, asid, who)
        yield write_cr3(ci.cpu.cr3_pa, ci.cpu.pcid, False, who.tlbflush)
        yield store(state, FIRST + 2 * asid + 1, now, who.ctx_tlb_gen)

    def take_user_flush(self, ci: CpuInfo, who: type[Leave]) -> Proc:
        """Whether the user half that is about to be loaded waits for a flush; interrupts are off meanwhile."""
        mask = yield load(ci.cpu_tlbstate, USER_FLUSH, who.flush_deferred)
        bit = 1 << (ci.cpu.pcid & ~USER_BIT) - kernel_pcid(0)
        if mask & bit:
            yield store(ci.cpu_tlbstate, USER_FLUSH, mask & ~bit, who.flush_no_more)
        return bool(mask & bit)
