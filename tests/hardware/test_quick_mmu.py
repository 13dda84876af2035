"""The short translation against the plain one: the same faults, the same counts, the same state left behind."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.hardware.caches import LINE_SHIFT, PAGE_SHIFT, PAGES, Caches, CacheShape, HostTables
from sim.hardware.cpu import Cpu
from sim.hardware.mmu import WALK, translate
from sim.hardware.paging import FRAME, NX, PS, G, Geometry, P, PhysMem, U, W
from sim.hardware.quick_mmu import translator
from sim.hardware.steps import Access, Invpcid
from sim.hardware.tlb import Tlb, TlbShape

GEOMETRY = Geometry(levels=3, bits=2, user_slots=2, pte_slot=2)
SHAPE = TlbShape(l1d_4k=(4, 2), l1d_2m=(2, 2), l1i_4k=(4, 2), l1i_2m=(2, 2), stlb=(8, 4), psc=(1, 2, 2))


class Machine:
    """One CPU and two sets of tables; what is done to it is done by numbers, so that two of them stay alike."""

    def __init__(self, quick, pge=True, nested=False):
        self.mem = PhysMem(GEOMETRY)
        self.roots = [self.mem.alloc_table(f"root {i}") for i in range(2)]
        self.cpu = Cpu(0, Tlb(GEOMETRY, SHAPE), GEOMETRY)
        self.cpu.pge, self.cpu.pcide = pge, True
        self.cpu.caches = Caches(CacheShape(2, 4, 6), HostTables(SHAPE) if nested else None)
        self.cpu.cr3_pa = self.roots[0]
        for root in (0, 1):
            for page, rights in enumerate((W | U, W | U | G, W | U | NX, U, W, W | U)):
                self.enter(root, page << 12, rights, False)
        self.quick = translator(self.cpu, self.mem) if quick else None
        self.known = self.cpu.tlb.known

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
        """Translate; what came of it, what is left in the caches, and which lines are used."""
        cpu = self.cpu
        uses = self.known.pages.get(cpu.pcid << 1 | user, {}).get((va, kind))
        if uses is not None:
            self.known.noted.pop(uses, None)
            self.known.noted[uses] = None
            return None, (0, cpu.caches.take()), uses.keys[0], 0
        fault = self.quick((va, kind), user) if self.quick else translate(cpu, self.mem, va, kind, user)
        lines = PAGES | cpu.pa >> PAGE_SHIFT if user else cpu.pa >> LINE_SHIFT
        walked = (cpu.walk_loads, cpu.walked_freed) if cpu.where == WALK else 0
        return fault, (cpu.where, cpu.caches.take()), lines if fault is None else 0, walked

    def entries(self):
        """What is cached, each set in its order of use."""
        if self.known.noted:
            self.known.order()
        return list(self.cpu.tlb.entries()), list(self.cpu.tlb.directories())

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
    plain, quick = Machine(False, pge, nested), Machine(True, pge, nested)
    for step in steps:
        assert carry_out(plain, step) == carry_out(quick, step), step
        assert plain.tables() == quick.tables(), step
    assert plain.entries() == quick.entries()


def test_usual_translations_do_not_fall_back(monkeypatch):
    """Otherwise the comparison above would compare the plain translation with itself."""
    machine = Machine(True)
    monkeypatch.setattr("sim.hardware.quick_mmu.translate", None)
    assert machine.use(0x5123, Access.WRITE, True) == (None, (2, None), PAGES | 0x114, (3, 0))
    assert machine.use(0x5123, Access.WRITE, True) == (None, (0, None), PAGES | 0x114, 0)
    assert machine.known.learnt == 1
    assert machine.use(0x5124, Access.WRITE, True) == (None, (0, None), PAGES | 0x114, 0)
    assert machine.known.learnt == 2
    for page in (1, 3):
        machine.use(page << 12, Access.READ, True)  # the set has two ways
    assert (0x5123, Access.WRITE) not in machine.known.pages[1]
    assert machine.use(0x5123, Access.WRITE, True)[1] == (1, None)


def test_what_is_dropped_or_flushed_is_known_no_more_and_the_rest_still_is():
    machine = Machine(True)
    tlb, known = machine.cpu.tlb, machine.known
    pairs = [(page << 12, Access.READ) for page in (0, 3)]
    for _ in range(2):
        for va, kind in pairs:
            machine.use(va, kind, False)
    known.add_sequence(pairs, 0, [known.pages[0][pair] for pair in pairs])
    other = pairs[:1]
    known.add_sequence(other, 0, [known.pages[0][pair] for pair in other])
    machine.cpu.invlpg(3 << 12)
    assert list(known.pages[0]) == pairs[:1]
    assert [name for name, _, _ in known.sequences.values()] == [other]
    machine.cpu.write_cr3(machine.roots[1], 1, False)
    machine.use(0, Access.READ, False)
    machine.use(0, Access.READ, False)
    tlb.flush_pcid(0)
    assert list(known.pages) == [2]
    assert not known.sequences
    assert not known.pages[2][pairs[0]].sequences
