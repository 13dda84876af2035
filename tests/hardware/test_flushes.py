"""Scope of every flush, as a table: which kind of entry it leaves in which structure (SDM vol. 3, 4.10.4.1).

Before each operation the CPU holds, for PCIDs 0 (loaded) and 1, two small and two large pages in first- and second-
level TLBs for data and instructions, a small and a large global page, and directory entries of every level for both
addresses.  NEAR is the address an operation names, FAR one in another L4 slot.
"""

from __future__ import annotations

import itertools

import pytest

from sim.hardware.cpu import Cpu
from sim.hardware.paging import G, Geometry, U, W
from sim.hardware.steps import Invpcid
from sim.hardware.tlb import GLOBAL, Tlb

GEOMETRY = Geometry()
LARGE = 1 << 21
# Each in sets of its own, so that none replaces another.
NEAR, FAR, GLOBAL_NEAR, GLOBAL_FAR = (
    GEOMETRY.va_of_slot(slot) + n * (LARGE + 0x1000) for n, slot in enumerate((3, 200, 300, 400), 1)
)
LEVELS = (1, 2)


def address(place, level):
    """Small and large pages lie apart: a large page does not cover its small neighbour."""
    return place + (8 * LARGE if level == 2 else 0)


def loaded(*, pcide=True):
    cpu = Cpu(0, Tlb(GEOMETRY), GEOMETRY)
    cpu.pge, cpu.pcide = True, pcide
    for level, fetch in itertools.product(LEVELS, (False, True)):
        for pcid, place in itertools.product((0, 1), (NEAR, FAR)):
            cpu.tlb.fill(address(place, level), pcid, fetch, 0x1000, U | W, level)
        for place in (GLOBAL_NEAR, GLOBAL_FAR):
            cpu.tlb.fill(address(place, level), 0, fetch, 0x1000, U | W | G, level)
    for pcid, place, level in itertools.product((0, 1), (NEAR, FAR), (4, 3, 2)):
        cpu.tlb.psc_fill(place, pcid, level, 0x2000 * level, U | W)
    return cpu


def translations(cpu):
    """{(place, PCID)}: entries left; each must be left in all structures and sizes, or gone from all of them."""
    places = {}
    for name, place in (("near", NEAR), ("far", FAR), ("global near", GLOBAL_NEAR), ("global far", GLOBAL_FAR)):
        for level in LEVELS:
            places[address(place, level) >> (12 if level == 1 else 21), level] = name, level
    seen = {}
    for line in cpu.tlb.entries():
        name, level = places[line.vpn, line.level]
        seen.setdefault((name, line.pcid), set()).add((line.where, level))
    return seen


EVERY = {(where, level) for where in ("L1D", "L1I", "STLB") for level in LEVELS}
SMALL = {(where, 1) for where in ("L1D", "L1I", "STLB")}
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
OF_ADDRESS = {name for name in SCOPES if "address" in name or "INVLPG" in name}


def left_directories(cpu):
    """{(PCID, place, level)} of the directory entries left."""
    names = {NEAR: "near", FAR: "far"}
    found = set()
    for line in cpu.tlb.directories():
        places = [place for place in names if place >> 12 + 9 * (line.level - 1) == line.vpn]
        found.update((line.pcid, names[place], line.level) for place in places)
    return found


def test_everything_is_there_before():
    cpu = loaded()
    assert translations(cpu) == dict.fromkeys(ALL, EVERY)
    # Two entries of level 4 are cached at a time (psc), those filled last.
    assert {(p, n) for p, n, level in left_directories(cpu) if level == 2} == BOTH


@pytest.mark.parametrize("name", SCOPES)
def test_translations(name):
    action, gone, _ = SCOPES[name]
    cpu = loaded()
    action(cpu)
    left = translations(cpu)
    for entry in ALL:
        if entry not in gone:
            assert left.get(entry) == EVERY, f"{entry} stays, in every structure and size"
        elif name in OF_ADDRESS:
            assert left.get(entry) == EVERY - SMALL, "the address names the small page only"
        else:
            assert entry not in left, f"{entry} goes"


@pytest.mark.parametrize("name", [name for name in SCOPES if "address" in name or "INVLPG" in name])
def test_an_address_in_a_large_page_drops_the_large_page(name):
    action, gone, _ = SCOPES[name]
    cpu = loaded()
    at = address(GLOBAL_NEAR if "global" in name else NEAR, 2) + 0x1F_8000
    kind = 1 if "other" in name else 0
    if "INVLPG" in name:
        cpu.invlpg(at)
    else:
        cpu.invpcid(Invpcid.ADDRESS, kind, at)
    left = translations(cpu)
    for entry in ALL:
        assert left.get(entry) == (SMALL if entry in gone else EVERY)


@pytest.mark.parametrize("name", SCOPES)
def test_paging_structure_caches(name):
    action, _, kept = SCOPES[name]
    cpu = loaded()
    before = left_directories(cpu)
    action(cpu)
    assert left_directories(cpu) == {(pcid, place, level) for pcid, place, level in before if (pcid, place) in kept}


def test_invpcid_of_an_address_keeps_directory_entries_of_its_neighbours():
    cpu = Cpu(0, Tlb(GEOMETRY), GEOMETRY)
    cpu.pcide = True
    beside = NEAR + 64 * LARGE  # another level-2 entry below the same L4 and L3 ones
    for va in (NEAR, beside):
        cpu.tlb.psc_fill(va, 1, 2, 0x2000, U | W)
    cpu.invpcid(Invpcid.ADDRESS, 1, NEAR)
    assert cpu.tlb.psc_lookup(NEAR, 1) is None
    assert cpu.tlb.psc_lookup(beside, 1) is not None


def test_without_pcide_a_cr3_load_drops_all_but_globals():
    cpu = loaded(pcide=False)
    cpu.write_cr3(0, 0, False)
    assert translations(cpu) == dict.fromkeys(GLOBALS, EVERY)
    assert left_directories(cpu) == set()
