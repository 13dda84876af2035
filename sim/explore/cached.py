"""What a TLB may hold: every translation that was reachable since the last flush that covered it.

Hardware may fill its TLB and paging-structure caches at any time, without the program's doing.  Instead of an actor
that does so, each CPU keeps the set of everything that could be there; a rule about stale entries is then judged
against the worst that hardware could do.  Only addresses that the litmus program is about are followed.
Source: reference section 11; SDM vol. 3, 4.10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, PS, A, D, G, Geometry, P, PhysMem, W


class Cached(NamedTuple):
    """A translation: page pa and how often that page had been allocated or freed, writable without a walk, global."""

    pa: int
    birth: int
    write: bool
    globl: bool


class BornMem(PhysMem):
    """Physical memory that knows which table a word belongs to and how often a page has been allocated."""

    def __init__(self, geometry: Geometry, table_freed: Callable[[], None]) -> None:
        super().__init__(geometry)
        self._table_freed = table_freed
        self.births: dict[int, int] = {}
        self.table_of: dict[int, int] = {}

    def alloc_table(self, name: str) -> int:
        """Allocate, and count."""
        pa = super().alloc_table(name)
        self.births[pa] = self.births.get(pa, 0) + 1
        self.table_of[id(self.table(pa))] = pa
        return pa

    def alloc_page(self, name: str) -> int:
        """Allocate, and count."""
        pa = super().alloc_page(name)
        self.births[pa] = self.births.get(pa, 0) + 1
        return pa

    def free(self, pa: int) -> None:
        """Free, and count."""
        if pa in self._tables:
            self._table_freed()
        super().free(pa)
        self.births[pa] += 1

    def alive(self, pa: int, birth: int) -> bool:
        """Whether a page is still what it was."""
        return self.births.get(pa) == birth


def translate(mem: BornMem, root: int, va: int) -> tuple[Cached | None, tuple[tuple[Words, int], ...]]:
    """Translate without side effects: the translation a TLB could hold, or None, and the words read."""
    geometry = mem.geometry
    bits = geometry.bits
    table_pa, write = root, True
    words: list[tuple[Words, int]] = []
    for level in range(geometry.levels, 0, -1):
        table = mem.walkable(table_pa)
        if table is None:
            return None, tuple(words)
        index = va >> 12 + bits * (level - 1) & (1 << bits) - 1
        words.append((table, index))
        entry: int = table.v[index]
        if not entry & P:
            return None, tuple(words)
        write = write and bool(entry & W)
        table_pa = entry & FRAME
        if level == 1:
            if not entry & A:
                return None, tuple(words)
            found = Cached(table_pa, mem.births.get(table_pa, 0), write and bool(entry & D), bool(entry & G))
            return found, tuple(words)
        if entry & PS:
            return Cached(table_pa, 0, write, bool(entry & G)), tuple(words)
    return None, tuple(words)


class MaybeCached:
    """The may-be-cached sets of one CPU: translations by (PCID, VA); tables by (PCID, level, address prefix)."""

    def __init__(self, mem: BornMem) -> None:
        self.mem = mem
        self.entries: dict[tuple[int, int], set[Cached]] = {}
        self.tables: dict[tuple[int, int, int], set[tuple[int, int]]] = {}
        self.vas: tuple[int, ...] = ()

    def refresh(self, root: int, pcid: int, pge: bool) -> None:
        """Add whatever the loaded tables lead to now; G means nothing without CR4.PGE."""
        mem = self.mem
        levels, bits = mem.geometry.levels, mem.geometry.bits
        for va in self.vas:
            found, words = translate(mem, root, va)
            if found is not None:
                if not pge and found.globl:
                    found = found._replace(globl=False)
                self.entries.setdefault((pcid, va), set()).add(found)
            level = levels
            for table, index in words[: levels - 1]:
                entry = table.v[index]
                if entry & P:
                    pa = entry & FRAME
                    key = (pcid, level, va >> 12 + bits * (level - 1))
                    self.tables.setdefault(key, set()).add((pa, mem.births.get(pa, 0)))
                level -= 1

    def flush(self, pcid: int | None, *, globals_too: bool) -> None:
        """Drop everything of *pcid* (None: of all)."""
        for key in list(self.entries):
            if pcid is None or key[0] == pcid:
                self._drop(key, globals_too)
        for place in list(self.tables):
            if pcid is None or place[0] == pcid:
                del self.tables[place]

    def _drop(self, key: tuple[int, int], globals_too: bool) -> None:
        kept = set() if globals_too else {entry for entry in self.entries[key] if entry.globl}
        if kept:
            self.entries[key] = kept
        else:
            del self.entries[key]

    def invlpg(self, pcid: int, va: int) -> None:
        """INVLPG: the VA in *pcid*, globals for it in any, all paging-structure caches of *pcid*."""
        for key in list(self.entries):
            if key[1] == va:
                if key[0] == pcid:
                    del self.entries[key]
                else:
                    self.entries[key] = {entry for entry in self.entries[key] if not entry.globl}
        for place in list(self.tables):
            if place[0] == pcid:
                del self.tables[place]

    def invpcid_address(self, pcid: int, va: int) -> None:
        """INVPCID type 0: the VA in *pcid* but for globals, and the table entries used to translate it."""
        if (pcid, va) in self.entries:
            self._drop((pcid, va), False)
        bits = self.mem.geometry.bits
        for level in range(self.mem.geometry.levels, 1, -1):
            self.tables.pop((pcid, level, va >> 12 + bits * (level - 1)), None)

    def at(self, pcid: int, va: int) -> list[Cached]:
        """What a use of *va* under *pcid* could hit, globals of every PCID included; in a fixed order."""
        found = set(self.entries.get((pcid, va), ()))
        for (other, where), entries in self.entries.items():
            if where == va and other != pcid:
                found |= {entry for entry in entries if entry.globl}
        return sorted(found)

    def dead_table(self, pcid: int) -> int:
        """A table page that could be walked under *pcid* though it was freed, or 0."""
        for place, found in self.tables.items():
            if place[0] == pcid:
                for pa, birth in found:
                    if not self.mem.alive(pa, birth):
                        return pa
        return 0
