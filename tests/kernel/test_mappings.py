"""pmap_enter, pmap_remove, pmap_write_protect, table pages, pmap_update: in the order of pmap.c as of 2018."""

from __future__ import annotations

import pytest

from sim.errors import KernelAssertion
from sim.hardware.paging import FRAME, NX, A, D, P, U, W
from sim.hardware.steps import Op
from sim.kernel import mappings, pmap, teardown
from sim.kernel.layout import PAGE_SIZE
from tests.kernel.machines import SMALL, Bench
from tests.kernel.test_order import SVS, VA

SPAN = SMALL.entries * PAGE_SIZE
# pdes[2] is L4_BASE, pdes[1] L3_BASE, pdes[0] L2_BASE; ptes is PTE_BASE: all in the recursive slot.
WALK = ["read L4_BASE", "load a.pm_pdir", "read L3_BASE", "load a L3", "read L2_BASE", "load a L2"]
# pmap_enter_ma: *ptep is looked at (have_oldpa), and read again in the loop that swaps it.
ENTER = ["read PTE_BASE", "load a L1", "load a L1", "write PTE_BASE", "rmw a L1"]


def loaded(profile="svs-netbsd8", cpus=1):
    bench = Bench(profile, cpus)
    lwp = bench.lwp("a")
    bench.load(lwp)
    return bench, lwp, lwp.l_proc.pmap


def enter(bench, lwp, va, pa=None, *, write=True, written=False):
    pa = bench.mem.alloc_page("data") if pa is None else pa
    return mappings.pmap_enter(bench.k, lwp, lwp.l_proc.pmap, va, pa, write, False, written=written)


def pte(bench, space, va):
    return mappings.pmap_extract(bench.k, space, va)


LOCK = ["acquire a.pm_lock", "load cpu0.ci_want_pmapload"]
SHOOT = ["spl 6", "load cpu0.tp_count", "store cpu0.tp_count", "load a.pm_cpus", "spl 0"]


def sync(profile):
    """svs_pmap_sync on a machine of one CPU."""
    body = ["spl 6", "acquire cpu0.ci_svs_mtx", "load a.pm_pdir", "store cpu0 ci_svs_updir",
            "release cpu0.ci_svs_mtx", "spl 0"]  # fmt: skip
    if profile == "svs-netbsd10":
        return [*body, "load a.pm_kernel_cpus"]
    return ["load a.pm_kernel_cpus", *body[:2], "load a.pm_kernel_cpus", *body[2:]]


def test_enter_sets_what_the_access_has_used():
    """A for an access, D for a write; neither for a page that is mapped ahead of any."""
    bench, lwp, space = loaded()
    for at, (accessed, written, bits) in enumerate([(True, True, A | D), (True, False, A), (False, False, 0)]):
        va = VA + at * PAGE_SIZE
        pa = bench.mem.alloc_page("data")
        bench.run(mappings.pmap_enter(bench.k, lwp, space, va, pa, True, False, written=written, accessed=accessed))
        assert pte(bench, space, va) & (A | D) == bits


@pytest.mark.parametrize("profile", SVS)
def test_first_page_of_a_slot(profile):
    """Tables are installed top down by plain stores, the L4 entry synchronised before the next level follows."""
    bench, lwp, space = loaded(profile)
    assert bench.operations(enter(bench, lwp, VA)) == [
        *LOCK,
        "read L4_BASE", "load a.pm_pdir", "write L4_BASE", "store a.pm_pdir", *sync(profile),
        "read L3_BASE", "load a L3", "write L3_BASE", "store a L3",
        "read L2_BASE", "load a L2", "write L2_BASE", "store a L2",
        *ENTER,
        "release a.pm_lock",
    ]  # fmt: skip
    l3 = space.pm_pdir.v[SMALL.index(VA, 4)]
    assert l3 & ~FRAME == P | W | U | A | D, "as installed, then walked through"
    assert pte(bench, space, VA) & ~FRAME == P | U | W | A | NX


def test_next_page_of_a_table_installs_nothing():
    bench, lwp, space = loaded()
    bench.run(enter(bench, lwp, VA))
    assert bench.operations(enter(bench, lwp, VA + PAGE_SIZE)) == [
        *LOCK, *WALK, *ENTER, "release a.pm_lock",
    ]  # fmt: skip
    assert sorted(space.ptp_wire.values()) == [2, 2, 3]


CHANGES = {
    # what the old entry has, what is entered: (other page, W), is it shot down?
    "same page, same rights": (A | W, (False, True), False),
    "same page, W gone": (A | W, (False, False), True),
    "same page, W new": (A, (False, True), True),
    "another page": (A | W, (True, True), True),
    "another page, never accessed": (W, (True, True), False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_entry_is_shot_down_if_it_was_accessed_and_page_or_w_changes(name):
    had, (other, write), shot = CHANGES[name]
    bench, lwp, space = loaded()
    bench.run(enter(bench, lwp, VA))
    table, index = _leaf(bench, space, VA)
    old = table.v[index] & FRAME
    table.v[index] = old | P | U | NX | had
    pa = bench.mem.alloc_page("other") if other else old
    assert bench.operations(enter(bench, lwp, VA, pa, write=write)) == [
        *LOCK, *WALK, *ENTER, "release a.pm_lock", *(SHOOT if shot else []),
    ], "and only after the pmap is unlocked"  # fmt: skip
    assert sorted(space.ptp_wire.values()) == [2, 2, 2], "an entry that was valid is counted already"


def _leaf(bench, space, va):
    table = space.pm_pdir
    for level in range(SMALL.levels, 1, -1):
        table = bench.mem.table(table.v[SMALL.index(va, level)] & FRAME)
    return table, SMALL.index(va, 1)


def test_accessed_and_dirty_bits_are_inherited_by_the_same_page_only():
    bench, lwp, space = loaded()
    bench.run(enter(bench, lwp, VA, written=True))
    first = pte(bench, space, VA)
    assert first & D, "a write is what the mapping is made for"
    bench.run(enter(bench, lwp, VA, first & FRAME, write=False))
    assert pte(bench, space, VA) & (A | D | W) == A | D
    bench.run(enter(bench, lwp, VA))
    assert pte(bench, space, VA) & (A | D) == A


@pytest.mark.parametrize("accessed", [True, False])
def test_removing_one_of_two_pages(accessed):
    bench, lwp, space = loaded()
    for n in range(2):
        bench.run(enter(bench, lwp, VA + n * PAGE_SIZE))
    table, index = _leaf(bench, space, VA)
    table.v[index] &= ~(0 if accessed else A)
    ops = bench.operations(mappings.pmap_remove(bench.k, lwp, space, VA, VA + PAGE_SIZE))
    assert ops == [
        *LOCK, *WALK, "read PTE_BASE", "write PTE_BASE", "rmw a L1", *(SHOOT if accessed else []), "release a.pm_lock",
    ]  # fmt: skip


RECURSIVE = [*SHOOT[:4], "load a.pm_kernel_cpus", "spl 0"]  # above the user limit, so both sets


@pytest.mark.parametrize("profile", SVS)
def test_removing_the_last_page_frees_the_tables_upwards(profile):
    bench, lwp, space = loaded(profile)
    bench.run(enter(bench, lwp, VA))
    table, index = _leaf(bench, space, VA)
    table.v[index] &= ~A
    tables = list(space.ptp_wire)
    ops = bench.operations(mappings.pmap_remove(bench.k, lwp, space, VA, VA + PAGE_SIZE))
    assert ops == [
        *LOCK, *WALK, "read PTE_BASE",
        "write PTE_BASE", "rmw a L1", *SHOOT,  # the last entry of a table is shot down although it was never accessed
        "write L2_BASE", "rmw a L2", *RECURSIVE,
        "write L3_BASE", "rmw a L3", *RECURSIVE,
        "write L4_BASE", "rmw a.pm_pdir", *sync(profile), *RECURSIVE,  # then only the deferred list
        "release a.pm_lock",
    ]  # fmt: skip
    packet = bench.k.cpus[0].ci_pmap_data
    assert packet.tp_va[1:] == [bench.k.layout.recursive(VA, level) for level in (1, 2, 3)]
    assert sorted(lwp.md_gc_ptp) == sorted(tables)
    assert not any(bench.mem.is_free(pa) for pa in tables)
    flush = ["invpcid address 1"] if profile in ("svs-netbsd9", "svs-netbsd10") else []
    pages = [op for va in reversed(packet.tp_va) for op in (*flush, f"invlpg {va:#x}")]
    assert bench.operations(mappings.pmap_update(bench.k, lwp, space)) == [
        "load cpu0.tp_count", "spl 6", "load cpu0.tp_count", *pages, "store cpu0.tp_count", "spl 0",
    ]  # fmt: skip
    assert all(bench.mem.is_free(pa) for pa in tables)
    assert lwp.md_gc_ptp == []


def test_free_ptp_stops_at_the_first_parent_in_use():
    bench, lwp, space = loaded()
    bench.run(enter(bench, lwp, VA))
    bench.run(enter(bench, lwp, VA + SPAN))
    ops = bench.operations(mappings.pmap_remove(bench.k, lwp, space, VA, VA + PAGE_SIZE))
    assert [op for op in ops if op.startswith("rmw")] == ["rmw a L1", "rmw a L2"]
    assert sorted(space.ptp_wire.values()) == [2, 2, 2]
    assert len(lwp.md_gc_ptp) == 1


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("dirty", [True, False])
def test_write_protect(writable, dirty):
    """Every valid entry is swapped, whether it has W or not; those with D are shot down, and keep D."""
    bench, lwp, space = loaded()
    bench.run(enter(bench, lwp, VA, written=False))
    table, index = _leaf(bench, space, VA)
    table.v[index] = table.v[index] & ~W | (W if writable else 0) | (D if dirty else 0)
    ops = bench.operations(mappings.pmap_write_protect(bench.k, lwp, space, VA, VA + PAGE_SIZE))
    assert ops == [
        *LOCK, *WALK, "read PTE_BASE", "load a L1", "write PTE_BASE", "rmw a L1", *(SHOOT if dirty else []),
        "release a.pm_lock",
    ]  # fmt: skip
    assert table.v[index] & (W | D) == (D if dirty else 0)


def test_teardown_queues_nothing_until_the_update():
    bench, lwp, space = loaded()
    bench.run(enter(bench, lwp, VA))
    bench.run(teardown.pmap_remove_all(bench.k, lwp, space))
    with pytest.raises(KernelAssertion, match="no other pmap"):
        bench.run(teardown.pmap_remove_all(bench.k, lwp, space))
    ops = bench.operations(mappings.pmap_remove(bench.k, lwp, space, VA, VA + PAGE_SIZE))
    assert "load cpu0.tp_count" not in ops
    assert bench.operations(mappings.pmap_update(bench.k, lwp, space)) == [
        "spl 6", "load cpu0.tp_count", "store cpu0.tp_count", "load a.pm_cpus", "load a.pm_kernel_cpus", "spl 0",
        "load cpu0.tp_count", "spl 6", "load cpu0.tp_count", "cr3 a.pm_pdir", "store cpu0.tp_count", "spl 0",
    ]  # fmt: skip
    assert lwp.md_gc_pmap is None


def test_destroying_a_torn_down_pmap_frees_its_tables_without_a_shootdown():
    """pmap_destroy: md_gc_ptp becomes pm_gc_ptp, which goes with the last reference."""
    bench, lwp, space = loaded()
    bench.run(enter(bench, lwp, VA))
    tables = list(space.ptp_wire)
    bench.run(teardown.pmap_remove_all(bench.k, lwp, space))
    bench.run(mappings.pmap_remove(bench.k, lwp, space, VA, VA + PAGE_SIZE))
    ci = lwp.l_cpu
    assert bench.operations(pmap.pmap_destroy(bench.k, ci, space)) == ["rmw a.pm_refs"]
    assert (lwp.md_gc_pmap, lwp.md_gc_ptp, sorted(space.pm_gc_ptp)) == (None, [], sorted(tables))
    assert not any(bench.mem.is_free(pa) for pa in tables), "this CPU has the tables in CR3 still"
    other = bench.lwp("b")
    bench.load(other)
    assert all(bench.mem.is_free(pa) for pa in tables)
    assert bench.mem.is_free(space.pm_pdirpa)
    assert bench.k.pmap_tlb_pendcount.v[0] == 0


def test_entries_are_reached_through_the_tlb_and_missed_again_after_a_flush():
    """Up to four translations for pmap_enter, L4_BASE to PTE_BASE; none of them is global."""
    bench, lwp, space = loaded()
    bench.run(enter(bench, lwp, VA))
    tlb = bench.k.cpus[0].cpu.tlb

    def walks():
        found = 0
        for step in bench.steps(enter(bench, lwp, VA)):
            if step[0] is Op.ACCESS:
                found += tlb.lookup(step[2], bench.k.cpus[0].cpu.pcid, False) is None
        return found

    assert walks() == 0
    tlb.flush_nonglobal()
    assert walks() == SMALL.levels
