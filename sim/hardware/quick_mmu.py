"""Address translation made short, for the fast engine: the usual case in one piece, everything else by the plain one.

:func:`sim.hardware.mmu.translate` is the reference; what this leaves in CPU, TLB and tables is the same.
"""

from __future__ import annotations

from sim.hardware.cpu import Cpu
from sim.hardware.mmu import WALK, translate
from sim.hardware.paging import FRAME, NX, PAGE_SHIFT, PS, A, D, Fault, G, P, PhysMem, U, W
from sim.hardware.steps import EXEC, WRITE, Access
from sim.hardware.tlb import Tlb


def translate_quickly(cpu: Cpu[Tlb], mem: PhysMem, va: int, kind: Access, user: bool) -> Fault | None:
    """As :func:`~sim.hardware.mmu.translate`.

    The usual case is a hit whose rights suffice, or a walk through tables in use that does not fault.
    """
    fetch = kind is EXEC
    found = cpu.tlb.lookup(va, cpu.pcid, fetch)
    if found is None:
        if _walk_quickly(cpu, mem, va, kind, user):
            return None
        return translate(cpu, mem, va, kind, user)
    cpu.where, (pa, rights, level) = found
    if user and not rights & U or fetch and rights & NX or kind is WRITE and rights & (W | D) != W | D:
        return translate(cpu, mem, va, kind, user)
    cpu.pa = pa + (va & (1 << 12 + cpu.geometry.bits * (level - 1)) - 1)
    return None


def _walk_quickly(cpu: Cpu[Tlb], mem: PhysMem, va: int, kind: Access, user: bool) -> bool:
    """Walk, and fill the caches; false, with nothing done that would not be done again, if it is no usual case."""
    tlb, tables, bits = cpu.tlb, mem.tables, cpu.geometry.bits
    index_mask = (1 << bits) - 1
    level, table_pa, rights = tlb.psc_lookup(va, cpu.pcid) or (cpu.geometry.levels, cpu.cr3_pa, W | U)
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
    entry |= A | D if kind is WRITE else A
    table.v[index] = entry
    for directory, next_pa, so_far in directories:
        tlb.psc_fill(va, cpu.pcid, directory, next_pa, so_far)
    inside = (1 << shift) - 1
    page = entry & FRAME & ~inside
    tlb.fill(va, cpu.pcid, kind is EXEC, page, rights | entry & (G | D if cpu.pge else D), level)
    cpu.pa = page | va & inside
    loads = len(reads) if cpu.caches is None else cpu.caches.walk(reads, cpu.pa)
    cpu.where, cpu.walk_loads, cpu.walked_freed = WALK, loads, 0
    return True
