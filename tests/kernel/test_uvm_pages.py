"""Faults on pages that several map entries lead to, unmapping and forking them (uvm_fault.c, uvm_map.c)."""

from __future__ import annotations

from errno import ENOMEM

import pytest

from sim.hardware.paging import FRAME, W
from sim.hardware.steps import Access
from sim.kernel import mappings, uvm, uvm_pages
from sim.kernel.lwp import Process
from sim.kernel.ptp import pmap_enter_now
from tests.kernel.machines import Bench
from tests.kernel.test_order import VA
from tests.kernel.test_pv import of_words


def forked(profile="svs-netbsd8"):
    """An LWP whose process has one page, which a child shares since a fork."""
    bench = Bench(profile, 1)
    lwp = bench.lwp("a")
    bench.load(lwp)
    pmap_enter_now(bench.k, lwp.l_proc.pmap, VA)
    child = Process("c", bench.lwp("c").l_proc.pmap)
    bench.put(lwp, 0)
    (page,) = bench.run(uvm_pages.fork_entries(bench.k, lwp, child))
    bench.run(mappings.pmap_write_protect(bench.k, lwp, lwp.l_proc.pmap, VA, VA + 4096))
    return bench, lwp, page, child


def entry(bench, proc):
    return mappings.pmap_extract(bench.k, proc.pmap, VA)


def test_forking_makes_an_anon_of_a_page_that_one_map_led_to():
    bench, lwp, page, child = forked()
    assert (page.anon, page.refs, page.needs_copy(child.pages)) == (True, 2, True)
    assert page.pv == ((lwp.l_proc.pmap.number, VA),), "the child has nothing mapped yet"
    assert lwp.l_proc.pages == child.pages == {VA: page}
    bench.run(uvm_pages.fork_entries(bench.k, lwp, Process("d", child.pmap)))
    assert page.refs == 3


def test_who_writes_first_gets_a_copy_and_the_other_keeps_the_page():
    bench, lwp, page, child = forked()
    bench.run(uvm_pages.fault(bench.k, lwp, VA, Access.WRITE))
    copy = lwp.l_proc.pages[VA]
    assert copy is not page
    assert copy.lock is page.lock, "anons of one amap have its lock"
    assert (copy.refs, page.refs) == (1, 1)
    assert (entry(bench, lwp.l_proc) & FRAME, page.pv) == (copy.pa, ())
    lwp.l_proc = child
    bench.load(lwp)
    bench.run(uvm_pages.fault(bench.k, lwp, VA, Access.WRITE))
    assert child.pages == {VA: page}
    assert entry(bench, child) & (FRAME | W) == page.pa | W


@pytest.mark.parametrize("access", [Access.READ, Access.EXEC])
def test_who_reads_gets_the_shared_page_read_only(access):
    bench, lwp, page, child = forked()
    lwp.l_proc = child
    bench.load(lwp)
    bench.run(uvm_pages.fault(bench.k, lwp, VA, access))
    assert entry(bench, child) & (FRAME | W) == page.pa
    assert page.refs == 2
    assert len(page.pv) == 2


def test_the_owner_stays_locked_until_the_old_page_is_in_no_tlb():
    bench, lwp, page, _ = forked()
    made = bench.operations(uvm_pages.fault(bench.k, lwp, VA, Access.WRITE))
    lock = page.lock.name
    assert (made[0], made[-1]) == (f"acquire {lock}", f"release {lock}")
    changed = next(i for i, operation in enumerate(made) if operation.startswith("rmw a L1"))
    assert "store cpu0.tp_count" in made[changed:-1], "queued; and emptied, once it is sent"
    assert made[-1 - 1] == "spl 0"


@pytest.mark.parametrize(("profile", "sent_inside"), [("svs-netbsd9", False), ("svs-netbsd10", True), ("pti", True)])
def test_when_the_shootdown_of_an_unmapped_page_is_sent(profile, sent_inside):
    """Up to 2019 the owner is let go of before pmap_update; since 2020, as in Linux by a reference, it is not."""
    bench, lwp, page, _ = forked(profile)
    made = bench.operations(uvm.unmap(bench.k, lwp, VA, VA + 4096))
    lock = page.lock.name
    held = made[made.index(f"acquire {lock}") : made.index(f"release {lock}")]
    assert any(operation.startswith(("invlpg", "invpcid")) for operation in held) is sent_inside
    assert of_words(made, lock)[-2:] == [f"acquire {lock}", f"release {lock}"], "the reference goes last"
    assert page.refs == 1
    assert not bench.mem.is_free(page.pa)


def test_the_last_reference_frees_the_page():
    bench, lwp, page, child = forked()
    pa = page.pa
    bench.run(uvm_pages.detach(bench.k, lwp, [child.pages.pop(VA)]))
    assert page.refs == 1
    bench.run(uvm.unmap(bench.k, lwp, VA, VA + 4096))
    assert bench.mem.is_free(pa)
    assert (page.pa, page.pv, bench.k.vm_pages) == (0, (), {})


def moved(profile="svs-netbsd8", to=VA + 4 * 4096):
    """An LWP whose only page is to move, and the steps of that."""
    bench = Bench(profile, 1)
    lwp = bench.lwp("a")
    bench.load(lwp)
    pmap_enter_now(bench.k, lwp.l_proc.pmap, VA)
    pmap_enter_now(bench.k, lwp.l_proc.pmap, VA + 4096)
    return bench, lwp, to, uvm.mremap(bench.k, lwp, VA, VA + 4096, to)


def test_mremap_unlocks_the_map_while_two_entries_lead_to_the_page():
    bench, lwp, to, moving = moved()
    pa = entry(bench, lwp.l_proc) & FRAME
    made, pages = [], []
    for step in bench.steps(moving):
        made.append(bench.operation(step))
        pages.append(dict(lwp.l_proc.pages))
    unlocked = [i for i, operation in enumerate(made) if operation == "rmw a.vm_map.rw_owner"]
    assert len(unlocked) == 4, "locked and unlocked twice"
    page = pages[unlocked[1]][VA]
    assert pages[unlocked[1]] == {VA: page, to: page}
    assert lwp.l_proc.pages == {to: page}
    assert (page.pa, page.refs, page.pv, entry(bench, lwp.l_proc)) == (pa, 1, (), 0)
    bench.run(uvm_pages.fault(bench.k, lwp, to, Access.WRITE))
    assert mappings.pmap_extract(bench.k, lwp.l_proc.pmap, to) & FRAME == pa


def test_mremap_goes_nowhere_if_something_is_there():
    bench, lwp, _, moving = moved(to=VA + 4096)
    before = entry(bench, lwp.l_proc)
    assert bench.run(moving) == ENOMEM
    assert (entry(bench, lwp.l_proc), lwp.l_proc.pages) == (before, {})


def test_a_copy_leaves_no_mapping_of_the_page_at_its_other_address():
    """As amap_add does if the amap is shared."""
    bench, lwp, page, child = forked()
    bench.run(uvm_pages.extract_entries(bench.k, lwp, VA, VA + 4096, VA + 4 * 4096))
    assert (page.refs, page.needs_copy(lwp.l_proc.pages), page.needs_copy(child.pages)) == (3, True, True)
    bench.run(uvm_pages.fault(bench.k, lwp, VA + 4 * 4096, Access.WRITE))
    copy = lwp.l_proc.pages[VA]
    assert lwp.l_proc.pages[VA + 4 * 4096] is copy is not page
    assert (copy.refs, page.refs, page.pv, entry(bench, lwp.l_proc)) == (2, 1, (), 0)
    assert not copy.needs_copy(lwp.l_proc.pages)
