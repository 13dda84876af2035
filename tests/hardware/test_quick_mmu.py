"""The short translation against the plain one: the same faults, the same counts, the same state left behind."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.hardware.caches import Caches, CacheShape, HostTables
from sim.hardware.cpu import Cpu
from sim.hardware.mmu import translate
from sim.hardware.paging import FRAME, NX, PS, G, Geometry, P, PhysMem, U, W
from sim.hardware.quick_mmu import translate_quickly
from sim.hardware.steps import Access, Invpcid
from sim.hardware.tlb import Tlb, TlbShape

GEOMETRY = Geometry(levels=3, bits=2, user_slots=2, pte_slot=2)
SHAPE = TlbShape(l1d_4k=(4, 2), l1d_2m=(2, 2), l1i_4k=(4, 2), l1i_2m=(2, 2), stlb=(8, 4), psc=(1, 2, 2))


class Machine:
    """One CPU and two sets of tables; what is done to it is done by numbers, so that two of them stay alike."""

    def __init__(self, how, pge=True, nested=False):
        self.translate = how
        self.mem = PhysMem(GEOMETRY)
        self.roots = [self.mem.alloc_table(f"root {i}") for i in range(2)]
        self.cpu = Cpu(0, Tlb(GEOMETRY, SHAPE), GEOMETRY)
        self.cpu.pge, self.cpu.pcide = pge, True
        self.cpu.caches = Caches(CacheShape(2, 4, 6), HostTables(SHAPE) if nested else None)
        self.cpu.cr3_pa = self.roots[0]
        for root in (0, 1):
            for page, rights in enumerate((W | U, W | U | G, W | U | NX, U, W, W | U)):
                self.enter(root, page << 12, rights, False)

    def change(self, root, va, level, value):
        """Give the entry for *va* at *level* another value, a function of the old one; tables are made on the way."""
        table = self.mem.tables[self.roots[root]]
        for above in range(GEOMETRY.levels, level, -1):
            index = GEOMETRY.index(va, above)
            if not table.v[index] & P:
                table.v[index] = self.mem.alloc_table("table") | P | W | U
            below = self.mem.tables.get(table.v[index] & FRAME)
            if below is None or table.v[index] & PS:
                return
            table = below
        index = GEOMETRY.index(va, level)
        table.v[index] = value(table.v[index])

    def enter(self, root, va, rights, large):
        """Map a page over whatever is there, tables included."""
        frame = 1 << 20 | va << 2 & FRAME
        self.change(root, va, 2 if large else 1, lambda old: frame | P | rights | (PS if large else 0))

    def forbid(self, root, va, level, rights):
        """Take rights from an entry."""
        self.change(root, va, level, lambda old: old & ~rights | (NX if rights == U else 0))

    def free(self, root, va):
        """Give a table page back although an entry leads to it."""

        def give_back(entry):
            if entry & FRAME in self.mem.tables and entry & FRAME not in self.roots:
                self.mem.free(entry & FRAME)
            return entry

        self.change(root, va, 2, give_back)

    def remove(self, root, va):
        """Take a whole table, or a large page, out."""
        self.change(root, va, 2, lambda old: 0)

    def use(self, va, kind, user):
        """Translate; what came of it, and what is left in the caches."""
        fault = self.translate(self.cpu, self.mem, va, kind, user)
        seen = (self.cpu.where, self.cpu.walked_freed, self.cpu.caches.take())
        return fault, seen, self.cpu.pa if fault is None else 0, self.cpu.walk_loads if self.cpu.where == 2 else 0

    def tables(self):
        """All entries, accessed and dirty bits included."""
        return {pa: list(words.v) for pa, words in self.mem.tables.items()}


vas = st.sampled_from([0, 1, 2, 2, 3, 4, 5, 6, 17]).map(lambda page: page << 12 | 0x123)
roots = st.integers(0, 1)
rights = st.sampled_from([W | U, W | U | G, W | U | NX, W, W | G, U, U | NX])
use = st.tuples(st.just("use"), vas, st.sampled_from(list(Access)), st.booleans())
actions = st.lists(
    st.one_of(
        use,
        use,
        use,
        use,
        st.tuples(st.just("enter"), roots, vas, rights, st.booleans()),
        st.tuples(st.just("forbid"), roots, vas, st.sampled_from([1, 2, 3]), st.sampled_from([P, W, U])),
        st.tuples(st.sampled_from(["free", "remove"]), roots, vas),
        st.tuples(st.just("write_cr3"), roots, st.integers(0, 1), st.booleans()),
        st.tuples(st.just("write_pge"), st.booleans()),
        st.tuples(st.just("invlpg"), vas),
        st.tuples(st.just("invpcid"), st.sampled_from(list(Invpcid)), st.integers(0, 1), vas),
    ),
    min_size=20,
    max_size=80,
)


def carry_out(machine, action):
    """One action; what can be seen of it."""
    what, *args = action
    if what == "use":
        return machine.use(*args)
    if what == "write_cr3":
        machine.cpu.write_cr3(machine.roots[args[0]], *args[1:])
    else:
        getattr(machine.cpu if hasattr(machine.cpu, what) else machine, what)(*args)
    return None


@settings(max_examples=200, deadline=None)
@given(actions, st.booleans(), st.booleans())
def test_the_short_way_equals_the_plain_one(steps, pge, nested):
    plain, quick = Machine(translate, pge, nested), Machine(translate_quickly, pge, nested)
    for step in steps:
        assert carry_out(plain, step) == carry_out(quick, step), step
        assert plain.tables() == quick.tables(), step


def test_a_usual_walk_does_not_fall_back(monkeypatch):
    """Otherwise the comparison above would compare the plain translation with itself."""
    machine = Machine(translate_quickly)
    monkeypatch.setattr("sim.hardware.quick_mmu.translate", None)
    assert machine.use(0x5123, Access.WRITE, True)[:2] == (None, (2, 0, None))
    assert machine.use(0x5123, Access.WRITE, True)[:2] == (None, (0, 0, None))
    assert machine.cpu.pa == (1 << 20 | 0x5000 << 2) + 0x123
