"""Fingerprints tell states apart as the plainest walk over all objects does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import MemberDescriptorType
from typing import Any

import pytest
from walked import Walked

from scenarios.litmus_reader import find
from sim.explore.driver import interrupts
from sim.explore.explorer import Budget
from sim.explore.fields import UNSET, all_of, reader
from sim.explore.fingerprint import Fingerprint
from sim.explore.frames import frame_of
from sim.explore.left_out import FIELDS_LEFT_OUT
from sim.explore.model import Violation
from sim.explore.run import KernelRun
from sim.explore.stateful import StateSearch
from sim.explore.touched import Touched
from sim.hardware.paging import PhysMem
from sim.kernel.lwp import Lwp

PROGRAMS = (
    ("two-loads", "svs-netbsd9", False),
    ("wake-across", "svs-netbsd10", True),
    ("exit-next-process", "pti", False),
    ("more-than-a-packet", "svs-2018-02", True),
    ("kernel-page-reused", "svs-netbsd8", False),
    ("fork-write", "svs-netbsd10", False),
    ("shared-in-range", "svs-netbsd9", True),
    ("disable", "svs-netbsd8", False),
)


class Both:
    """Fingerprints that are compared with the plain walk: each of the one goes with one of the other."""

    def __init__(self) -> None:
        self.mark = Fingerprint()
        self.text_of: dict[bytes, str] = {}
        self.mark_of: dict[str, bytes] = {}

    def of(self, run: KernelRun) -> bytes:
        """The fingerprint."""
        mark, text = self.mark.of(run), Walked(run).text
        assert self.text_of.setdefault(mark, text) == text
        assert self.mark_of.setdefault(text, mark) == mark
        return mark


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_a_search_tells_states_apart_as_the_plain_walk_does(program: tuple[str, str, bool]) -> None:
    litmus, both = find(program[0]), Both()
    search = StateSearch(lambda: KernelRun(litmus, program[1], tso=program[2]), both.of,
                         insistent=interrupts(litmus.cpus))  # fmt: skip
    outcome = search.explore(Budget(states=120))
    assert outcome.states == len(both.text_of) == len(both.mark_of) > 20


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_random_executions_tell_states_apart_as_the_plain_walk_does(program: tuple[str, str, bool]) -> None:
    litmus, both = find(program[0]), Both()
    met = 0
    for seed in (0, 1, 0):  # the same states once more, made of other objects
        run, choices, steps = KernelRun(litmus, program[1], tso=program[2]), random.Random(seed), 0
        try:
            while (able := run.enabled()) and steps < 40:
                run.step(choices.choice(able))
                both.of(run)
                steps += 1
        except Violation:
            pass
        met += steps
    assert 20 < len(both.text_of) <= met - 20


def some_run() -> KernelRun:
    """A run in which both CPUs are inside procedures."""
    run = KernelRun(find("munmap-against-mremap"), "svs-netbsd9", tso=True)
    choices = random.Random(2)
    for _ in range(40):
        run.step(choices.choice(run.enabled()))
    return run


def numbers(value: Any) -> Iterator[tuple[Any, MemberDescriptorType]]:
    """The slots of an object that hold numbers and are not left out."""
    left_out = set().union(*(FIELDS_LEFT_OUT.get(base, ()) for base in type(value).__mro__))
    for base in type(value).__mro__:
        for name, member in vars(base).items():
            if type(member) is MemberDescriptorType and name not in left_out and hasattr(value, name):
                yield from [(value, member)] if type(member.__get__(value)) in (int, bool) else []


def test_any_field_of_any_object_makes_a_difference() -> None:
    """Whatever number is changed, wherever it is kept: the fingerprint is another, and the same when it is back."""
    run, mark = some_run(), Fingerprint()
    before = mark.of(run)
    changed = 0
    for value in Walked(run).kept:
        if type(value).__module__.startswith("sim.") and getattr(type(value), "__dataclass_params__", None) is None:
            for holder, member in numbers(value):
                was = member.__get__(holder)
                member.__set__(holder, was + 1000)
                assert mark.of(run) != before, member
                member.__set__(holder, was)
                changed += 1
        elif type(value) is list and value and type(value[0]) is int:
            value[0] += 1000
            assert mark.of(run) != before
            value[0] -= 1000
            changed += 1
    assert mark.of(run) == before
    assert changed > 100


def test_what_each_part_holds_makes_a_difference() -> None:
    """Also of a judge that listens to the kernel, as what is left out does."""
    run, mark = some_run(), Fingerprint()
    before = mark.of(run)
    for part in Walked(run).roots:
        vars(part)["more"] = 1
        assert mark.of(run) != before, part
        del vars(part)["more"]
    for held in (run.judge.lifetimes.answered, run.judge.lifetimes.ended):
        held.add(999)
        assert mark.of(run) != before
        held.remove(999)
    assert mark.of(run) == before


def test_which_objects_are_one_and_the_same_makes_a_difference() -> None:
    run = some_run()
    one, other = run.machine.kernel.cpus
    one.ci_data = other.ci_data = {}
    shared = Fingerprint().of(run)
    other.ci_data = {}
    assert Fingerprint().of(run) != shared


def test_a_field_that_comes_later_makes_a_difference_unless_it_is_left_out() -> None:
    run, mark = some_run(), Fingerprint()
    before, kernel = mark.of(run), vars(run.machine.kernel)
    kernel["_with_stack"] = ()
    assert mark.of(run) == before
    kernel["more"] = 1.5
    there = mark.of(run)
    kernel["more"] = 3 / 2  # another object
    assert mark.of(run) == there != before
    kernel["more"] = 2.5
    assert mark.of(run) not in (before, there)
    del kernel["more"]
    assert mark.of(run) == before


def test_fields_are_read_past_those_who_note_it() -> None:
    run = some_run()
    lwp = run.machine.current[0]
    read = reader(lwp, FIELDS_LEFT_OUT[Lwp])
    Touched.now = Touched()
    plain, others = list(read.plain(lwp)), list(read.others(lwp))
    assert Touched.now.take() == []
    assert lwp.l_kpriority in plain
    assert Touched.now.take() != []
    assert any(value is lwp.l_proc for value in others)
    names, values = all_of(lwp, FIELDS_LEFT_OUT[Lwp])
    assert len(names) == len(values) == len(plain) + len(others)


def test_slots_without_a_value_and_entries_that_come_later() -> None:
    class Holder:
        __slots__ = ("__dict__", "a", "b")

    full, bare, more = Holder(), Holder(), Holder()
    full.a, full.b, bare.a = 1, 2, 1
    more.a, more.b = 1, 2
    more.c = 3  # type: ignore[attr-defined]
    read = reader(full, ())
    assert list(read.plain(full)) == [1, 2]
    assert list(read.plain(bare)) == [1, UNSET]
    assert read.names == ["a", "b"]
    assert read.keys == set() != vars(more).keys()
    assert all_of(more, ()) == (["a", "b", "c"], [1, 2, 3])


def test_a_frame_is_still_as_long_as_what_it_has_handed_over_to_goes_on() -> None:
    def inner() -> Iterator[int]:
        yield 1
        yield 2

    def outer() -> Iterator[int]:
        mine = [0]
        yield from inner()
        mine.append(1)
        yield from inner()
        del mine

    made = outer()
    next(made)
    first = frame_of(made)  # type: ignore[arg-type]
    assert first.is_still()
    next(made)
    assert first.is_still()
    next(made)
    assert not first.is_still()
    second = frame_of(made)  # type: ignore[arg-type]
    assert second.said != first.said
    assert second.objects[0] == [0, 1]
    assert second.inner is not first.inner
    assert not frame_of(iter(second.inner)).is_still()  # type: ignore[arg-type]


def test_a_frame_that_handles_an_exception() -> None:
    """It holds that as well as what it has handed over to."""

    def inner() -> Iterator[int]:
        yield 1

    def outer(problem: Exception) -> Iterator[int]:
        try:
            raise problem
        except ValueError:
            yield from inner()

    made = outer(problem := ValueError())
    next(made)
    found = frame_of(made)  # type: ignore[arg-type]
    assert found.is_still()
    assert problem in found.objects
    assert found.inner not in found.objects


def test_memory_keeps_tables_that_are_free() -> None:
    """What hardware may still walk through is part of the state, too."""
    run = some_run()
    mem: PhysMem = run.machine.mem
    before = Fingerprint().of(run)
    pa = next(iter(mem.tables))
    mem.tables[pa].v[-1] ^= 1 << 60
    assert Fingerprint().of(run) != before
    mem.tables[pa].v[-1] ^= 1 << 60
    mem.free(pa)
    freed = Fingerprint().of(run)
    mem.stale[pa].v[-1] ^= 1 << 60
    assert Fingerprint().of(run) not in (before, freed)
