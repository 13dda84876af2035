"""The walk against an independent walker, the allocator, translation through caches."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import ModelError
from sim.hardware.cpu import Cpu
from sim.hardware.mmu import translate
from sim.hardware.paging import FRAME, NX, PS, A, D, G, Geometry, P, PhysMem, U, W, walk
from sim.hardware.steps import Access
from sim.hardware.tlb import Tlb

GEOMETRY = Geometry(bits=2, user_slots=1, pte_slot=1)
FLAGS = [P, W, U, NX, G, A, D]


def reference(mem, root, va, kind, user):
    """A few-line walker of its own: returns (pa, None) or (None, whether the page was present)."""
    rights, pa = [], root
    for level in (4, 3, 2, 1):
        entry = mem.table(pa).v[(va >> 12 + 2 * (level - 1)) & 3]
        if not entry & P:
            return None, False
        rights.append(entry)
        pa = entry & FRAME
        if level == 1 or level == 2 and entry & PS:
            break
    span = 1 << 12 + 2 * (level - 1)
    allowed = (
        (not user or all(e & U for e in rights))
        and (kind is not Access.WRITE or all(e & W for e in rights))
        and (kind is not Access.EXEC or not any(e & NX for e in rights))
    )
    return (pa + va % span, None) if allowed else (None, True)


def build(draw_flags, present):
    """A full tree of tables with drawn flags in every entry."""
    mem = PhysMem(GEOMETRY)
    flags = iter(draw_flags)

    def table(level):
        pa = mem.alloc_table(f"L{level}")
        for i in range(4):
            bits = next(flags) | (P if next(present) else 0)
            if level == 1:
                mem.table(pa).v[i] = mem.alloc_page("data") | bits
            elif level == 2 and bits & D and bits & G:
                mem.table(pa).v[i] = mem.alloc_page("large") | bits | PS
            else:
                mem.table(pa).v[i] = table(level - 1) | bits
        return pa

    return mem, table(4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.lists(st.integers(0, 255), max_size=8))
def test_walk_equals_the_reference(seed, numbers):
    rng = random.Random(seed)
    weighted = (sum(f for f in FLAGS[1:] if rng.random() < (0.1 if f == NX else 0.85)) for _ in iter(int, 1))
    mem, root = build(weighted, (rng.random() < 0.9 for _ in iter(int, 1)))
    for number in numbers:
        va = number << 12 | 0x123
        for kind in Access:
            for user in (False, True):
                expected = reference(mem, root, va, kind, user)
                found = walk(mem, GEOMETRY, root, va, kind, user, set_ad=False)
                if expected[0] is not None:
                    assert found.fault is None
                    assert found.pa == expected[0]
                else:
                    assert found.fault is not None
                    assert found.fault.present is expected[1]


def mapped(flags=P | W | U):
    mem = PhysMem(GEOMETRY)
    root = mem.alloc_table("root")
    pa = root
    for level in (4, 3, 2):
        child = mem.alloc_table(f"L{level - 1}")
        mem.table(pa).v[0] = child | P | W | U
        pa = child
    page = mem.alloc_page("data")
    mem.table(pa).v[0] = page | flags
    cpu = Cpu(0, Tlb(GEOMETRY), GEOMETRY)
    cpu.cr3_pa = root
    return mem, cpu, mem.table(pa), page


def test_walk_sets_accessed_on_the_way_and_dirty_on_a_write():
    mem, cpu, leaf, _ = mapped()
    assert translate(cpu, mem, 0, Access.READ, True) is None
    assert leaf.v[0] & (A | D) == A
    assert mem.table(cpu.cr3_pa).v[0] & A
    assert translate(cpu, mem, 0, Access.WRITE, True) is None
    assert leaf.v[0] & D
    assert cpu.where == 2, "a write through a clean entry walks to set D"
    assert translate(cpu, mem, 0, Access.WRITE, True) is None
    assert cpu.where == 0


def test_supervisor_writes_need_w_too():
    mem, cpu, _, _ = mapped(P | U)
    fault = translate(cpu, mem, 0, Access.WRITE, False)
    assert fault is not None
    assert fault.present


def test_a_stale_translation_is_used_until_it_is_flushed():
    mem, cpu, leaf, page = mapped()
    translate(cpu, mem, 0, Access.READ, True)
    leaf.v[0] = 0
    assert translate(cpu, mem, 0, Access.READ, True) is None
    assert cpu.pa == page
    cpu.invlpg(0)
    assert translate(cpu, mem, 0, Access.READ, True) is not None


def test_structure_caches_shorten_the_next_walk():
    mem, cpu, leaf, _ = mapped()
    leaf.v[1] = mem.alloc_page("next") | P | U
    translate(cpu, mem, 0, Access.READ, True)
    assert cpu.walk_loads == 4
    translate(cpu, mem, 1 << 12, Access.READ, True)
    assert cpu.walk_loads == 1


def test_a_walk_through_a_freed_table_is_told():
    mem, cpu, leaf, _ = mapped()
    table = mem.table(mem.table(mem.table(cpu.cr3_pa).v[0] & FRAME).v[0] & FRAME).v[0] & FRAME
    mem.free(table)
    assert walk(mem, GEOMETRY, cpu.cr3_pa, 0, Access.READ, True).freed == table


def test_allocator_reuses_the_page_freed_last_and_refuses_a_second_free():
    mem = PhysMem(GEOMETRY, frames=3)
    pages = [mem.alloc_page(str(n)) for n in range(3)]
    with pytest.raises(ModelError, match="full"):
        mem.alloc_page("one too many")
    mem.free(pages[0])
    mem.free(pages[2])
    assert mem.alloc_page("again") == pages[2]
    with pytest.raises(ModelError, match="twice"):
        mem.free(pages[0])
