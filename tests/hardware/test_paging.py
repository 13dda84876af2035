"""The walk against an independent walker, the allocator, translation through caches."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import ModelError
from sim.hardware.cpu import Cpu
from sim.hardware.mmu import translate
from sim.hardware.paging import FRAME, NX, PS, A, D, G, Geometry, P, PhysMem, U, W, locked_update, walk
from sim.hardware.steps import Access
from sim.hardware.tlb import Tlb

GEOMETRY = Geometry(bits=2, user_slots=1, pte_slot=1)
FLAGS = [P, W, U, NX, G, A, D]
PAT = 1 << 12


def reference(mem, root, va, kind, user):
    """A few-line walker of its own (SDM vol. 3, 4.5 to 4.7): returns (pa, None) or (None, the error code)."""
    code = (kind is Access.WRITE) << 1 | user << 2 | (kind is Access.EXEC) << 4
    entries, pa = [], root
    for level in (4, 3, 2, 1):
        entry = mem.table(pa).v[(va >> 12 + 2 * (level - 1)) & 3]
        if not entry & P:
            return None, code
        entries.append(entry)
        large = level > 1 and entry & PS
        if large and (level > 2 or entry & 0x2000):  # of a 16 KiB page here: bit 12 is PAT's, bit 13 must be 0
            return None, code | 1 | 8
        pa = entry & FRAME
        if large:
            pa &= ~0x3FFF
            break
    ok = all(e & U for e in entries) if user else True
    ok &= all(e & W for e in entries) if kind is Access.WRITE else True
    ok &= not any(e & NX for e in entries) if kind is Access.EXEC else True
    return (pa + va % (0x4000 if large else 0x1000), None) if ok else (None, code | 1)


def build(rng):
    """A full tree of tables with drawn flags in every entry, large pages, and now and then a reserved bit."""
    mem = PhysMem(GEOMETRY)

    def table(level):
        pa = mem.alloc_table(f"L{level}")
        for i in range(4):
            bits = sum(f for f in FLAGS[1:] if rng.random() < (0.1 if f == NX else 0.85))
            bits |= P if rng.random() < 0.9 else 0
            if level == 1:
                mem.table(pa).v[i] = mem.alloc_page("data") | bits | (PS if rng.random() < 0.2 else 0)
            elif level == 2 and rng.random() < 0.5:
                wrong = 0x2000 if rng.random() < 0.1 else 0
                pat = PAT if rng.random() < 0.3 else 0
                mem.table(pa).v[i] = mem.alloc_large("large") | bits | PS | wrong | pat
            else:
                mem.table(pa).v[i] = table(level - 1) | bits | (PS if rng.random() < 0.02 else 0)
        return pa

    return mem, table(4)


def contents(mem, root):
    """Every entry of the tree."""
    found, todo = {}, [(4, root)]
    while todo:
        level, pa = todo.pop()
        for i, entry in enumerate(mem.table(pa).v):
            found[pa, i] = entry
            if level > 1 and not entry & PS:
                todo.append((level - 1, entry & FRAME))
    return found


addresses = st.lists(st.integers(0, 255), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), addresses)
def test_walk_equals_the_reference(seed, numbers):
    mem, root = build(random.Random(seed))
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
                    assert (found.fault.error_code, found.fault.va) == (expected[1], va)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), addresses, st.sampled_from(Access), st.booleans())
def test_walk_sets_accessed_and_dirty_in_the_entries_it_used_and_nothing_else(seed, numbers, kind, user):
    mem, root = build(random.Random(seed))
    for number in numbers:
        va = number << 12
        before = contents(mem, root)
        found = walk(mem, GEOMETRY, root, va, kind, user)
        changed = {at: entry ^ before[at] for at, entry in contents(mem, root).items() if entry != before[at]}
        used = [(pa, i) for _, pa, i in found.path]
        leaf = used[-1] if found.fault is None else None
        for at, bits in changed.items():
            assert at in used
            assert bits & ~(A | (D if at == leaf and kind is Access.WRITE else 0)) == 0
        after = contents(mem, root)
        assert all(after[at] & A for at in used[:-1])
        if leaf is not None:
            assert after[leaf] & A
            assert after[leaf] & D or kind is not Access.WRITE
        elif used:
            assert used[-1] not in changed, "an entry that faults is left alone"


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1 << 32),
    st.lists(st.tuples(st.integers(0, 255), st.sampled_from(Access), st.booleans()), max_size=40),
)
def test_cached_translations_equal_the_reference_while_the_tables_stay(seed, accesses):
    """Through TLB and paging-structure caches nothing else comes out than a walk from the top would give."""
    mem, root = build(random.Random(seed))
    cpu = Cpu(0, Tlb(GEOMETRY), GEOMETRY)
    cpu.cr3_pa, cpu.pge = root, True
    for number, kind, user in accesses:
        va = number << 12 | 0x45
        pa, code = reference(mem, root, va, kind, user)
        fault = translate(cpu, mem, va, kind, user)
        assert (fault.error_code if fault else None) == code
        if pa is not None:
            assert cpu.pa == pa


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


@pytest.mark.parametrize("entry", [P | U | W, P | U, P | U | W | A, P | U | W | A | D, 0, W | U])
def test_locked_update(entry):
    """What a walk sets; an entry without P, or without W on a write, stays as it is found."""
    assert locked_update(entry, write=False) == (entry | A if entry & P else entry)
    assert locked_update(entry, write=True) == (entry | A | D if entry & P and entry & W else entry)
