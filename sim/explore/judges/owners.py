"""Judging at rest that counts add up: references to pmaps, and pages in use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sim.explore.judges.tally import Tally
from sim.explore.judges.view import View
from sim.explore.litmus_state import LitmusState
from sim.hardware.paging import FRAME, LARGE_MEMORY, P
from sim.kernel.kmem import IN_USE, LEAVING
from sim.kernel.layout import PAGE_SIZE, KernelMemory
from sim.kernel.lwp import LSZOMB, Process
from sim.kernel.mappings import mapped_ranges, pmap_extract
from sim.kernel.pmap import Pmap
from sim.kernel.vm_page import PvEntry


class Owners:
    """Who owns what at rest."""

    def __init__(self, view: View, tally: Tally, state: LitmusState) -> None:
        self.view = view
        self.premise, self.broken = tally.premise, tally.broken
        self.state = state

    def finish(self) -> None:
        """Nothing can act."""
        k = self.view.kernel
        for pmap in k.pmaps.values():
            if pmap is not k.pmap_kernel:
                self._references(pmap)
        self._pages()
        self._kernel_memory()
        self._shared_pages()
        self._maps()
        self._wakeups()

    def _references(self, pmap: Pmap) -> None:
        k, state = self.view.kernel, self.state
        living = {lwp.l_proc.pmap.number for lwp in state.lwps.values() if lwp.l_stat != LSZOMB}
        # A program may have a pmap without LWPs, as if its process slept; it never exits.
        inhabited = {item.pmap for item in state.litmus.lwps}
        asleep = {other.number for name, other in state.pmaps.items() if name not in inhabited}
        owned = pmap.number in living | asleep
        loaded = sum(ci.ci_pmap.v[0] == pmap.number for ci in k.cpus)
        self.premise("references")
        if not owned + loaded:
            self.broken("references", f"at rest nobody refers to {pmap.name}, and it is not destroyed")
        if pmap.pm_obj_refs.v[0] != owned + loaded:
            who = ("its process and " if owned else "") + f"{loaded} CPUs that have it loaded"
            self.broken("references", f"at rest {pmap.pm_obj_refs.name} = {pmap.pm_obj_refs.v[0]}, but only {who} "
                        "refer to it")  # fmt: skip

    def _pages(self) -> None:
        mem = self.view.mem
        known: set[int] = set()
        for pa, table in mem.tables.items():
            if id(table) in mem.table_of:
                known.update(entry & FRAME for entry in table.v if entry & P and entry & FRAME != pa)
        self.premise("pages")
        for pa in known:
            if pa < LARGE_MEMORY and mem.is_free(pa):
                self.broken("pages", f"at rest {self.view.named.page(pa)} is mapped")
        known |= self._waiting()
        for pa in mem.pages_in_use():
            if pa not in known:
                self.broken("pages", f"at rest nobody has {self.view.named.page(pa)}, and it is not free")
        for lwp in self.state.lwps.values():
            if lwp.l_stat == LSZOMB and lwp.md_gc_ptp:
                self.broken("pages", f"{lwp.l_name} has exited with {len(lwp.md_gc_ptp)} table pages on its list")

    def _kernel_memory(self) -> None:
        """An address of kernel memory has a page if it is in use, and none if it is free, or (``kzap``) given up."""
        k = self.view.kernel
        kmem: KernelMemory | None = getattr(k, "kmem", None)
        for page, tag in enumerate(kmem.tags.v if kmem is not None else ()):
            mapped = bool(k.kernel_entry(k.kmem.va(page)) & P)
            self.premise("pages")
            if tag == LEAVING and not self.state.litmus.uses("kzap"):
                self.broken("pages", f"at rest the address of page {page} of kernel memory is neither in use nor free")
            if mapped != (tag == IN_USE):
                self.broken("pages", f"at rest page {page} of kernel memory is {'mapped' if mapped else 'not mapped'}, "
                            f"but its address is {'' if tag == IN_USE else 'not '}in use")  # fmt: skip

    def _waiting(self) -> set[int]:
        """Pages that no table maps: L4 pages, table pages and pages whose shootdown has not been sent."""
        k = self.view.kernel
        found = {root for pmap in k.pmaps.values() for root in (pmap.pm_pdirpa, pmap.pm_updirpa)}
        shared = getattr(k, "pti_shared", None)
        found |= {pa for pa, table in self.view.mem.tables.items() if table is shared}
        found |= {pa for pmap in k.pmaps.values() for pa in pmap.pm_gc_ptp}
        found |= {pa for lwp in self.state.lwps.values() for pa in lwp.md_gc_ptp}
        found |= k.vm_pages.keys()
        return found | {pa for zapped in self.state.unpromised.values() for _, _, pa in zapped}

    def _shared_pages(self) -> None:
        """Pages that several map entries can lead to: who maps them, and how many entries there are."""
        k = self.view.kernel
        mapped: dict[int, list[PvEntry]] = {pa: [] for pa in k.vm_pages}
        for pmap in k.pmaps.values() if mapped else ():
            for start, end in mapped_ranges(k, pmap):
                for va in range(start, end, PAGE_SIZE):
                    mapped.get(pmap_extract(k, pmap, va) & FRAME, []).append((pmap.number, va))
        entries = Counter(id(page) for proc in self._processes() for page in proc.pages.values())
        for pa, page in k.vm_pages.items():
            self.premise("pv-lists")
            if sorted(page.pv) != sorted(mapped[pa]):
                self.broken("pv-lists", f"at rest the pv list of {page.name} is {self._places(page.pv)}, but tables "
                            f"map it at {self._places(mapped[pa])}")  # fmt: skip
            self.premise("references")
            if not page.refs:
                self.broken("references", f"at rest nobody refers to {page.name}, and it is not free")
            if page.refs != entries[id(page)]:
                self.broken("references", f"at rest {page.name} has {page.refs} references, but {entries[id(page)]} "
                            "map entries lead to it")  # fmt: skip

    def _maps(self) -> None:
        """Where a map entry leads to such a page, tables map that one or nothing."""
        k = self.view.kernel
        for proc in self._processes():
            for va, page in proc.pages.items():
                entry = pmap_extract(k, proc.pmap, va)
                self.premise("pages")
                if entry and entry & FRAME != page.pa:
                    named = self.view.named
                    self.broken("pages", f"at rest the map of {proc.name} has {page.name} at {named.address(va)}, but "
                                f"tables map {named.page(entry & FRAME)} there")  # fmt: skip

    def _wakeups(self) -> None:
        """Each sleep has used up one wake-up of its channel; what is left is there for a later one."""
        ops = [op for item in self.state.litmus.lwps for op in item.ops]
        left = Counter(op.name for op in ops if op.verb == "wake")
        asked = (op.name.split()[1:] for op in ops if op.verb == "device")
        left.update(what[0] for what in asked if len(what) == 1)
        left.subtract(op.name for op in ops if op.verb == "block")
        for channel, count in left.items():
            if self.view.kernel.tokens.get(channel, 0) != count:
                self.broken("progress", f"at rest {self.view.kernel.tokens.get(channel, 0)} wake-ups are left on "
                            f"channel '{channel}', not {count}: a sleep is to use up one")  # fmt: skip

    def _processes(self) -> list[Process]:
        """The processes that are still there, each once: of living LWPs, and those without any."""
        state = self.state
        inhabited = {item.pmap for item in state.litmus.lwps}
        found = [proc for name, proc in state.processes.items() if name not in inhabited]
        found += [lwp.l_proc for lwp in state.lwps.values() if lwp.l_stat != LSZOMB]
        return list({id(proc): proc for proc in found}.values())

    def _places(self, entries: Sequence[PvEntry]) -> str:
        names = {pmap.number: pmap.name for pmap in self.view.kernel.pmaps.values()}
        address = self.view.named.address
        return ", ".join(f"{names.get(number, number)}:{address(va)}" for number, va in sorted(entries)) or "nowhere"
