"""Judging writes to pages from which write permission was taken in every map."""

from __future__ import annotations

from sim.explore.judges.tally import Tally
from sim.explore.judges.view import View
from sim.explore.touched import Touched
from sim.hardware.paging import FRAME, Fault, W
from sim.hardware.sites import Site
from sim.kernel.layout import PAGE_SIZE
from sim.kernel.lwp import Process
from sim.kernel.mappings import pmap_extract
from sim.kernel.vm_page import PvEntry, VmPage

Page = tuple[int, int]  # pa and birth


class Protected:
    """Pages that must not be written, and the mappings through which a fault has allowed it since.

    Attributes:
        allowed: those mappings, by page; a page that is not there may be written.
    """

    def __init__(self, view: View, tally: Tally, touched: Touched) -> None:
        self.view = view
        self.premise, self.broken = tally.premise, tally.broken
        self.touched = touched
        self.allowed: dict[Page, tuple[PvEntry, ...]] = {}

    def protected(self, page: VmPage) -> None:
        """From here on nobody may write the page."""
        self._changed()
        self.allowed[self._page(page.pa)] = ()
        self.premise("write-protected")
        for number, va in page.pv:
            pmap = self.view.kernel.pmaps.get(number)
            if pmap is not None and pmap_extract(self.view.kernel, pmap, va) & W:
                self.broken("write-protected", f"write permission was taken from {page.name}, but pmap {pmap.name} "
                            f"still maps it writable at {self.view.named.address(va)}")  # fmt: skip

    def writable(self, page: VmPage, proc: Process, va: int) -> None:
        """A fault is about to map the page writable."""
        self._changed()
        there = self._page(page.pa)
        if there in self.allowed and not page.needs_copy(proc.pages):
            self.allowed[there] = tuple(sorted({*self.allowed[there], (proc.pmap.number, va)}))

    def gone(self, page: VmPage) -> None:
        """The page is about to be freed."""
        self._changed()
        self.allowed.pop(self._page(page.pa), None)

    def _changed(self) -> None:
        """Whoever accesses memory before or after makes a difference."""
        for pmap in self.view.kernel.pmaps.values():
            self.touched.wrote(("promised", pmap.name))

    def _page(self, pa: int) -> Page:
        return pa, self.view.mem.births[pa]

    def written(self, cpu: int, va: int, fault: Fault | None, site: Site) -> None:
        """A user address is written: through the tables, or whatever the TLB may hold."""
        if not self.allowed:
            return
        view, page = self.view, va // PAGE_SIZE * PAGE_SIZE
        pmap = view.current[cpu].l_proc.pmap
        hit = {entry[:2] for entry in view.caches[cpu].at(view.kernel.cpus[cpu].cpu.pcid, page) if entry.write}
        pa = pmap_extract(view.kernel, pmap, page) & FRAME
        if pa and self._page(pa) in self.allowed:
            self.premise("write-protected")
            if fault is None:
                hit.add(self._page(pa))
        for there in sorted(hit & self.allowed.keys()):
            if (pmap.number, page) not in self.allowed[there]:
                self.broken("write-protected", f"cpu{cpu} in {site} can write {view.named.held(*there)} at "
                            f"{view.named.address(page)} in pmap {pmap.name}, where no fault has allowed it since "
                            "write permission was taken")  # fmt: skip
