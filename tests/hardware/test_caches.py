"""Where lines are: pushed out by what is brought in, whatever order; guests walk the host's tables as well."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.hardware.caches import HOST, L1, L2, L3, MEMORY, PAGES, Caches, CacheShape, HostTables
from sim.hardware.known_hits import Page, Run
from sim.hardware.tlb import TlbShape
from sim.timed.costs import load_costs

SHAPE = CacheShape(4, 8, 16)


def stream(caches: Caches, first: int, pages: int, lines: int = 1) -> None:
    """A program uses pages that it never used before."""
    for page in range(first, first + pages):
        caches.find(PAGES | page, lines)


@pytest.mark.parametrize(("pushed", "level"), [(0, L1), (3, L1), (4, L2), (7, L2), (8, L3), (15, L3), (16, MEMORY)])
def test_a_line_is_where_as_much_as_the_level_holds_has_pushed_it(pushed: int, level: int) -> None:
    caches = Caches(SHAPE)
    assert caches.find(1) == L1  # as if used when time began
    stream(caches, 0, pushed)
    assert caches.find(1) == level
    assert caches.find(1) == L1


def test_what_fits_pushes_nothing_out_however_often_it_is_used() -> None:
    caches = Caches(SHAPE)
    for _ in range(10):
        stream(caches, 0, 3)
    assert caches.find(1) == L1


def test_a_page_takes_all_the_lines_used_of_it() -> None:
    caches = Caches(SHAPE)
    caches.find(1)
    stream(caches, 0, 1, lines=4)
    assert caches.find(1) == L2
    assert caches.find(PAGES | 7, 4) == MEMORY


def test_a_cycle_larger_than_a_level_always_misses_it() -> None:
    caches = Caches(SHAPE)
    stream(caches, 0, 5)
    assert [caches.find(PAGES | page) for page in range(5)] == [L2] * 5


def test_walks_tell_their_loads_once() -> None:
    caches = Caches(SHAPE)
    assert caches.walk([0x1000, 0x2008, 0x3010, 0x4018], 0x5000) == 4
    assert caches.take() is None
    stream(caches, 0, 8)
    assert caches.walk([0x1000, 0x2008], 0x5000) == 2
    assert caches.take() == (0, 2, 0)
    assert caches.take() is None


def test_a_cold_walk_in_a_guest_takes_24_loads_and_a_warm_one_a_load_more_for_each() -> None:
    """Four tables and the page, each in a gigabyte of its own: 5 walks of the host's 4 tables, less what is cached."""
    caches = Caches(SHAPE, HostTables(TlbShape(psc=(1, 1, 1))))
    reads = [n << 39 for n in range(1, 5)]
    assert caches.walk(reads, 5 << 39) == 5 * 4 + 4
    near = Caches(SHAPE, HostTables(TlbShape()))
    near.walk([0x1000], 0x2000)
    assert near.walk([0x1000, 0x2000, 0x3000, 0x4000], 0x5000) == 4 + 5


def test_host_lines_hold_eight_entries() -> None:
    host = HostTables(TlbShape())
    assert len(host.lines(0x1000)) == 4
    assert host.lines(0x7000) == host.lines(0x2000)
    assert host.lines(0x8000) != host.lines(0x7000)
    assert all(line & HOST for line in host.lines(0x8000))


def test_a_guest_and_a_flat_machine_are_options_of_any_table() -> None:
    guest, flat, plain = (load_costs(name) for name in ("haswell+nested@2GHz", "haswell+flat", "haswell"))
    assert (guest.nested, guest.flat, guest.frequency_hz, guest.name) == (True, False, 2 * 10**9, "haswell+nested@2GHz")
    assert guest.make_caches().host is not None
    assert plain.make_caches().host is None
    caches = flat.make_caches()
    stream(caches, 0, 10_000, lines=64)
    assert caches.find(1) == L1
    with pytest.raises(InputError, match="no option 'nestd'; there are nested, flat"):
        load_costs("haswell+nestd")


def run(keys: list[int]) -> Run:
    """A sequence of pages that use these lines."""
    return Run([Page((key, 0), ({}, key), key, None) for key in keys])


@given(st.lists(st.one_of(st.sampled_from([(0, 1, 2), (2, 3)]), st.integers(4, 9)), max_size=40))
def test_lines_used_again_as_one_are_as_if_used_one_by_one(uses: list[int | tuple[int, ...]]) -> None:
    """A sequence whose lines are all here for sure changes what looking for each of them would."""
    short, plain = Caches(SHAPE), Caches(SHAPE)
    runs = {(0, 1, 2): run([0, 1, 2]), (2, 3): run([2, 3])}
    for use in uses:
        if isinstance(use, int):
            assert short.find(PAGES | use) == plain.find(PAGES | use)
            continue
        found = [plain.find(key) for key in use]
        if short.are_here(runs[use], 1):
            assert found == [L1] * len(use)
        else:
            before = short.now
            assert [short.find(key) for key in use] == found
            runs[use].cached = before
        assert (short.now, short.last) == (plain.now, plain.last)


def test_lines_are_here_until_a_first_level_may_have_been_filled() -> None:
    caches = Caches(SHAPE)
    used = run([1, 2])
    assert not caches.are_here(used, 1)  # nothing is known of them
    used.cached = caches.now
    stream(caches, 0, 3)
    assert caches.are_here(used, 1)
    stream(caches, 3, 4)
    assert not caches.are_here(used, 1)
