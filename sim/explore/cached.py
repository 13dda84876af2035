"""What a TLB may hold: every translation that was reachable since the last flush that covered it.

Hardware may fill its TLB and paging-structure caches at any time, without the program's doing.  Instead of an actor
that does so, each CPU keeps the set of everything that could be there; a rule about stale entries is then judged
against the worst that hardware could do.  Only addresses that the litmus program is about are followed.
Source: reference section 11; SDM vol. 3, 4.10.
"""

from __future__ import annotations

from typing import NamedTuple

from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, A, D, G, Geometry, P, PhysMem, W

Path = tuple[tuple[int, int], ...]  # (table pa, birth) of the tables walked through, from the root


class Cached(NamedTuple):
    """A translation: page pa, writable without another walk, global, and the tables on its way."""

    pa: int
    write: bool
    globl: bool
    path: Path


class BornMem(PhysMem):
    """Physical memory that knows which table a word belongs to and how often a page has been allocated."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
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
        super().free(pa)
        self.births[pa] += 1

    def alive(self, path: Path) -> bool:
        """Whether every table on the path is still what it was."""
        births = self.births
        return all(births[pa] == birth for pa, birth in path)


def translate(mem: BornMem, root: int, va: int) -> tuple[Cached | None, tuple[tuple[Words, int], ...]]:
    """Translate without side effects: the translation a TLB could hold, or None, and the words read."""
    geometry = mem.geometry
    table_pa, write = root, True
    path: list[tuple[int, int]] = []
    words: list[tuple[Words, int]] = []
    for level in range(geometry.levels, 0, -1):
        table = mem.walkable(table_pa)
        path.append((table_pa, mem.births[table_pa]))
        if table is None:
            return None, tuple(words)
        index = geometry.index(va, level)
        words.append((table, index))
        entry: int = table.v[index]
        if not entry & P:
            return None, tuple(words)
        write = write and bool(entry & W)
        if level == 1:
            if not entry & A:
                return None, tuple(words)
            found = Cached(entry & FRAME, write and bool(entry & D), bool(entry & G), tuple(path))
            return found, tuple(words)
        table_pa = entry & FRAME
    return None, tuple(words)


class MaybeCached:
    """The may-be-cached set of one CPU, by (PCID, VA)."""

    def __init__(self, mem: BornMem) -> None:
        self.mem = mem
        self.entries: dict[tuple[int, int], set[Cached]] = {}
        self.vas: tuple[int, ...] = ()

    def refresh(self, root: int, pcid: int) -> None:
        """Add whatever the loaded tables lead to now."""
        for va in self.vas:
            found, _ = translate(self.mem, root, va)
            if found is not None:
                self.entries.setdefault((pcid, va), set()).add(found)

    def flush(self, pcid: int | None, va: int | None, *, globals_too: bool) -> None:
        """Drop entries of *pcid* (None: all) at *va* (None: all)."""
        for key in list(self.entries):
            if pcid is not None and key[0] != pcid and not globals_too:
                continue
            if va is not None and key[1] != va:
                continue
            kept = set() if globals_too else {entry for entry in self.entries[key] if entry.globl}
            if kept:
                self.entries[key] = kept
            else:
                del self.entries[key]

    def at(self, pcid: int, va: int) -> list[Cached]:
        """What a use of *va* under *pcid* could hit, globals of every PCID included; in a fixed order."""
        found = set(self.entries.get((pcid, va), ()))
        for (other, where), entries in self.entries.items():
            if where == va and other != pcid:
                found |= {entry for entry in entries if entry.globl}
        return sorted(found)

    def under(self, pcid: int) -> list[tuple[int, Cached]]:
        """All (VA, translation) that can be used under *pcid*, in a fixed order."""
        return sorted((va, entry) for (at, va), entries in self.entries.items() if at == pcid for entry in entries)
