"""x86-64 page tables in a modelled physical memory, and the walk that hardware makes (Intel SDM vol. 3, chapter 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sim.errors import ModelError, PageMisused
from sim.hardware.memory import Words
from sim.hardware.steps import EXEC, WRITE, Access

P, W, U, A, D, PS, G = 0x1, 0x2, 0x4, 0x20, 0x40, 0x80, 0x100
NX = 1 << 63
FRAME = 0x000FFFFFFFFFF000
PAGE_SHIFT = 12
LARGE_MEMORY = 1 << 40


@dataclass(frozen=True, slots=True)
class Geometry:
    """Shape of the tables.

    Attributes:
        levels: number of levels; the top one is ``levels``, leaves are at 1 (or 2 with PS).
        bits: index bits a level.
        user_slots: L4 slots that belong to user space, from 0.
        pte_slot: the recursive L4 slot; slots above it are the kernel's.
    """

    levels: int = 4
    bits: int = 9
    user_slots: int = 255
    pte_slot: int = 255

    @property
    def entries(self) -> int:
        """Entries a table."""
        return 1 << self.bits

    def index(self, va: int, level: int) -> int:
        """Index into the level-*level* table."""
        return va >> PAGE_SHIFT + self.bits * (level - 1) & (1 << self.bits) - 1

    def va_of_slot(self, slot: int) -> int:
        """First VA of an L4 slot (not sign-extended: a VA here is its low 48 bits)."""
        return slot << PAGE_SHIFT + self.bits * (self.levels - 1)


class Fault(NamedTuple):
    """A page fault: the bits of the x86 error code, and CR2; *reserved* is a bit set in an entry that must not be."""

    present: bool
    write: bool
    user: bool
    fetch: bool
    va: int
    reserved: bool = False

    @property
    def error_code(self) -> int:
        """The error code that the CPU pushes (SDM vol. 3, 4.7)."""
        return self.present | self.write << 1 | self.user << 2 | self.reserved << 3 | self.fetch << 4


class Walk(NamedTuple):
    """Result of a walk.

    ``rights`` has W, U, G, D and NX of the translation as the TLB keeps them; ``loads`` counts table reads; ``path``
    lists (level, table pa, index) from the top; ``freed`` is a freed table page that was walked through, or 0.
    """

    fault: Fault | None
    pa: int
    level: int
    rights: int
    loads: int
    path: tuple[tuple[int, int, int], ...]
    freed: int


class PhysMem:
    """Physical memory by the page, with an allocator that uses freed frames again, last freed first.

    *frames* limits how many pages can be in use (None: no limit).
    """

    def __init__(self, geometry: Geometry, frames: int | None = None) -> None:
        self.geometry = geometry
        self.frames = frames
        self._next = 1 << PAGE_SHIFT
        self._next_large = LARGE_MEMORY
        self._free: list[int] = []
        self._names: dict[int, str] = {}
        self._tables: dict[int, Words] = {}
        self._stale: dict[int, Words] = {}

    def _alloc(self, name: str) -> int:
        if self.frames is not None and len(self._names) >= self.frames:
            raise ModelError(f"physical memory is full ({self.frames} pages) at '{name}'")
        if self._free:
            pa = self._free.pop()
        else:
            pa = self._next
            self._next += 1 << PAGE_SHIFT
        self._names[pa] = name
        return pa

    def alloc_table(self, name: str) -> int:
        """Allocate a zeroed table page; return its physical address."""
        pa = self._alloc(name)
        self._tables[pa] = Words(name, self.geometry.entries)
        self._stale.pop(pa, None)
        return pa

    def alloc_page(self, name: str) -> int:
        """Allocate a data page; return its physical address."""
        pa = self._alloc(name)
        self._stale.pop(pa, None)
        return pa

    def alloc_large(self, name: str) -> int:
        """Allocate a large page, aligned to its size and far from the others; return its physical address."""
        pa = self._next_large
        self._next_large += self.geometry.entries << PAGE_SHIFT
        self._names[pa] = name
        return pa

    def words(self, pa: int) -> Words:
        """The words of a data page, made when first asked for."""
        words = self._tables.get(pa)
        if words is None:
            words = self._tables[pa] = Words(self._names[pa], 512)
        return words

    def table(self, pa: int) -> Words:
        """The entries of a table page; PageMisused if the page is no table."""
        try:
            return self._tables[pa]
        except KeyError:
            raise PageMisused(f"{pa:#x} ({self._names.get(pa, 'free')}) is not a table page") from None

    def descend(self, top: Words, va: int, level: int = 1) -> Words | None:
        """The table of *level* that serves *va* in the tree below the L4 (or highest) table *top*; None if missing."""
        bits = self.geometry.bits
        mask = (1 << bits) - 1
        shift, last = PAGE_SHIFT + bits * (self.geometry.levels - 1), PAGE_SHIFT + bits * (level - 1)
        table = top
        while shift > last:
            entry = table.v[va >> shift & mask]
            if not entry & P:
                return None
            table = self.table(entry & FRAME)
            shift -= bits
        return table

    def grow(self, top: Words, va: int, make: Callable[[int], int], level: int = 1) -> Words:
        """The same, but what is missing is made: *make* returns the entry for a new table of the level it is given."""
        levels, bits = self.geometry.levels, self.geometry.bits
        mask, shift = (1 << bits) - 1, PAGE_SHIFT + bits * (levels - 1)
        table = top
        for above in range(levels, level, -1):
            index = va >> shift & mask
            if not table.v[index] & P:
                table.v[index] = make(above - 1)
            table = self.table(table.v[index] & FRAME)
            shift -= bits
        return table

    def free(self, pa: int) -> None:
        """Give a page back; PageMisused if it is free already."""
        if pa not in self._names:
            raise PageMisused(f"page {pa:#x} is freed twice")
        del self._names[pa]
        old = self._tables.pop(pa, None)
        if old is not None:
            self._stale[pa] = old
            if len(self._stale) > 64:
                del self._stale[next(iter(self._stale))]
        self._free.append(pa)

    def is_free(self, pa: int) -> bool:
        """Whether no one owns the page."""
        return pa not in self._names

    def name(self, pa: int) -> str:
        """What a page was allocated as."""
        return self._names.get(pa, "free")

    def walkable(self, pa: int) -> Words | None:
        """The table at *pa* as the hardware would read it: also one freed lately, None if it holds no entries."""
        return self._tables.get(pa) or self._stale.get(pa)

    @property
    def tables(self) -> dict[int, Words]:
        """Pages in use that have entries, by physical address; for reading."""
        return self._tables

    @property
    def stale(self) -> dict[int, Words]:
        """Those of pages freed lately, which hardware may still read; for reading."""
        return self._stale

    @property
    def in_use(self) -> int:
        """Pages in use."""
        return len(self._names)


def locked_update(entry: int, write: bool) -> int:
    """What the locked look at a leaf makes of it before its translation is used (SDM vol. 3, 4.8): A, on a write D too.

    An entry that is not present any more, or not writable, stays as it is found: the access faults.
    """
    if not entry & P or write and not entry & W:
        return entry
    return entry | A | (D if write else 0)


def walk(
    mem: PhysMem,
    geometry: Geometry,
    root: int,
    va: int,
    kind: Access,
    user: bool,
    *,
    start: tuple[int, int, int] | None = None,
    set_ad: bool = True,
) -> Walk:
    """Translate *va* from table *root*, setting A on the way and D on a write.

    *start* is a paging-structure-cache hit: (level to go on at, table pa, rights so far).  CR0.WP is on: supervisor
    writes need W too.  PS above level 2 is reserved (there are no 1 GiB pages), as are the low bits of a large page's
    address; bit 12 there is PAT's.  SMEP and SMAP are off.
    """
    level, table_pa, rights = start if start is not None else (geometry.levels, root, W | U)
    write, fetch = kind is WRITE, kind is EXEC
    loads, freed = 0, 0
    path: list[tuple[int, int, int]] = []
    while True:
        table = mem.walkable(table_pa)
        if mem.is_free(table_pa):
            freed = table_pa
        index = geometry.index(va, level)
        entry: int = table.v[index] if table is not None else 0
        loads += 1
        path.append((level, table_pa, index))
        if not entry & P:
            return Walk(Fault(False, write, user, fetch, va), 0, level, 0, loads, tuple(path), freed)
        rights = rights & entry & (W | U) | (rights | entry) & NX
        if level == 1:
            break
        if entry & PS:
            low = FRAME & (1 << PAGE_SHIFT + geometry.bits) - 1 & ~(1 << PAGE_SHIFT)
            if level > 2 or entry & low:
                fault = Fault(True, write, user, fetch, va, reserved=True)
                return Walk(fault, 0, level, 0, loads, tuple(path), freed)
            break
        if set_ad and not entry & A and table is not None:
            table.v[index] = entry | A
        table_pa = entry & FRAME
        level -= 1
    if user and not rights & U or write and not rights & W or fetch and rights & NX:
        return Walk(Fault(True, write, user, fetch, va), 0, level, rights, loads, tuple(path), freed)
    if set_ad and table is not None:
        entry |= A | (D if write else 0)
        table.v[index] = entry
    inside = (1 << PAGE_SHIFT + geometry.bits * (level - 1)) - 1
    return Walk(None, entry & FRAME & ~inside | va & inside, level, rights | entry & (G | D), loads, tuple(path), freed)
