"""Address translation made short, for the fast engine: the usual case in one piece, everything else by the plain one.

:func:`sim.hardware.mmu.translate` is the reference; what this leaves in CPU, TLB and tables is the same, but that the
order of use in the first level is noted (:mod:`sim.hardware.known_hits`).
"""

from __future__ import annotations

from collections.abc import Callable

from sim.hardware.caches import LINE_SHIFT, PAGES
from sim.hardware.cpu import Cpu
from sim.hardware.known_hits import Entry
from sim.hardware.mmu import L1_HIT, STLB_HIT, WALK, translate
from sim.hardware.paging import FRAME, NX, PAGE_SHIFT, PS, A, D, Fault, G, P, PhysMem, U, W
from sim.hardware.steps import EXEC, WRITE, Access
from sim.hardware.tlb import GLOBAL, SetAssociative, Tlb

Translate = Callable[[tuple[int, Access], bool], Fault | None]


def translator(cpu: Cpu[Tlb], mem: PhysMem) -> Translate:
    """Make what translates a pair (VA, Access) that is not known to hit, as :func:`~sim.hardware.mmu.translate`.

    The usual case is a hit whose rights suffice, or a walk through tables in use that does not fault.  A page that hits
    in the first level is known to hit from then on.
    """
    tlb, learn, noted = cpu.tlb, cpu.tlb.known.learn, cpu.tlb.known.noted
    stamps, large_shift, larges, data, code = tlb.stamps, tlb.large_shift, tlb.large, tlb.l1d, tlb.l1i
    data_sets, data_mask, code_sets, code_mask = data[0].sets, data[0].mask, code[0].sets, code[0].mask
    inside = (0, (1 << PAGE_SHIFT) - 1, (1 << large_shift) - 1)  # of a page, by level
    beyond = _beyond(cpu, mem)

    def quickly(pair: tuple[int, Access], user: bool) -> Fault | None:
        va, kind = pair
        pcid, fetch, vpn = cpu.pcid, kind is EXEC, va >> PAGE_SHIFT
        ways = code_sets[vpn % code_mask] if fetch else data_sets[vpn % data_mask]
        key = stamps.get(pcid, 0) | vpn << 1
        entry = ways.get(key)
        if entry is None:
            key = stamps.get(GLOBAL, 0) | vpn << 1
            entry = ways.get(key)
            if entry is None and va >> large_shift in larges:
                ways, key, entry = _find_large(tlb, (code if fetch else data)[1], va >> large_shift, pcid)
            if entry is None:
                return beyond(pair, user)
        pa, rights, level = entry
        if user and not rights & U or fetch and rights & NX or kind is WRITE and rights & (W | D) != W | D:
            return translate(cpu, mem, va, kind, user)
        pa += va & inside[level]
        cpu.where, cpu.pa = L1_HIT, pa
        used = PAGES | pa >> PAGE_SHIFT if user else pa >> LINE_SHIFT
        noted[learn(pcid << 1 | user, pair, (ways, key), used)] = None
        return None

    return quickly


def _find_large(tlb: Tlb, part: SetAssociative, number: int, pcid: int) -> tuple[dict[int, Entry], int, Entry | None]:
    """A large page's set, its key there, and the entry, the order of use being as it was."""
    ways = part.sets[number % part.mask]
    key = tlb.stamp(pcid) | number << 1 | 1
    if key not in ways:
        key = tlb.stamp(GLOBAL) | number << 1 | 1
    return ways, key, ways.get(key)


def _beyond(cpu: Cpu[Tlb], mem: PhysMem) -> Translate:
    """The same for a page that is not in the first level."""
    tlb, known, noted = cpu.tlb, cpu.tlb.known, cpu.tlb.known.noted
    stamps, large_shift, larges, data, code, stlb = tlb.stamps, tlb.large_shift, tlb.large, tlb.l1d, tlb.l1i, tlb.stlb
    sets, mask = stlb.sets, stlb.mask
    inside = (0, (1 << PAGE_SHIFT) - 1, (1 << large_shift) - 1)
    walk = _walker(cpu, mem)

    def beyond(pair: tuple[int, Access], user: bool) -> Fault | None:
        va, kind = pair
        vpn, fetch = va >> PAGE_SHIFT, kind is EXEC
        ways = sets[vpn % mask]
        key = stamps.get(cpu.pcid, 0) | vpn << 1
        if key not in ways:
            key = stamps.get(GLOBAL, 0) | vpn << 1
        entry = ways.get(key)
        if entry is None and va >> large_shift in larges:
            vpn = va >> large_shift
            ways, key, entry = _find_large(tlb, stlb, vpn, cpu.pcid)
        if entry is None:
            return None if walk(pair, user) else translate(cpu, mem, va, kind, user)
        pa, rights, level = entry
        if user and not rights & U or fetch and rights & NX or kind is WRITE and rights & (W | D) != W | D:
            return translate(cpu, mem, va, kind, user)
        if noted:
            known.order()
        ways[key] = ways.pop(key)
        tlb.bring_in((code if fetch else data)[level - 1], vpn, key, entry)
        cpu.where, cpu.pa = STLB_HIT, pa + (va & inside[level])
        return None

    return beyond


def _walker(cpu: Cpu[Tlb], mem: PhysMem) -> Callable[[tuple[int, Access], bool], bool]:
    """Make what walks for a page that is in neither level, and fills the caches.

    It returns false, with nothing done that would not be done again, if it is no usual case.
    """
    tables, bits, stamps, psc = mem.tables, cpu.geometry.bits, cpu.tlb.stamps, cpu.tlb.psc
    levels, index_mask = cpu.geometry.levels, (1 << bits) - 1
    fill, count_loads = _filler(cpu), _counter(cpu)

    def walk(pair: tuple[int, Access], user: bool) -> bool:
        va, kind = pair
        level, table_pa, rights = levels, cpu.cr3_pa, W | U
        stamp = stamps.get(cpu.pcid, 0)
        for above, shift, cache in psc if stamp else ():
            key = stamp | va >> shift
            if key in cache:
                table_pa, rights = cache[key] = cache.pop(key)
                level = above - 1
                break
        shift = PAGE_SHIFT + bits * (level - 1)
        reads = []
        directories = []
        while True:
            table = tables.get(table_pa)
            if table is None:
                return False
            index = va >> shift & index_mask
            entry: int = table.v[index]
            if not entry & P:
                return False
            reads.append(table_pa + 8 * index)
            rights = rights & entry & (W | U) | (rights | entry) & NX
            if level == 1:
                break
            if entry & PS:
                if level > 2 or entry & FRAME & (1 << shift) - 1 & ~(1 << PAGE_SHIFT):
                    return False
                break
            if not entry & A:
                table.v[index] = entry | A
            table_pa = entry & FRAME
            directories.append((level, table_pa, rights))
            level -= 1
            shift -= bits
        if user and not rights & U or kind is WRITE and not rights & W or kind is EXEC and rights & NX:
            return False
        noted_in_table = entry | (A | D if kind is WRITE else A)
        if noted_in_table != entry:
            entry = table.v[index] = noted_in_table
        inside = (1 << shift) - 1
        page = entry & FRAME & ~inside
        cpu.pa = page | va & inside
        fill(pair, user, directories, (page, rights | entry & (G | D if cpu.pge else D), level))
        cpu.where, cpu.walk_loads, cpu.walked_freed = WALK, count_loads(reads), 0
        return True

    return walk


def _filler(cpu: Cpu[Tlb]) -> Callable[[tuple[int, Access], bool, list[tuple[int, int, int]], Entry], None]:
    """Make what caches directories and a page that are nowhere yet, as :meth:`~sim.hardware.tlb.Tlb.fill`.

    The page is known to hit from now on.
    """
    tlb, known, noted, stamps = cpu.tlb, cpu.tlb.known, cpu.tlb.known.noted, cpu.tlb.stamps
    data, code, stlb, psc, ways_of = tlb.l1d, tlb.l1i, tlb.stlb, tlb.psc, tlb.psc_ways
    first, bring_in = psc[0][0] if psc else 0, tlb.bring_in

    def fill(pair: tuple[int, Access], user: bool, directories: list[tuple[int, int, int]], entry: Entry) -> None:
        va, kind = pair
        pcid = cpu.pcid
        if directories:
            stamp = stamps.get(pcid) or tlb.new_stamp(pcid)
            for level, table_pa, so_far in directories:
                if level in ways_of:
                    _, shift, cache = psc[level - first]
                    if len(cache) >= ways_of[level]:
                        tlb.make_room(cache)
                    cache[stamp | va >> shift] = (table_pa, so_far)
                    tlb.used[id(cache)] = cache
        if noted:
            known.order()
        _, rights, level = entry
        vpn = va >> PAGE_SHIFT
        if level == 2:
            vpn = va >> tlb.large_shift
            tlb.large.add(vpn)
        owner = GLOBAL if rights & G else pcid
        key = (stamps.get(owner) or tlb.new_stamp(owner)) | vpn << 1 | level - 1
        ways = bring_in((code if kind is EXEC else data)[level - 1], vpn, key, entry)
        bring_in(stlb, vpn, key, entry)
        pa = cpu.pa
        known.learn(pcid << 1 | user, pair, (ways, key), PAGES | pa >> PAGE_SHIFT if user else pa >> LINE_SHIFT)

    return fill


def _counter(cpu: Cpu[Tlb]) -> Callable[[list[int]], int]:
    """Make what lets a walk's loads go through the data caches, and counts them."""
    caches = cpu.caches
    if caches is None:
        return len
    if caches.host is not None:
        return lambda reads: caches.walk(reads, cpu.pa)
    last, walk = caches.last, caches.walk

    def count(reads: list[int]) -> int:
        for address in reads:
            if last.get(address >> LINE_SHIFT) is not caches.now:  # else it changes nothing
                walk([address], 0)
        return len(reads)

    return count
