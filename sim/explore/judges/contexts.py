"""Judging the contexts that a CPU remembers besides the loaded one (:mod:`sim.kernel.contexts`).

A switch back to one of them flushes nothing if the count of changes says that nothing was missed, so what is cached
under its PCIDs must be right all the while, whether or not the program goes back.
"""

from __future__ import annotations

from sim.explore.judges.tally import Tally
from sim.explore.judges.uses import Uses
from sim.explore.judges.view import View
from sim.explore.touched import Touched
from sim.kernel.contexts import FIRST, LOADED, OTHERS, USER_BIT, USER_FLUSH, kernel_pcid
from sim.kernel.pmap import Pmap


class Remembered:
    """What a CPU's next switch would take for flushed."""

    def __init__(self, view: View, tally: Tally, touched: Touched, uses: Uses) -> None:
        self.view = view
        self.tally = tally
        self.touched = touched
        self.uses = uses

    def to_user(self, cpu: int) -> None:
        """A CPU goes to user mode: it may come to switch next.  What it notes of its contexts is its own."""
        k = self.view.kernel
        contexts = k.design.contexts
        if contexts is None or not contexts.pcid or not self.tally.armed:
            return
        state = k.cpus[cpu].cpu_tlbstate.v
        if state[OTHERS]:
            return  # the next switch forgets them
        for asid in range(contexts.asids):
            pmap = k.pmaps.get(state[FIRST + 2 * asid])
            if asid != state[LOADED] and pmap is not None:
                pcid = kernel_pcid(asid)
                self._context(cpu, pmap, pcid, state[FIRST + 2 * asid + 1])
                if not state[USER_FLUSH] >> asid & 1:
                    self._context(cpu, pmap, pcid | USER_BIT, state[FIRST + 2 * asid + 1])

    def _context(self, cpu: int, pmap: Pmap, pcid: int, flushed: int) -> None:
        """What may be cached under a PCID of *pmap*, which has been flushed up to change *flushed*."""
        vas = sorted({va for held, va in self.view.caches[cpu].entries if held == pcid})
        for va in vas:
            kernel = va in self.uses.kernel_vas
            if (kernel or pmap in self.uses.followed and va < self.view.user_limit) and (
                self.view.word(pmap.pm_tlb_gen, 0) == flushed
            ):
                self._page(cpu, self.view.kernel.pmap_kernel if kernel else pmap, pcid, va)

    def _page(self, cpu: int, pmap: Pmap, pcid: int, va: int) -> None:
        """What is cached of an address: nothing that was promised to be gone."""
        self.touched.looked(("promised", pmap.name))
        legal = self.uses.legal.get((pmap.number, va), ())
        for entry in self.view.caches[cpu].at(pcid, va):
            self.tally.premise("stale-use")
            if not any(page[:2] == entry[:2] and (page[2] or not entry.write) for page in legal):
                named = self.view.named
                self.tally.broken("stale-use", f"cpu{cpu} remembers PCID {pcid}, but its TLB may hold "
                                  f"{named.address(va)} -> {named.held(*entry[:2])} there, "
                                  f"which pmap {pmap.name} has not (any more)")  # fmt: skip
