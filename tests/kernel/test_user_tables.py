"""What the user tables of a CPU show: cpu_svs_init's work, and the open items of the SVS documentation.

Read: svs.c 1.11, 1.16, 1.18.2.2 and 1.42 (svs_tree_add, svs_page_add, svs_utls_init, cpu_svs_init; the todo list).
"""

from __future__ import annotations

import pytest

from sim.hardware.cpu import VECTOR_NMI
from sim.hardware.paging import FRAME, NX, A, G, P, U, W, walk
from sim.hardware.steps import Access
from sim.kernel import traps
from sim.kernel.layout import PAGE_SIZE, PCPU_ENTRY_PAGES
from tests.kernel.machines import SMALL, Bench
from tests.kernel.test_order import SVS, in_user_mode

PCID = ("svs-netbsd9", "svs-netbsd10")


def reachable(bench, root, va, kind=Access.READ):
    """The physical page at *va* for a supervisor access (what Meltdown reads), or None."""
    found = walk(bench.mem, SMALL, root, va, kind, False, set_ad=False)
    return None if found.fault else found.pa & FRAME


def _leaves(bench, pa, level, base):
    """VAs mapped by the tables of svs_tree_add: present, writable, supervisor entries above supervisor pages."""
    found = set()
    for n, entry in enumerate(bench.mem.table(pa).v):
        va = base + n * PAGE_SIZE * SMALL.entries ** (level - 1)
        if entry & P and level > 1:
            assert entry & (W | U | NX) == W
            found |= _leaves(bench, entry & FRAME, level - 1, va)
        elif entry & P:
            assert not entry & U
            found.add(va)
    return found


@pytest.mark.parametrize("profile", SVS)
def test_user_tables_hold_what_cpu_svs_init_puts_there_and_nothing_else(profile):
    bench = Bench(profile, 2)
    layout = bench.k.layout
    for ci in bench.k.cpus:
        i = ci.ci_index
        own = [what for what in PCPU_ENTRY_PAGES if what != "ldt" or profile == "svs-netbsd10"]
        wanted = {layout.idt, layout.ldt, layout.utls, *(layout.entry_page(i, what) for what in own)}
        wanted |= {layout.text_user + n * PAGE_SIZE for n in range(2)}
        assert _leaves(bench, ci.ci_svs_updirpa, SMALL.levels, 0) == wanted


@pytest.mark.parametrize("profile", SVS)
def test_global_bits_of_the_user_tables(profile):
    """1.18 puts G on idt, ldt and the CPU's own entry, in both tables; .text.user, UTLS and rsp0 never have it."""
    bench, lwp, ci = in_user_mode(profile)
    k, layout = bench.k, bench.k.layout
    late = profile in PCID

    def bits(root, va):
        return walk(bench.mem, SMALL, root, va, Access.READ, False, set_ad=False).rights

    for va in (layout.idt, layout.ldt, *(layout.entry_page(0, what) for what in ("gdt", "tss", "ist0", "ist3"))):
        assert bool(bits(ci.ci_svs_updirpa, va) & G) is late
        if late:
            assert bits(k.pmap_kernel.pm_pdirpa, va) & G
    for va in (layout.text_user, layout.utls, ci.ci_svs_ursp0):
        assert not (ci.cpu.pge and bits(ci.ci_svs_updirpa, va) & G)
    assert ci.cpu.pge is late, "before 1.18 CR4.PGE is off, so that no page is global whatever its entry says"
    for va in (layout.kernel_text, layout.direct, lwp.kstack_va):
        assert not (ci.cpu.pge and bits(k.pmap_kernel.pm_pdirpa, va) & G)


def test_utls_is_one_va_and_a_page_for_each_cpu():
    bench = Bench("svs-netbsd8", 2)
    va = bench.k.layout.utls
    pages = [reachable(bench, ci.ci_svs_updirpa, va, Access.WRITE) for ci in bench.k.cpus]
    assert None not in pages
    assert pages[0] != pages[1]
    assert reachable(bench, bench.k.pmap_kernel.pm_pdirpa, va) is None
    assert [bench.mem.words(pa) for pa in pages] == [ci.ci_svs_utls for ci in bench.k.cpus]


@pytest.mark.parametrize("profile", SVS)
def test_the_nmi_stack_stays_readable_with_what_an_nmi_left_there(profile):
    bench, lwp, ci = in_user_mode(profile)
    page = bench.k.layout.entry_page(0, "ist1")
    bench.run(traps.interrupt(bench.k, lwp, VECTOR_NMI, ()))
    assert ci.cpu.user
    assert reachable(bench, ci.cpu.cr3_pa, page) is not None
    assert ci.ci_nmi_stack.v[1] == lwp.pcb_rsp0, "a kernel address, from the registers pushed"
    other = bench.k.cpus[1]
    assert reachable(bench, other.ci_svs_updirpa, page) is None


@pytest.mark.parametrize("profile", SVS)
def test_the_jumps_in_text_user_are_visible_and_their_handlers_are_not(profile):
    bench, _, ci = in_user_mode(profile)
    layout = bench.k.layout
    text = reachable(bench, ci.cpu.cr3_pa, layout.text_user, Access.EXEC)
    assert text == reachable(bench, bench.k.pmap_kernel.pm_pdirpa, layout.text_user), "the same page, addresses and all"
    assert reachable(bench, ci.cpu.cr3_pa, layout.kernel_text) is None


@pytest.mark.parametrize("profile", SVS)
def test_one_ldt_for_all_cpus_until_2020(profile):
    bench = Bench(profile, 2)
    layout = bench.k.layout
    shared = {reachable(bench, ci.ci_svs_updirpa, layout.ldt) for ci in bench.k.cpus}
    own = {reachable(bench, ci.ci_svs_updirpa, layout.entry_page(ci.ci_index, "ldt")) for ci in bench.k.cpus}
    assert len(shared) == 1
    assert None not in shared
    assert own == {None} if profile != "svs-netbsd10" else len(own - {None}) == 2


def test_entry_pages_of_the_kernel_are_accessed_already():
    """Nothing sets A or D in the entries that user tables copy: the kernel's are made with both."""
    bench = Bench("svs-netbsd8", 1)
    layout = bench.k.layout
    assert bench.k.tables.l1(layout.entry_page(0, "tss")) & A
