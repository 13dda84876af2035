"""A CPU's TLBs: set-associative with true LRU, two levels, instruction and data, 4 KiB and large pages, PCID and G.

The hot path matters: each set is a dict in order of use, and a bulk flush touches no entry.  Every PCID, and the
globals together, have a *stamp* that is part of the keys of their entries; a flush takes the stamp away, and the next
one is new.  What was flushed is then never found again, and is the first to be replaced.  Once nothing at all is valid,
the sets in use are emptied: without PCID and globals, at every flush.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sim.hardware.known_hits import Entry, KnownHits
from sim.hardware.paging import G, Geometry

GLOBAL = -1
STAMP_SHIFT = 54  # a key is a stamp, and below it the page's number (of a 64-bit VA) and size


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
    """One valid translation or (where = "PSC", level above 1, pa of the table) directory entry, for tests."""

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
        self.sets: list[dict[int, Entry]] = [{} for _ in range(count)]
        self.mask = count

    def find(self, vpn: int, mine: int, common: int) -> Entry | None:
        """The entry of a page by its key under the PCID's stamp or the globals', made the most recently used."""
        ways = self.sets[vpn % self.mask]
        key = mine if mine in ways else common
        if key not in ways:
            return None
        entry = ways[key] = ways.pop(key)
        return entry


class Tlb:
    """The TLBs and paging-structure caches of one CPU.

    Entries are keyed by stamp and page number of their size; those of a global page have the stamp of ``GLOBAL``, which
    matches every PCID.

    Attributes:
        psc: the paging-structure caches, deepest level first: the level, the shift of its page numbers, and (table pa,
            rights so far) by key, in order of use.
        stamps: those of the valid entries by PCID, in their place within a key.
        used: sets, and caches of directories, that may not be empty, by their id.
        large: numbers of the large pages ever cached: no others need to be looked for.
        known: what the fast engine knows to hit; whoever looks at the first level's order or takes something out of
            it says so there.
    """

    def __init__(self, geometry: Geometry, shape: TlbShape | None = None) -> None:
        shape = shape or TlbShape()
        self.geometry = geometry
        self.large_shift = 12 + geometry.bits
        self.l1d = (SetAssociative(*shape.l1d_4k), SetAssociative(*shape.l1d_2m))
        self.l1i = (SetAssociative(*shape.l1i_4k), SetAssociative(*shape.l1i_2m))
        self.stlb = SetAssociative(*shape.stlb)
        self.psc_ways = dict(zip(range(geometry.levels, 1, -1), shape.psc, strict=False))
        self.psc: list[tuple[int, int, dict[int, tuple[int, int]]]] = [
            (level, 12 + geometry.bits * (level - 1), {}) for level in sorted(self.psc_ways)
        ]
        self.stamps: dict[int, int] = {}
        self._live: set[int] = set()
        self._made = 0
        self._stale = False  # whether some of what is there may be invalid
        self.used: dict[int, dict[int, Entry] | dict[int, tuple[int, int]]] = {}
        self.known = KnownHits()
        self.large: set[int] = set()

    def stamp(self, pcid: int) -> int:
        """The stamp of the valid entries of a PCID, in its place within a key; 0 if nothing of it is cached."""
        return self.stamps.get(pcid, 0)

    def new_stamp(self, pcid: int) -> int:
        """The stamp that a new entry of a PCID gets."""
        stamp = self.stamps.get(pcid)
        if stamp is None:
            self._made += 1
            self._live.add(self._made)
            stamp = self.stamps[pcid] = self._made << STAMP_SHIFT
        return stamp

    def _forget(self, pcid: int) -> None:
        """Take a PCID's stamp away."""
        stamp = self.stamps.pop(pcid, 0)
        self._live.discard(stamp >> STAMP_SHIFT)
        if not self._live:
            self._empty()
        elif stamp:
            self._stale = True
            if self.known.pages:
                self.known.forget(pcid)

    def _empty(self) -> None:
        """Nothing is valid: begin again."""
        self.known.forget_all()
        for cache in self.used.values():
            cache.clear()
        self.used.clear()
        self._made = 0
        self._stale = False

    def make_room(self, cache: dict[int, Entry] | dict[int, tuple[int, int]]) -> int:
        """Take out an invalid entry, or else the least recently used one; return the key of a valid one, or 0."""
        if self._stale:
            for key in cache:
                if key >> STAMP_SHIFT not in self._live:
                    del cache[key]
                    return 0
        key = next(iter(cache))
        del cache[key]
        return key

    # --- lookups ----------------------------------------------------------------------------------------------------

    def lookup(self, va: int, pcid: int, fetch: bool) -> tuple[int, Entry] | None:
        """Return (0 for a first-level hit or 1 for a second-level hit, entry), or None.

        A second-level hit is brought into the first level.
        """
        if self.known.noted:
            self.known.order()
        # A key without a stamp is nowhere in use.
        mine, common = self.stamps.get(pcid, 0), self.stamps.get(GLOBAL, 0)
        l1 = self.l1i if fetch else self.l1d
        vpn = va >> 12
        number = vpn << 1
        entry = l1[0].find(vpn, mine | number, common | number)
        if entry is not None:
            return 0, entry
        large = va >> self.large_shift
        if large in self.large:
            entry = l1[1].find(large, mine | large << 1 | 1, common | large << 1 | 1)
            if entry is not None:
                return 0, entry
        entry = self.stlb.find(vpn, mine | number, common | number)
        if entry is None and large in self.large:
            vpn, number = large, large << 1 | 1
            entry = self.stlb.find(vpn, mine | number, common | number)
        if entry is None:
            return None
        self._insert(l1[number & 1], vpn, (common if entry[1] & G else mine) | number, entry)
        return 1, entry

    def _insert(self, part: SetAssociative, vpn: int, key: int, entry: Entry) -> None:
        """Put an entry into its set, replacing what has its key, an invalid one, or the least recently used."""
        if part.sets[vpn % part.mask].pop(key, None) is not None and part is not self.stlb:
            self.known.lose(key)
        self.bring_in(part, vpn, key, entry)

    def bring_in(self, part: SetAssociative, vpn: int, key: int, entry: Entry) -> dict[int, Entry]:
        """Put an entry that is not there into its set, and return the set."""
        ways = part.sets[vpn % part.mask]
        if not ways:
            self.used[id(ways)] = ways
        elif len(ways) >= part.ways:
            lost = self.make_room(ways)
            if lost and part is not self.stlb:
                self.known.lose(lost)
        ways[key] = entry
        return ways

    def fill(self, va: int, pcid: int, fetch: bool, pa: int, rights: int, level: int) -> None:
        """Cache a translation in both levels; *pa* is the page's, *rights* has G if it is to be global."""
        if self.known.noted:
            self.known.order()
        vpn = va >> 12
        if level == 2:
            vpn = va >> self.large_shift
            self.large.add(vpn)
        key = self.new_stamp(GLOBAL if rights & G else pcid) | vpn << 1 | level - 1
        entry = (pa, rights, level)
        self._insert((self.l1i if fetch else self.l1d)[level - 1], vpn, key, entry)
        self._insert(self.stlb, vpn, key, entry)

    def _drop(self, va: int, stamp: int) -> None:
        """Take out what is cached for *va* under a stamp."""
        if self.known.noted:
            self.known.order()
        for part in (*self.l1d, *self.l1i, self.stlb):
            for level, vpn in ((1, va >> 12), (2, va >> self.large_shift)):
                key = stamp | vpn << 1 | level - 1
                if part.sets[vpn % part.mask].pop(key, None) is not None and part is not self.stlb:
                    self.known.lose(key)

    def drop(self, va: int, pcid: int) -> None:
        """Forget what is cached for *va* under *pcid* or as global (a hit whose rights did not suffice)."""
        self._drop(va, self.stamp(pcid))
        self._drop(va, self.stamp(GLOBAL))

    # --- paging-structure caches ------------------------------------------------------------------------------------

    def psc_lookup(self, va: int, pcid: int) -> tuple[int, int, int] | None:
        """Deepest cached directory entry for *va*: (level to go on at, table pa, rights so far)."""
        stamp = self.stamps.get(pcid, 0)
        if stamp:
            for level, shift, cache in self.psc:
                key = stamp | va >> shift
                if key in cache:
                    table_pa, rights = cache[key] = cache.pop(key)
                    return level - 1, table_pa, rights
        return None

    def psc_fill(self, va: int, pcid: int, level: int, table_pa: int, rights: int) -> None:
        """Cache the level-*level* entry for *va*, which leads to *table_pa*."""
        ways = self.psc_ways.get(level)
        if ways is None:
            return
        _, shift, cache = self.psc[level - self.psc[0][0]]
        key = self.new_stamp(pcid) | va >> shift
        cache.pop(key, None)
        if not cache:
            self.used[id(cache)] = cache
        elif len(cache) >= ways:
            self.make_room(cache)
        cache[key] = (table_pa, rights)

    # --- flushes (scopes: docs/kernel.rst) -------------------------------------------------------------------------

    def flush_pcid(self, pcid: int) -> None:
        """Non-global entries and paging-structure caches of one PCID (CR3 load, INVPCID single-context)."""
        self._forget(pcid)

    def flush_nonglobal(self) -> None:
        """Non-global entries and paging-structure caches of all PCIDs (INVPCID all-but-global)."""
        for pcid in [pcid for pcid in self.stamps if pcid != GLOBAL]:
            self._forget(pcid)

    def flush_all(self) -> None:
        """Everything (CR4.PGE change, INVPCID all)."""
        self.stamps.clear()
        self._live.clear()
        self._empty()

    def invlpg(self, va: int, pcid: int) -> None:
        """The VA in one PCID and as global, and all paging-structure caches of that PCID."""
        self.drop(va, pcid)
        stamp = self.stamp(pcid) >> STAMP_SHIFT
        for _, _, cache in self.psc:
            for key in [key for key in cache if key >> STAMP_SHIFT == stamp]:
                del cache[key]

    def invpcid_address(self, pcid: int, va: int) -> None:
        """The VA in one PCID, globals kept, and that PCID's paging-structure caches for the VA."""
        stamp = self.stamp(pcid)
        self._drop(va, stamp)
        for _, shift, cache in self.psc:
            cache.pop(stamp | va >> shift, None)

    # --- looking in -------------------------------------------------------------------------------------------------

    def entries(self) -> Iterator[Line]:
        """All valid translations."""
        below = (1 << STAMP_SHIFT) - 1
        tags = {stamp: pcid for pcid, stamp in self.stamps.items()}
        for name, parts in (("L1D", self.l1d), ("L1I", self.l1i), ("STLB", (self.stlb,))):
            for ways in (ways for part in parts for ways in part.sets):
                for key, entry in ways.items():
                    if key & ~below in tags:
                        yield Line(name, (key & below) >> 1, tags[key & ~below], *entry)

    def directories(self) -> Iterator[Line]:
        """All valid entries of the paging-structure caches."""
        below = (1 << STAMP_SHIFT) - 1
        tags = {stamp: pcid for pcid, stamp in self.stamps.items()}
        for level, _, cache in self.psc:
            for key, (table_pa, rights) in cache.items():
                if key & ~below in tags:
                    yield Line("PSC", key & below, tags[key & ~below], table_pa, rights, level)
