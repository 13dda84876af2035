"""A CPU's TLBs: set-associative with true LRU, two levels, instruction and data, 4 KiB and large pages, PCID and G.

The hot path matters: each set is a dict in order of use, and a bulk flush only moves an epoch on.  An entry is valid
while its epoch is that of its PCID (or, for globals, of all globals); invalid entries are the first to be replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sim.hardware.paging import G, Geometry

GLOBAL = -1
Entry = tuple[int, int, int, int]  # (page pa, rights, level, epoch)


@dataclass(frozen=True, slots=True)
class TlbShape:
    """Entries and ways of each structure; ``psc`` gives the entries of the paging-structure caches of levels 4 to 2."""

    l1d_4k: tuple[int, int] = (64, 4)
    l1d_2m: tuple[int, int] = (32, 4)
    l1i_4k: tuple[int, int] = (128, 8)
    l1i_2m: tuple[int, int] = (8, 8)
    stlb: tuple[int, int] = (1536, 12)
    psc: tuple[int, int, int] = (2, 4, 32)


class Line(NamedTuple):
    """One valid translation, for tests and invariants."""

    where: str
    vpn: int
    pcid: int
    pa: int
    rights: int
    level: int


class SetAssociative:
    """One structure: sets of ways, true LRU."""

    __slots__ = ("mask", "sets", "ways")

    def __init__(self, entries: int, ways: int) -> None:
        count = entries // ways
        self.ways = ways
        self.sets: list[dict[tuple[int, int], Entry]] = [{} for _ in range(count)]
        self.mask = count


class Tlb:
    """The TLBs and paging-structure caches of one CPU.

    Entries are keyed by page number of their size and PCID; a global entry has PCID ``GLOBAL`` and matches every PCID.
    """

    def __init__(self, geometry: Geometry, shape: TlbShape | None = None) -> None:
        shape = shape or TlbShape()
        self.geometry = geometry
        self.large_shift = 12 + geometry.bits
        self.l1 = {
            (False, 1): SetAssociative(*shape.l1d_4k),
            (False, 2): SetAssociative(*shape.l1d_2m),
            (True, 1): SetAssociative(*shape.l1i_4k),
            (True, 2): SetAssociative(*shape.l1i_2m),
        }
        self.stlb = SetAssociative(*shape.stlb)
        self.psc_ways = dict(zip(range(geometry.levels, 1, -1), shape.psc, strict=False))
        self.psc: dict[int, dict[tuple[int, int], tuple[int, int, int]]] = {level: {} for level in self.psc_ways}
        self.epoch: dict[int, int] = {}
        self.base = 0
        self.global_epoch = 0

    def _epoch(self, pcid: int) -> int:
        if pcid == GLOBAL:
            return self.global_epoch
        return self.epoch.get(pcid, self.base)

    # --- lookups ----------------------------------------------------------------------------------------------------

    def _find(self, part: SetAssociative, vpn: int, pcid: int, level: int) -> Entry | None:
        """A valid entry of *part* for a page, made the most recently used."""
        ways = part.sets[vpn % part.mask]
        for tag in (pcid, GLOBAL):
            key = (vpn << 1 | level - 1, tag)
            entry = ways.get(key)
            if entry is not None:
                if entry[3] == self._epoch(tag):
                    if len(ways) > 1:
                        del ways[key]
                        ways[key] = entry
                    return entry
                del ways[key]
        return None

    def lookup(self, va: int, pcid: int, fetch: bool) -> tuple[int, Entry] | None:
        """Return (0 for a first-level hit or 1 for a second-level hit, entry), or None.

        A second-level hit is brought into the first level.
        """
        small, large = va >> 12, va >> self.large_shift
        for level, vpn in ((1, small), (2, large)):
            entry = self._find(self.l1[fetch, level], vpn, pcid, level)
            if entry is not None:
                return 0, entry
        for level, vpn in ((1, small), (2, large)):
            entry = self._find(self.stlb, vpn, pcid, level)
            if entry is not None:
                self._insert(self.l1[fetch, level], vpn, GLOBAL if entry[1] & G else pcid, level, entry)
                return 1, entry
        return None

    def _insert(self, part: SetAssociative, vpn: int, tag: int, level: int, entry: Entry) -> None:
        """Put an entry into its set, replacing an invalid one or the least recently used."""
        ways = part.sets[vpn % part.mask]
        key = (vpn << 1 | level - 1, tag)
        ways.pop(key, None)
        if len(ways) >= part.ways:
            for old, value in ways.items():
                if value[3] != self._epoch(old[1]):
                    del ways[old]
                    break
            else:
                del ways[next(iter(ways))]
        ways[key] = entry

    def fill(self, va: int, pcid: int, fetch: bool, pa: int, rights: int, level: int) -> None:
        """Cache a translation in both levels; *pa* is the page's, *rights* has G if it is to be global."""
        tag = GLOBAL if rights & G else pcid
        vpn = va >> 12 if level == 1 else va >> self.large_shift
        entry = (pa, rights, level, self._epoch(tag))
        self._insert(self.l1[fetch, level], vpn, tag, level, entry)
        self._insert(self.stlb, vpn, tag, level, entry)

    def drop(self, va: int, pcid: int) -> None:
        """Forget what is cached for *va* under *pcid* or as global (a hit whose rights did not suffice)."""
        for part in (*self.l1.values(), self.stlb):
            for level, vpn in ((1, va >> 12), (2, va >> self.large_shift)):
                ways = part.sets[vpn % part.mask]
                ways.pop((vpn << 1 | level - 1, pcid), None)
                ways.pop((vpn << 1 | level - 1, GLOBAL), None)

    # --- paging-structure caches ------------------------------------------------------------------------------------

    def psc_lookup(self, va: int, pcid: int) -> tuple[int, int, int] | None:
        """Deepest cached directory entry for *va*: (level to go on at, table pa, rights so far)."""
        for level in range(2, self.geometry.levels + 1):
            cache = self.psc.get(level)
            if cache is None:
                continue
            key = (va >> 12 + self.geometry.bits * (level - 1), pcid)
            found = cache.get(key)
            if found is not None:
                if found[2] != self._epoch(pcid):
                    del cache[key]
                    continue
                del cache[key]
                cache[key] = found
                return level - 1, found[0], found[1]
        return None

    def psc_fill(self, va: int, pcid: int, level: int, table_pa: int, rights: int) -> None:
        """Cache the level-*level* entry for *va*, which leads to *table_pa*."""
        cache = self.psc.get(level)
        if cache is None:
            return
        key = (va >> 12 + self.geometry.bits * (level - 1), pcid)
        cache.pop(key, None)
        if len(cache) >= self.psc_ways[level]:
            for old, value in cache.items():
                if value[2] != self._epoch(old[1]):
                    del cache[old]
                    break
            else:
                del cache[next(iter(cache))]
        cache[key] = (table_pa, rights, self._epoch(pcid))

    def _psc_drop(self, pcid: int) -> None:
        """All paging-structure-cache entries of a PCID."""
        for cache in self.psc.values():
            for key in [key for key in cache if key[1] == pcid]:
                del cache[key]

    # --- flushes (scopes: docs/flushes.rst) -------------------------------------------------------------------------

    def flush_pcid(self, pcid: int) -> None:
        """Non-global entries and paging-structure caches of one PCID (CR3 load, INVPCID single-context)."""
        self.epoch[pcid] = self.epoch.get(pcid, self.base) + 1

    def flush_nonglobal(self) -> None:
        """Non-global entries and paging-structure caches of all PCIDs (INVPCID all-but-global)."""
        self.base = max([self.base, *self.epoch.values()]) + 1
        self.epoch.clear()

    def flush_all(self) -> None:
        """Everything (CR4.PGE change, INVPCID all)."""
        self.flush_nonglobal()
        self.global_epoch += 1

    def invlpg(self, va: int, pcid: int) -> None:
        """The VA in one PCID and as global, and all paging-structure caches of that PCID."""
        self.drop(va, pcid)
        self._psc_drop(pcid)

    def invpcid_address(self, pcid: int, va: int) -> None:
        """The VA in one PCID, globals kept, and that PCID's paging-structure caches for the VA."""
        for part in (*self.l1.values(), self.stlb):
            for level, vpn in ((1, va >> 12), (2, va >> self.large_shift)):
                part.sets[vpn % part.mask].pop((vpn << 1 | level - 1, pcid), None)
        for level, cache in self.psc.items():
            cache.pop((va >> 12 + self.geometry.bits * (level - 1), pcid), None)

    # --- looking in -------------------------------------------------------------------------------------------------

    def entries(self) -> Iterator[Line]:
        """All valid translations."""
        parts = [(f"L1{'I' if fetch else 'D'}", part) for (fetch, _), part in self.l1.items()]
        for name, part in (*parts, ("STLB", self.stlb)):
            for ways in part.sets:
                for (vpn, tag), entry in ways.items():
                    if entry[3] == self._epoch(tag):
                        yield Line(name, vpn >> 1, tag, entry[0], entry[1], entry[2])
