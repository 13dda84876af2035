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
Walker = Callable[[int, Access, bool], bool]
BringIn = Callable[[SetAssociative, int, int, Entry], None]


def translator(cpu: Cpu[Tlb], mem: PhysMem) -> Translate:
    """Make what translates a pair (VA, Access) that is not known to hit, as :func:`~sim.hardware.mmu.translate`.

    The usual case is a hit whose rights suffice, or a walk through tables in use that does not fault.  A page that hits
    in the first level is known to hit from then on.
    """
    tlb, learn = cpu.tlb, cpu.tlb.known.learn
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
                return beyond(va, kind, user)
        pa, rights, level = entry
        if user and not rights & U or fetch and rights & NX or kind is WRITE and rights & (W | D) != W | D:
            return translate(cpu, mem, va, kind, user)
        pa += va & inside[level]
        cpu.where, cpu.pa = L1_HIT, pa
        learn(pcid << 1 | user, pair, (ways, key), PAGES | pa >> PAGE_SHIFT if user else pa >> LINE_SHIFT)
        return None

    return quickly


def _find_large(tlb: Tlb, part: SetAssociative, number: int, pcid: int) -> tuple[dict[int, Entry], int, Entry | None]:
    """A large page's set, its key there, and the entry, the order of use being as it was."""
    ways = part.sets[number % part.mask]
    key = tlb.stamp(pcid) | number << 1 | 1
    if key not in ways:
        key = tlb.stamp(GLOBAL) | number << 1 | 1
    return ways, key, ways.get(key)


def _beyond(cpu: Cpu[Tlb], mem: PhysMem) -> Callable[[int, Access, bool], Fault | None]:
    """The same for a page that is not in the first level."""
    tlb, known, noted = cpu.tlb, cpu.tlb.known, cpu.tlb.known.noted
    stamps, large_shift, larges, data, code, stlb = tlb.stamps, tlb.large_shift, tlb.large, tlb.l1d, tlb.l1i, tlb.stlb
    sets, mask = stlb.sets, stlb.mask
    inside = (0, (1 << PAGE_SHIFT) - 1, (1 << large_shift) - 1)
    bring_in = _inserter(tlb)
    walk = _walker(cpu, mem, bring_in)

    def beyond(va: int, kind: Access, user: bool) -> Fault | None:
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
            return None if walk(va, kind, user) else translate(cpu, mem, va, kind, user)
        pa, rights, level = entry
        if user and not rights & U or fetch and rights & NX or kind is WRITE and rights & (W | D) != W | D:
            return translate(cpu, mem, va, kind, user)
        if noted:
            known.order()
        ways[key] = ways.pop(key)
        bring_in((code if fetch else data)[level - 1], vpn, key, entry)
        cpu.where, cpu.pa = STLB_HIT, pa + (va & inside[level])
        return None

    return beyond


def _inserter(tlb: Tlb) -> BringIn:
    """Make what puts an entry that is not there into its set of the first level (the sets being in order)."""
    used, known, make_room = tlb.used, tlb.known, tlb.make_room

    def bring_in(part: SetAssociative, vpn: int, key: int, entry: Entry) -> None:
        ways = part.sets[vpn % part.mask]
        if not ways:
            used[id(ways)] = ways
        elif len(ways) >= part.ways:
            lost = make_room(ways)
            if lost:
                known.lose(lost)
        ways[key] = entry

    return bring_in


def _walker(cpu: Cpu[Tlb], mem: PhysMem, bring_in: BringIn) -> Walker:
    """Make what walks for a page that is in neither level, and fills the caches.

    It returns false, with nothing done that would not be done again, if it is no usual case.
    """
    tlb, tables, bits, psc = cpu.tlb, mem.tables, cpu.geometry.bits, cpu.tlb.psc
    levels, index_mask, stamps = cpu.geometry.levels, (1 << bits) - 1, tlb.stamps
    fill, count_loads = _filler(tlb, bring_in), _counter(cpu)

    def walk(va: int, kind: Access, user: bool) -> bool:
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
        table.v[index] = entry = entry | (A | D if kind is WRITE else A)
        for directory, next_pa, so_far in directories:
            tlb.psc_fill(va, cpu.pcid, directory, next_pa, so_far)
        inside = (1 << shift) - 1
        page = entry & FRAME & ~inside
        fill(va, cpu.pcid, kind is EXEC, (page, rights | entry & (G | D if cpu.pge else D), level))
        cpu.pa = page | va & inside
        cpu.where, cpu.walk_loads, cpu.walked_freed = WALK, count_loads(reads), 0
        return True

    return walk


def _filler(tlb: Tlb, bring_in: BringIn) -> Callable[[int, int, bool, Entry], None]:
    """Make what puts a page that is in neither level into both, as :meth:`~sim.hardware.tlb.Tlb.fill`."""
    known, noted, stamps, used, make_room = tlb.known, tlb.known.noted, tlb.stamps, tlb.used, tlb.make_room
    data, code, sets, mask, most = tlb.l1d, tlb.l1i, tlb.stlb.sets, tlb.stlb.mask, tlb.stlb.ways

    def fill(va: int, pcid: int, fetch: bool, entry: Entry) -> None:
        if noted:
            known.order()
        _, rights, level = entry
        vpn = va >> PAGE_SHIFT
        if level == 2:
            vpn = va >> tlb.large_shift
            tlb.large.add(vpn)
        owner = GLOBAL if rights & G else pcid
        key = (stamps.get(owner) or tlb.new_stamp(owner)) | vpn << 1 | level - 1
        bring_in((code if fetch else data)[level - 1], vpn, key, entry)
        ways = sets[vpn % mask]
        if not ways:
            used[id(ways)] = ways
        elif len(ways) >= most:
            make_room(ways)
        ways[key] = entry

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
