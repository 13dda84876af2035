"""Judging D: what the hardware notes in the entry of a page stays there, or is collected from an entry that is gone."""

from __future__ import annotations

from collections.abc import Iterable

from sim.explore.judges.tally import Tally
from sim.explore.judges.view import View
from sim.explore.touched import Touched
from sim.hardware.paging import FRAME, D
from sim.kernel.mappings import pmap_extract
from sim.kernel.pmap import Pmap

Page = tuple[int, int]  # pa, and its birth


class Modified:
    """In which entries the hardware has set D, and which pages' attributes say that they were written.

    Attributes:
        noted: number of the pmap, address and page of each entry in which a walk has set D for a write.
        modified: pages whose attributes (pp_attrs) say so.
        first: entries, as in *noted*, that had D as exploration began.
    """

    def __init__(self, view: View, tally: Tally, touched: Touched) -> None:
        self.view = view
        self.touched = touched
        self.premise, self.broken = tally.premise, tally.broken
        self.noted: set[tuple[int, int, Page]] = set()
        self.modified: set[Page] = set()
        self.first: frozenset[tuple[int, int, Page]] = frozenset()

    def begin(self, pmaps: Iterable[Pmap], vas: Iterable[int]) -> None:
        """What entries say as exploration begins."""
        births = self.view.mem.births
        entries = [(pmap, va, pmap_extract(self.view.kernel, pmap, va)) for pmap in pmaps for va in vas]
        self.first = frozenset(
            (pmap.number, va, (entry & FRAME, births[entry & FRAME])) for pmap, va, entry in entries if entry & D
        )

    def sets(self, pmap: Pmap, va: int, page: Page) -> None:
        """A program writes a page through an entry without D: a walk sets it."""
        self.noted.add((pmap.number, va, page))

    def collected(self, entry: int) -> None:
        """The attributes of the page that *entry* led to get its A and D."""
        pa = entry & FRAME
        page = pa, self.view.mem.births.get(pa, 0)
        if not entry & D:
            return
        if page in self.modified:
            self.touched.looked(("attributes", pa))
            return
        self.touched.wrote(("attributes", pa))
        self.modified.add(page)

    def judge(self, pmap: Pmap, va: int, pages: Iterable[Page]) -> None:
        """Whoever changed the mapping of these pages there is done: what the hardware had noted in it is known."""
        for page in pages:
            if (pmap.number, va, page) in self.noted:
                self._judge(pmap.number, va, page)
            elif (pmap.number, va, page) in self.first:
                self._judge_first(pmap.number, va, page)

    def judge_page(self, pa: int) -> None:
        """The same for whoever changed all mappings of a page."""
        page = pa, self.view.mem.births.get(pa, 0)
        for number, va, written in sorted(self.noted):
            if written == page:
                self._judge(number, va, page)
        for number, va, written in sorted(self.first - self.noted):
            if written == page:
                self._judge_first(number, va, page)

    def at_rest(self) -> None:
        """Nothing can act: the same of all pages that somebody still has."""
        for number, va, page in sorted(self.noted | self.first):
            if self.view.mem.alive(*page):
                self._judge(number, va, page)

    def _judge(self, number: int, va: int, page: Page) -> None:
        self.premise("modified-kept")
        pa = page[0]
        self.touched.looked(("attributes", pa))
        if page not in self.modified and not self._dirty(number, va, pa):
            self._lost(va, pa)

    def _judge_first(self, number: int, va: int, page: Page) -> None:
        """The same of what was written before exploration began; in no footprint, as what is seen has happened."""
        pmap = self.view.kernel.pmaps.get(number)
        entry = 0 if pmap is None else pmap_extract(self.view.kernel, pmap, va)
        self.premise("modified-kept")
        if page not in self.modified and not (entry & D and entry & FRAME == page[0]):
            self._lost(va, page[0])

    def _lost(self, va: int, pa: int) -> None:
        self.broken("modified-kept", f"{self.view.named.page(pa)} was written at {self.view.named.address(va)}, "
                    "but neither the entry there nor the page's attributes say so")  # fmt: skip

    def _dirty(self, number: int, va: int, pa: int) -> bool:
        """Whether the entry there leads to the page's frame, even if that is free by now, and has D."""
        pmap = self.view.kernel.pmaps.get(number)
        entry = 0 if pmap is None else self.view.entry(pmap, va)
        return bool(entry & D) and entry & FRAME == pa
