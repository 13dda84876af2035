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
    """A translation: page pa and how often that page had been allocated or freed, writable without a walk, global.

    ``level`` is 1 for a small page, 2 for a large one.  ``walked``: A is set, without which nothing is cached; else the
    translation is there as soon as a walk has set it.
    """

    pa: int
    birth: int
    write: bool
    globl: bool
    level: int = 1
    walked: bool = True


class BornMem(PhysMem):
    """Physical memory that knows which table a word belongs to and how often a page has been allocated.

    Attributes:
        table_of: the physical address of each table there has been, by the id of its words.
        held: those words, lest the id of a table that is no more becomes another object's.
        frees: how often a page was freed.
        page_freed: who hears of that, just before.
    """

    def __init__(self, geometry: Geometry, table_freed: Callable[[], None]) -> None:
        super().__init__(geometry)
        self._table_freed = table_freed
        self.page_freed: Callable[[int], None]
        self.births: dict[int, int] = {}
        self.table_of: dict[int, int] = {}
        self.held: list[Words] = []
        self.frees = 0

    def alloc_table(self, name: str) -> int:
        """Allocate, and count."""
        pa = super().alloc_table(name)
        self.births[pa] = self.births.get(pa, 0) + 1
        self.table_of[id(self.table(pa))] = pa
        self.held.append(self.table(pa))
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
        self.page_freed(pa)
        super().free(pa)
        self.births[pa] += 1
        self.frees += 1

    def pages_in_use(self) -> list[int]:
        """The physical addresses of all pages that somebody owns."""
        return list(self._names)

    def former(self, pa: int) -> str:
        """What a page was called that was a table, the last time it was one."""
        return next((words.name for words in reversed(self.held) if self.table_of[id(words)] == pa), f"{pa:#x}")

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
            birth, dirty = mem.births.get(table_pa, 0), bool(entry & D)
            return Cached(table_pa, birth, write and dirty, bool(entry & G), 1, bool(entry & A)), tuple(words)
        if entry & PS:
            return Cached(table_pa, 0, write, bool(entry & G), level), tuple(words)
    return None, tuple(words)


class MaybeCached:
    """The may-be-cached sets of one CPU: translations by (PCID, VA); tables by (PCID, level, address prefix).

    Attributes:
        vas: the addresses that are followed.
        tables_at: for each of user space where the kernel reaches the tables that serve it, by level (recursive slot).
        table_vas: all those addresses, and ``top_at``.
        top_at: where the kernel reaches the highest table, a pmap's own; followed under the PCID in use only.
        grew: something new came, there or to the walks that wait.
        grows: whether to look for that; not where it is known that nothing comes.
        limit: those below are of user space, where translations wait for A; elsewhere A never changes.
    """

    def __init__(self, mem: BornMem) -> None:
        self.mem = mem
        self.entries: dict[tuple[int, int], set[Cached]] = {}
        self.tables: dict[tuple[int, int, int], set[tuple[int, int]]] = {}
        self.vas: tuple[int, ...] = ()
        self.tables_at: dict[int, dict[int, int]] = {}
        self.table_vas: tuple[int, ...] = ()
        self.top_at = 0
        self._top_pcid = 0
        self._alive_at = -1  # the memory's ``frees`` when all tables here were seen to be alive; new ones are
        self.limit = 0
        self.grew, self.grows = False, True

    def amount(self) -> tuple[int, int, int]:
        """What is different once :meth:`refresh` has added anything."""
        return self._top_pcid, sum(map(len, self.entries.values())), sum(map(len, self.tables.values()))

    def refresh(self, root: int, pcid: int, pge: bool) -> list[tuple[int, Words, int]]:
        """Add whatever the loaded tables lead to now; G means nothing without CR4.PGE.

        Returns the user addresses whose translations wait for A, each with its entry.
        """
        mem = self.mem
        levels, bits = mem.geometry.levels, mem.geometry.bits
        waiting: list[tuple[int, Words, int]] = []
        top = mem.walkable(root)
        maps_itself = top is not None and top.v[mem.geometry.pte_slot] & P
        self._itself(pcid, top.v[mem.geometry.pte_slot] if top is not None else 0)
        for va in self.vas:
            tables_at = self.tables_at.get(va) if maps_itself else None
            found, words = translate(mem, root, va)
            if found is not None and not found.walked:
                if va < self.limit:
                    waiting.append((va, *words[-1]))
                else:
                    found = None
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
                    birth = mem.births.get(pa, 0)
                    if not birth:  # no page that was ever allocated
                        self._alive_at = -1
                    self.tables.setdefault(key, set()).add((pa, birth))
                    if tables_at is not None:
                        there = Cached(pa, birth, write=bool(entry & W), globl=False)
                        self.entries.setdefault((pcid, tables_at[level - 1]), set()).add(there)
                level -= 1
        return waiting

    def _itself(self, pcid: int, entry: int) -> None:
        """Where the highest table maps itself by *entry*, it can be reached through the TLB, too."""
        if pcid != self._top_pcid:
            self.entries.pop((self._top_pcid, self.top_at), None)
            self._top_pcid = pcid
        if entry & P:
            pa = entry & FRAME
            itself = Cached(pa, self.mem.births.get(pa, 0), bool(entry & W), globl=False)
            self.entries.setdefault((pcid, self.top_at), set()).add(itself)

    def walked(self, va: int, page: tuple[int, int]) -> None:
        """A was set in the entry that leads from *va* to a page (pa and birth): what waited for that can be there."""
        for key, entries in self.entries.items():
            if key[1] == va:
                self.entries[key] = {e._replace(walked=True) if e[:2] == page else e for e in entries}

    def never_walked(self, va: int, page: tuple[int, int]) -> None:
        """That entry is overwritten before A was set: nobody can have cached it."""
        for key in [key for key in self.entries if key[1] == va]:
            self._put(key, {e for e in self.entries[key] if e.walked or e[:2] != page})

    # --- flushes: :class:`sim.hardware.cpu.Flushes` -----------------------------------------------------------------

    def flush_pcid(self, pcid: int) -> None:
        """Non-global translations and paging-structure caches of one PCID."""
        for key in [key for key in self.entries if key[0] == pcid]:
            self._keep_globals(key)
        self._drop_tables(pcid)

    def flush_nonglobal(self) -> None:
        """Non-global translations and paging-structure caches of all PCIDs."""
        for key in list(self.entries):
            self._keep_globals(key)
        self.tables.clear()

    def flush_all(self) -> None:
        """Everything."""
        self.entries.clear()
        self.tables.clear()

    def invlpg(self, va: int, pcid: int) -> None:
        """The page of *va* in one PCID and as global, and all paging-structure caches of that PCID."""
        for key in self._near(va):
            self._drop_page(key, va, globals_too=True, others_too=key[0] == pcid)
        self._drop_tables(pcid)

    def invpcid_address(self, pcid: int, va: int) -> None:
        """The page of *va* in one PCID, globals kept, and that PCID's paging-structure caches for *va*."""
        for key in self._near(va):
            self._drop_page(key, va, globals_too=False, others_too=key[0] == pcid)
        bits = self.mem.geometry.bits
        for level in range(self.mem.geometry.levels, 1, -1):
            self.tables.pop((pcid, level, va >> 12 + bits * (level - 1)), None)

    def _near(self, va: int) -> list[tuple[int, int]]:
        """Followed addresses that one page, small or large, can hold together with *va*."""
        shift = 12 + self.mem.geometry.bits
        return [key for key in self.entries if key[1] >> shift == va >> shift]

    def _drop_page(self, key: tuple[int, int], va: int, *, globals_too: bool, others_too: bool) -> None:
        """Drop what is held of the page, small or large, that *va* lies in."""
        bits = self.mem.geometry.bits
        self._put(
            key,
            {
                entry
                for entry in self.entries[key]
                if not (globals_too if entry.globl else others_too) or (key[1] ^ va) >> 12 + bits * (entry.level - 1)
            },
        )

    def _keep_globals(self, key: tuple[int, int]) -> None:
        self._put(key, {entry for entry in self.entries[key] if entry.globl})

    def _put(self, key: tuple[int, int], kept: set[Cached]) -> None:
        if kept:
            self.entries[key] = kept
        else:
            del self.entries[key]

    def _drop_tables(self, pcid: int) -> None:
        for place in [place for place in self.tables if place[0] == pcid]:
            del self.tables[place]

    # --- looking in -------------------------------------------------------------------------------------------------

    def at(self, pcid: int, va: int) -> list[Cached]:
        """What a use of *va* under *pcid* could hit, globals of every PCID included; in a fixed order."""
        found = {entry for entry in self.entries.get((pcid, va), ()) if entry.walked}
        for (other, where), entries in self.entries.items():
            if where == va and other != pcid:
                found |= {entry for entry in entries if entry.globl and entry.walked}
        return sorted(found)

    def reaches(self, pcid: int, va: int) -> bool:
        """Whether anything that leads to *va*, the page or the table below the highest, may be held under *pcid*."""
        geometry = self.mem.geometry
        top = pcid, geometry.levels, va >> 12 + geometry.bits * (geometry.levels - 1)
        return top in self.tables or bool(self.at(pcid, va))

    def dead_table(self, pcid: int) -> int:
        """A table page that was freed, but could be walked under *pcid*, or reached as the kernel reaches it; or 0."""
        if self._alive_at == self.mem.frees:
            return 0
        alive = self.mem.alive
        dead = [(place[0], pa) for place, found in self.tables.items() for pa, birth in found if not alive(pa, birth)]
        dead += [(place[0], entry.pa) for place, found in self.entries.items() if place[1] in self.table_vas
                 for entry in found if not alive(entry.pa, entry.birth)]  # fmt: skip
        if not dead:
            self._alive_at = self.mem.frees
        return next((pa for whose, pa in dead if whose == pcid), 0)
