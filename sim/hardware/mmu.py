"""Address translation: TLB, paging-structure caches, walk."""

from __future__ import annotations

from sim.hardware.cpu import Cpu
from sim.hardware.paging import FRAME, NX, A, D, Fault, G, PhysMem, U, W, Walk, walk
from sim.hardware.steps import EXEC, WRITE, Access
from sim.hardware.tlb import Tlb

L1_HIT, STLB_HIT, WALK = 0, 1, 2


def translate(cpu: Cpu[Tlb], mem: PhysMem, va: int, kind: Access, user: bool) -> Fault | None:
    """Translate *va* on *cpu*; return the fault, or None.

    Leaves behind ``cpu.where`` (0 first-level hit, 1 second-level hit, 2 walk), ``cpu.walk_loads`` and ``cpu.pa``.
    A hit whose rights do not suffice is dropped and walked again, as is a write through a clean entry (to set D).
    """
    fetch = kind is EXEC
    found = cpu.tlb.lookup(va, cpu.pcid, fetch)
    if found is not None:
        where, (pa, rights, level) = found
        allowed = (not user or rights & U) and not (fetch and rights & NX)
        if allowed and (kind is not WRITE or rights & W and rights & D):
            cpu.where = where
            cpu.pa = pa + (va & (1 << 12 + cpu.geometry.bits * (level - 1)) - 1)
            return None
        cpu.tlb.drop(va, cpu.pcid)
    return _walk(cpu, mem, va, kind, user)


def _walk(cpu: Cpu[Tlb], mem: PhysMem, va: int, kind: Access, user: bool) -> Fault | None:
    """Walk the tables from where the paging-structure caches allow, and fill the caches on success."""
    geometry = cpu.geometry
    start = cpu.tlb.psc_lookup(va, cpu.pcid)
    result = walk(mem, geometry, cpu.cr3_pa, va, kind, user, start=start)
    loads = _loads(cpu, result)
    if result.fault is not None and start is not None:
        # A walk through a cached directory entry that faults is made again from the top before the fault is raised.
        cpu.tlb.invpcid_address(cpu.pcid, va)
        start = None
        result = walk(mem, geometry, cpu.cr3_pa, va, kind, user)
        loads += _loads(cpu, result)
    cpu.where = WALK
    cpu.walk_loads = loads
    cpu.walked_freed = result.freed
    if result.fault is not None:
        return result.fault
    _fill_psc(cpu, mem, va, result.path, start)
    size = (1 << 12 + geometry.bits * (result.level - 1)) - 1
    rights = result.rights if cpu.pge else result.rights & ~G
    cpu.tlb.fill(va, cpu.pcid, kind is EXEC, result.pa & ~size, rights, result.level)
    cpu.pa = result.pa
    return None


def _loads(cpu: Cpu[Tlb], result: Walk) -> int:
    """How many loads a walk took: those from its tables, and in a guest those from the host's."""
    if cpu.caches is None:
        return result.loads
    return cpu.caches.walk([table_pa + 8 * index for _, table_pa, index in result.path], result.pa)


def _fill_psc(
    cpu: Cpu[Tlb], mem: PhysMem, va: int, path: tuple[tuple[int, int, int], ...], start: tuple[int, int, int] | None
) -> None:
    """Cache the directory entries of a successful walk."""
    rights = start[2] if start is not None else W | U
    for level, table_pa, index in path[:-1]:
        table = mem.walkable(table_pa)
        entry: int = table.v[index] if table is not None else 0
        rights = rights & entry & (W | U) | (rights | entry) & NX
        if entry & A:
            cpu.tlb.psc_fill(va, cpu.pcid, level, entry & FRAME, rights)
