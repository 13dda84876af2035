"""pmap_page_remove and pmap_page_protect, in the order of pmap.c 1.306 (2018) and 1.426 (2023); pv lists."""

from __future__ import annotations

import pytest

from sim.errors import KernelAssertion, StalePmap
from sim.hardware.paging import A, D, P, U, W
from sim.kernel import mappings, pv
from sim.kernel.layout import PAGE_SIZE
from sim.kernel.mutex import mutex_enter
from sim.kernel.ptp import pmap_enter_now
from sim.kernel.uvm_pages import UvmPager
from sim.kernel.vm_page import VmPage
from tests.kernel.machines import Bench
from tests.kernel.test_order import VA

OTHER = VA + PAGE_SIZE


def shared(profile="svs-netbsd8", places=(("a", VA),), *, beside=True):
    """A kernel LWP on a CPU with no user pmap loaded, and a page mapped at some places; *beside* another page each."""
    bench = Bench(profile, 1)
    lwp = bench.lwp("k", system=True)
    bench.put(lwp, 0)
    spaces = {name: bench.lwp(name).l_proc.pmap for name, _ in places}
    page = VmPage("x", bench.mem.alloc_page("x page"))
    bench.k.vm_pages[page.pa] = page
    for name, va in places:
        pmap_enter_now(bench.k, spaces[name], va, page.pa)
        page.pv = pv.with_entry(page.pv, (spaces[name].number, va))
        if beside:
            pmap_enter_now(bench.k, spaces[name], va + 2 * PAGE_SIZE)
    bench.run(mutex_enter(lwp.l_cpu, page.lock, UvmPager))
    return bench, lwp, page, spaces


L1 = "a L1 0x40"
# To queue: the packet, and who has the pmap loaded.
QUEUE = ["spl 6", "load cpu0.tp_count", "store cpu0.tp_count", "load a.pm_cpus", "spl 0"]


def of_words(made, *words):
    """The operations on these words or locks alone."""
    return [operation for operation in made if operation.split()[-1] in words]


def test_up_to_2019_an_entry_is_cleared_without_pm_lock():
    """A reference, the entry by the direct map, the shootdown; then pm_lock, for the count of the table page."""
    bench, lwp, page, spaces = shared()
    made = bench.operations(pv.pmap_page_remove(bench.k, lwp, page))
    assert made[:8] == ["rmw a.pm_refs", f"load {L1}", f"rmw {L1}", *QUEUE]
    assert of_words(made, "a.pm_lock", "0x40") == [f"load {L1}", f"rmw {L1}", "acquire a.pm_lock", "release a.pm_lock"]
    assert made.index("acquire a.pm_lock") > made.index("store cpu0.tp_count", 6), "the packet was sent before"
    assert mappings.pmap_extract(bench.k, spaces["a"], VA) == 0
    assert page.pv == ()
    assert min(spaces["a"].ptp_wire.values()) == 2


def test_in_2023_pm_lock_is_held_from_before_the_entry_is_cleared():
    bench, lwp, page, _ = shared("svs-netbsd10")
    made = bench.operations(pv.pmap_page_remove(bench.k, lwp, page))
    assert of_words(made, "a.pm_lock", "x.pp_lock", "0x40") == [
        "acquire x.pp_lock", "release x.pp_lock", "acquire a.pm_lock", f"load {L1}", f"rmw {L1}",
        "acquire x.pp_lock", "release x.pp_lock", "release a.pm_lock", "acquire x.pp_lock", "release x.pp_lock",
    ]  # fmt: skip


@pytest.mark.parametrize("profile", ["svs-netbsd9", "svs-netbsd10"])
def test_all_mappings_go_and_so_does_a_table_page_with_its_last_entry(profile):
    places = (("a", VA), ("b", VA), ("a", OTHER))
    bench, lwp, page, spaces = shared(profile, places, beside=False)
    assert page.pv == ((spaces["a"].number, VA), (spaces["a"].number, OTHER), (spaces["b"].number, VA))
    bench.run(pv.pmap_page_remove(bench.k, lwp, page))
    assert page.pv == ()
    assert [space.ptp_wire for space in spaces.values()] == [{}, {}]
    assert len(lwp.md_gc_ptp) == 2 * 3, "they wait for the pmap_update of who took the page away"
    bench.run(mappings.pmap_update(bench.k, lwp, spaces["a"]))
    assert lwp.md_gc_ptp == []


@pytest.mark.parametrize("written", [True, False])
def test_page_protect_shoots_down_what_was_written(written):
    """A and D go along with W where a shootdown is needed anyway; without D no TLB has W."""
    bench, lwp, page, spaces = shared()
    table = bench.mem.descend(spaces["a"].pm_pdir, VA)
    index = bench.k.geometry.index(VA, 1)
    if not written:
        table.v[index] &= ~D
    made = bench.operations(pv.pmap_page_protect(bench.k, lwp, page))
    assert made[:2] == [f"load {L1}", f"rmw {L1}"]
    assert (made[2:7] == QUEUE) is written
    assert table.v[index] == page.pa | P | U | (0 if written else A)
    assert page.pv == ((spaces["a"].number, VA),)


def test_page_protect_leaves_what_is_read_only_alone():
    bench, lwp, page, spaces = shared()
    bench.mem.descend(spaces["a"].pm_pdir, VA).v[bench.k.geometry.index(VA, 1)] &= ~W
    assert bench.operations(pv.pmap_page_protect(bench.k, lwp, page))[0:2] == [f"load {L1}", "load cpu0.tp_count"]


@pytest.mark.parametrize("procedure", [pv.pmap_page_remove, pv.pmap_page_protect])
def test_the_owner_must_be_locked(procedure):
    bench, lwp, page, _ = shared()
    page.lock.owner = None
    with pytest.raises(KernelAssertion, match="owner is locked"):
        bench.run(procedure(bench.k, lwp, page))


def test_a_mapping_of_a_pmap_that_is_no_more():
    bench, lwp, page, spaces = shared()
    del bench.k.pmaps[spaces["a"].number]
    with pytest.raises(StalePmap, match="pv entry"):
        bench.run(pv.pmap_page_remove(bench.k, lwp, page))
