"""Scope of every flush, as a table: which kind of entry it leaves in which structure (SDM vol. 3, 4.10.4.1).

The table holds for both things that a CPU can flush: the TLB of the timed driver, and the set of what a TLB may hold
of the exploring one.  Before each operation the CPU holds, for PCIDs 0 (loaded) and 1, two small and two large pages,
a small and a large global page, and directory entries of every level for both addresses.  NEAR is the address an
operation names, FAR one in another L4 slot.
"""

from __future__ import annotations

import itertools

import pytest

from sim.explore.cached import BornMem, Cached, MaybeCached
from sim.hardware.cpu import Cpu, Flushes
from sim.hardware.paging import G, Geometry, U, W
from sim.hardware.steps import Invpcid
from sim.hardware.tlb import GLOBAL, Tlb

GEOMETRY = Geometry()
LARGE = 1 << 21
# Each in sets of its own, so that none replaces another.
NEAR, FAR, GLOBAL_NEAR, GLOBAL_FAR = (
    GEOMETRY.va_of_slot(slot) + n * (LARGE + 0x1000) for n, slot in enumerate((3, 200, 300, 400), 1)
)
NAMES = {NEAR: "near", FAR: "far", GLOBAL_NEAR: "global near", GLOBAL_FAR: "global far"}
LEVELS = (1, 2)


def address(place, level):
    """Small and large pages lie apart: a large page does not cover its small neighbour."""
    return place + (8 * LARGE if level == 2 else 0)


PLACES = {(address(place, level) >> 12 + 9 * (level - 1), level): name
          for place, name in NAMES.items() for level in LEVELS}  # fmt: skip


class InTlb:
    """The TLB: what is in one of its structures must be in all."""

    def __init__(self):
        self.held = Tlb(GEOMETRY)

    def fill(self, va, pcid, level, rights):
        for fetch in (False, True):
            self.held.fill(va, pcid, fetch, 0x1000, rights, level)

    def fill_directory(self, va, pcid, level):
        self.held.psc_fill(va, pcid, level, 0x2000 * level, U | W)

    def translations(self):
        """{(place, PCID or GLOBAL): sizes}."""
        seen = {}
        for line in self.held.entries():
            seen.setdefault((PLACES[line.vpn, line.level], line.pcid), {}).setdefault(line.level, set()).add(line.where)
        assert all(where == {"L1D", "L1I", "STLB"} for sizes in seen.values() for where in sizes.values())
        return {key: set(sizes) for key, sizes in seen.items()}

    def directories(self):
        """{(PCID, level, number)}."""
        return {(line.pcid, line.level, line.vpn) for line in self.held.directories()}


class InMaybeCached:
    """What a TLB may hold."""

    def __init__(self):
        self.held = MaybeCached(BornMem(GEOMETRY, lambda: None))

    def fill(self, va, pcid, level, rights):
        self.held.entries.setdefault((pcid, va), set()).add(Cached(0x1000, 1, True, bool(rights & G), level))

    def fill_directory(self, va, pcid, level):
        self.held.tables[pcid, level, va >> 12 + 9 * (level - 1)] = {(0x2000 * level, 1)}

    def translations(self):
        seen = {}
        for (pcid, va), entries in self.held.entries.items():
            for entry in entries:
                place = PLACES[va >> 12 + 9 * (entry.level - 1), entry.level]
                seen.setdefault((place, GLOBAL if entry.globl else pcid), set()).add(entry.level)
        return seen

    def directories(self):
        return set(self.held.tables)


BOTH_KINDS = pytest.mark.parametrize("kind", [InTlb, InMaybeCached])


def loaded(kind, *, pcide=True):
    cache = kind()
    cpu = Cpu(0, cache.held, GEOMETRY)
    cpu.pge, cpu.pcide = True, pcide
    for level in LEVELS:
        for pcid, place in itertools.product((0, 1), (NEAR, FAR)):
            cache.fill(address(place, level), pcid, level, U | W)
        for place in (GLOBAL_NEAR, GLOBAL_FAR):
            cache.fill(address(place, level), 0, level, U | W | G)
    for pcid, place, level in itertools.product((0, 1), (NEAR, FAR), (4, 3, 2)):
        cache.fill_directory(place, pcid, level)
    return cpu, cache


EVERY, SMALL = set(LEVELS), {1}
GLOBALS = {("global near", GLOBAL), ("global far", GLOBAL)}
ZERO, ONE = {("near", 0), ("far", 0)}, {("near", 1), ("far", 1)}
ALL = ZERO | ONE | GLOBALS

# operation: (what it does, translations gone, {(PCID, place)} of directory entries left)
BOTH = {(0, "near"), (0, "far"), (1, "near"), (1, "far")}
SCOPES = {
    "CR3 load of PCID 0": (lambda c: c.write_cr3(0, 0, False), ZERO, {(1, "near"), (1, "far")}),
    "CR3 load of PCID 1": (lambda c: c.write_cr3(0, 1, False), ONE, {(0, "near"), (0, "far")}),
    "CR3 load, no-flush": (lambda c: c.write_cr3(0, 1, True), set(), BOTH),
    "CR4.PGE changes": (lambda c: c.write_pge(False), ALL, set()),
    "CR4.PGE as it was": (lambda c: c.write_pge(True), set(), BOTH),
    "INVLPG near": (lambda c: c.invlpg(NEAR), {("near", 0)}, {(1, "near"), (1, "far")}),
    "INVLPG of a global page": (lambda c: c.invlpg(GLOBAL_NEAR), {("global near", GLOBAL)}, {(1, "near"), (1, "far")}),
    "INVPCID address, loaded PCID": (lambda c: c.invpcid(Invpcid.ADDRESS, 0, NEAR), {("near", 0)},
                                     BOTH - {(0, "near")}),
    "INVPCID address, other PCID": (lambda c: c.invpcid(Invpcid.ADDRESS, 1, NEAR), {("near", 1)}, BOTH - {(1, "near")}),
    "INVPCID address of a global page": (lambda c: c.invpcid(Invpcid.ADDRESS, 0, GLOBAL_NEAR), set(), BOTH),
    "INVPCID context, loaded PCID": (lambda c: c.invpcid(Invpcid.CONTEXT, 0, 0), ZERO, {(1, "near"), (1, "far")}),
    "INVPCID context, other PCID": (lambda c: c.invpcid(Invpcid.CONTEXT, 1, 0), ONE, {(0, "near"), (0, "far")}),
    "INVPCID all but global": (lambda c: c.invpcid(Invpcid.ALL_NONGLOBAL, 0, 0), ZERO | ONE, set()),
    "INVPCID all": (lambda c: c.invpcid(Invpcid.ALL, 0, 0), ALL, set()),
}  # fmt: skip
OF_ADDRESS = [name for name in SCOPES if "address" in name or "INVLPG" in name]


def left_directories(cache):
    """{(PCID, place, level)} of the directory entries left."""
    return {
        (pcid, NAMES[place], level)
        for pcid, level, number in cache.directories()
        for place in (NEAR, FAR)
        if place >> 12 + 9 * (level - 1) == number
    }


def test_every_flush_has_a_row(monkeypatch):
    """Each method of the protocol is what some operation of the table comes to."""
    flushes = {name for name in vars(Flushes) if not name.startswith("_")}
    used = set()
    for name in flushes:
        monkeypatch.setattr(Tlb, name, lambda *_, name=name: used.add(name))
    for action, _, _ in SCOPES.values():
        cpu, _ = loaded(InTlb)
        action(cpu)
    assert used == flushes >= {"flush_all", "invlpg"}


@BOTH_KINDS
def test_everything_is_there_before(kind):
    _, cache = loaded(kind)
    assert cache.translations() == dict.fromkeys(ALL, EVERY)
    # Of level 4 a TLB caches two entries at a time, those filled last.
    assert {(p, n) for p, n, level in left_directories(cache) if level == 2} == BOTH


@BOTH_KINDS
@pytest.mark.parametrize("name", SCOPES)
def test_translations(name, kind):
    action, gone, _ = SCOPES[name]
    cpu, cache = loaded(kind)
    action(cpu)
    left = cache.translations()
    for entry in ALL:
        if entry not in gone:
            assert left.get(entry) == EVERY, f"{entry} stays, in every size"
        elif name in OF_ADDRESS:
            assert left.get(entry) == EVERY - SMALL, "the address names the small page only"
        else:
            assert entry not in left, f"{entry} goes"


@BOTH_KINDS
@pytest.mark.parametrize("name", OF_ADDRESS)
def test_an_address_in_a_large_page_drops_the_large_page(name, kind):
    _, gone, _ = SCOPES[name]
    cpu, cache = loaded(kind)
    at = address(GLOBAL_NEAR if "global" in name else NEAR, 2) + 0x1F_8000
    if "INVLPG" in name:
        cpu.invlpg(at)
    else:
        cpu.invpcid(Invpcid.ADDRESS, 1 if "other" in name else 0, at)
    left = cache.translations()
    for entry in ALL:
        assert left.get(entry) == (SMALL if entry in gone else EVERY)


@BOTH_KINDS
@pytest.mark.parametrize("name", SCOPES)
def test_paging_structure_caches(name, kind):
    action, _, kept = SCOPES[name]
    cpu, cache = loaded(kind)
    before = left_directories(cache)
    action(cpu)
    assert left_directories(cache) == {(pcid, place, level) for pcid, place, level in before if (pcid, place) in kept}


@BOTH_KINDS
def test_invpcid_of_an_address_keeps_directory_entries_of_its_neighbours(kind):
    cache = kind()
    cpu = Cpu(0, cache.held, GEOMETRY)
    cpu.pcide = True
    beside = NEAR + 64 * LARGE  # another level-2 entry below the same L4 and L3 ones
    for va in (NEAR, beside):
        cache.fill_directory(va, 1, 2)
    cpu.invpcid(Invpcid.ADDRESS, 1, NEAR)
    assert cache.directories() == {(1, 2, beside >> 21)}


@BOTH_KINDS
def test_without_pcide_a_cr3_load_drops_all_but_globals(kind):
    cpu, cache = loaded(kind, pcide=False)
    cpu.write_cr3(0, 0, False)
    assert cache.translations() == dict.fromkeys(GLOBALS, EVERY)
    assert left_directories(cache) == set()
