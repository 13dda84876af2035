"""The TLB against a naive model, and the scope of every flush as a table."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import MachineCheck
from sim.hardware.cpu import Cpu
from sim.hardware.paging import G, Geometry, U, W
from sim.hardware.steps import Invpcid
from sim.hardware.tlb import GLOBAL, Tlb, TlbShape

GEOMETRY = Geometry(bits=3, user_slots=3, pte_slot=3)
SHAPE = TlbShape(l1d_4k=(4, 2), l1d_2m=(2, 2), l1i_4k=(4, 2), l1i_2m=(2, 2), stlb=(8, 2), psc=(1, 2, 2))


class Naive:
    """Lists in order of use; flushes remove entries one by one."""

    def __init__(self):
        self.parts = {}
        for (fetch, level), shape in {
            (False, 1): SHAPE.l1d_4k, (False, 2): SHAPE.l1d_2m, (True, 1): SHAPE.l1i_4k, (True, 2): SHAPE.l1i_2m,
        }.items():  # fmt: skip
            self.parts[fetch, level] = [[] for _ in range(shape[0] // shape[1])], shape[1]
        self.stlb = [[] for _ in range(SHAPE.stlb[0] // SHAPE.stlb[1])], SHAPE.stlb[1]

    @staticmethod
    def vpn(va, level):
        return va >> 12 if level == 1 else va >> 12 + GEOMETRY.bits

    def find(self, part, va, pcid, level):
        sets, _ = part
        vpn = self.vpn(va, level)
        lines = sets[vpn % len(sets)]
        for tag in (pcid, GLOBAL):
            for line in lines:
                if line[:3] == (vpn, level, tag):
                    lines.remove(line)
                    lines.append(line)
                    return line
        return None

    def put(self, part, line):
        sets, ways = part
        lines = sets[line[0] % len(sets)]
        lines[:] = [old for old in lines if old[:3] != line[:3]]
        if len(lines) >= ways:
            lines.pop(0)
        lines.append(line)

    def lookup(self, va, pcid, fetch):
        for level in (1, 2):
            line = self.find(self.parts[fetch, level], va, pcid, level)
            if line:
                return 0, line[3]
        for level in (1, 2):
            line = self.find(self.stlb, va, pcid, level)
            if line:
                self.put(self.parts[fetch, level], line)
                return 1, line[3]
        return None

    def fill(self, va, pcid, fetch, pa, rights, level):
        line = (self.vpn(va, level), level, GLOBAL if rights & G else pcid, pa)
        self.put(self.parts[fetch, level], line)
        self.put(self.stlb, line)

    def remove(self, doomed):
        for sets, _ in (*self.parts.values(), self.stlb):
            for lines in sets:
                lines[:] = [line for line in lines if not doomed(line)]


pages = st.integers(0, 15).map(lambda n: n << 12)
pcids = st.integers(0, 2)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("use"), pages, pcids, st.booleans(), st.booleans(), st.sampled_from([1, 1, 1, 2])),
        st.tuples(st.sampled_from(["flush_pcid", "invpcid_context"]), pcids),
        st.tuples(st.sampled_from(["flush_nonglobal", "flush_all"])),
        st.tuples(st.sampled_from(["invlpg", "invpcid_address"]), pages, pcids),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(actions)
def test_tlb_equals_the_naive_model(steps):
    tlb, naive = Tlb(GEOMETRY, SHAPE), Naive()
    for n, (what, *args) in enumerate(steps):
        if what == "use":
            va, pcid, fetch, is_global, level = args
            found, expected = tlb.lookup(va, pcid, fetch), naive.lookup(va, pcid, fetch)
            assert (found and (found[0], found[1][0])) == expected
            if found is None:
                rights = U | W | (G if is_global else 0)
                tlb.fill(va, pcid, fetch, n, rights, level)
                naive.fill(va, pcid, fetch, n, rights, level)
        elif what in ("flush_pcid", "invpcid_context"):
            tlb.flush_pcid(args[0])
            naive.remove(lambda line, pcid=args[0]: line[2] == pcid)
        elif what == "flush_nonglobal":
            tlb.flush_nonglobal()
            naive.remove(lambda line: line[2] != GLOBAL)
        elif what == "flush_all":
            tlb.flush_all()
            naive.remove(lambda line: True)
        elif what == "invlpg":
            tlb.invlpg(*args)
            naive.remove(lambda line, a=args: line[0] == naive.vpn(a[0], line[1]) and line[2] in (a[1], GLOBAL))
        else:
            tlb.invpcid_address(args[1], args[0])
            naive.remove(lambda line, a=args: line[0] == naive.vpn(a[0], line[1]) and line[2] == a[1])


ONE, TWO = 5 << 12, 9 << 12
ALL = {"0 one", "0 two", "1 one", "1 two", "global"}

# What is left of: VA one and two in PCIDs 0 and 1, and a global page at VA one + 64 pages; PCID 0 is loaded.
SCOPES = {
    "CR3 load of PCID 0": (lambda cpu: cpu.write_cr3(0, 0, False), ALL - {"0 one", "0 two"}),
    "CR3 load of PCID 1": (lambda cpu: cpu.write_cr3(0, 1, False), ALL - {"1 one", "1 two"}),
    "CR3 load, no-flush": (lambda cpu: cpu.write_cr3(0, 1, True), ALL),
    "CR4.PGE off": (lambda cpu: cpu.write_pge(False), set()),
    "CR4.PGE as it was": (lambda cpu: cpu.write_pge(True), ALL),
    "INVLPG one": (lambda cpu: cpu.invlpg(ONE), ALL - {"0 one"}),
    "INVLPG global": (lambda cpu: cpu.invlpg(ONE + (64 << 12)), ALL - {"global"}),
    "INVPCID address": (lambda cpu: cpu.invpcid(Invpcid.ADDRESS, 1, ONE), ALL - {"1 one"}),
    "INVPCID address of a global": (lambda cpu: cpu.invpcid(Invpcid.ADDRESS, 0, ONE + (64 << 12)), ALL),
    "INVPCID context": (lambda cpu: cpu.invpcid(Invpcid.CONTEXT, 1, 0), ALL - {"1 one", "1 two"}),
    "INVPCID all": (lambda cpu: cpu.invpcid(Invpcid.ALL, 0, 0), set()),
    "INVPCID all but global": (lambda cpu: cpu.invpcid(Invpcid.ALL_NONGLOBAL, 0, 0), {"global"}),
}


def loaded_cpu():
    cpu = Cpu(0, Tlb(GEOMETRY), GEOMETRY)
    cpu.pge = cpu.pcide = True
    for pcid in (0, 1):
        for va in (ONE, TWO):
            cpu.tlb.fill(va, pcid, False, va, U | W, 1)
    cpu.tlb.fill(ONE + (64 << 12), 0, False, 7, U | W | G, 1)
    return cpu


def left(cpu):
    found = set()
    for pcid in (0, 1):
        for name, va in (("one", ONE), ("two", TWO)):
            if cpu.tlb.lookup(va, pcid, False):
                found.add(f"{pcid} {name}")
    if cpu.tlb.lookup(ONE + (64 << 12), 1, False):
        found.add("global")
    return found


@pytest.mark.parametrize("name", SCOPES)
def test_scope_of_every_flush(name):
    cpu = loaded_cpu()
    action, expected = SCOPES[name]
    action(cpu)
    assert left(cpu) == expected


def test_cr3_load_without_pcide_drops_all_but_globals():
    cpu = loaded_cpu()
    cpu.pcide = False
    cpu.write_cr3(0, 0, False)
    assert left(cpu) == {"global"}


def test_no_flush_bit_without_pcide_is_a_fault():
    cpu = Cpu(0, Tlb(GEOMETRY), GEOMETRY)
    with pytest.raises(MachineCheck, match="PCIDE"):
        cpu.write_cr3(0, 0, True)


def test_invlpg_drops_all_structure_caches_of_the_pcid_invpcid_only_the_address():
    tlb = Tlb(GEOMETRY)
    near, far = 1 << 12, 1 << 18
    for pcid in (0, 1):
        for va in (near, far):
            tlb.psc_fill(va, pcid, 2, 0x5000, U | W)
    tlb.invpcid_address(1, near)
    assert [bool(tlb.psc_lookup(va, p)) for p in (0, 1) for va in (near, far)] == [True, True, False, True]
    tlb.invlpg(near, 0)
    assert [bool(tlb.psc_lookup(va, p)) for p in (0, 1) for va in (near, far)] == [False, False, False, True]
