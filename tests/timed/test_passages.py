"""Passages: what they depend on is noted by whatever is read, and each of it is looked at before they are played."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest

from scenarios.open import open_scenario
from sim.hardware.memory import Kept
from sim.kernel import process
from sim.kernel.designs import make_design
from sim.kernel.hooks import Hooks
from sim.kernel.program import LwpSpec, Syscall, User, Workload
from sim.timed.amounts import Amounts
from sim.timed.costs import load_costs
from sim.timed.ledger import FAR
from sim.timed.machine import TimedMachine
from sim.timed.passages.played import DIFFERS, LATE
from sim.timed.passages.views import MISSING
from sim.timed.passages.walking import Walk, can_be_walked
from sim.timed.passages.watch import Watch


class Part:
    """Something that the kernel might have."""

    __slots__ = ("items", "level", "other", "table")

    def __init__(self, level, other=None):
        self.level = level
        self.other = other
        self.table = {1: 2}
        self.items = [5, 6]

    @property
    def double(self):
        return 2 * self.level

    def deep(self):
        return self.other.level


@dataclass(frozen=True, slots=True)
class Fixed:
    parts: list[Part]


for kind in (Part, Fixed):
    kind.__module__ = "sim.kernel.toy"


def watched(look, *roots):
    """The watch of what *look* does with the roots."""

    def procedure():
        look(*roots)
        yield ()

    watch = Watch(Hooks())
    try:
        for root in roots:
            assert watch.reach(root)
        watch.resume(procedure(), None)
    finally:
        watch.close()
    return watch


def found(watch):
    return [(read.kind, read.key, read.value) for read in watch.reads]


@pytest.mark.parametrize(
    ("look", "reads"),
    [
        (lambda part: part.level, [("attribute", "level", 3)]),
        (lambda part: part.double, [("attribute", "level", 3)]),
        (lambda part: part.table.get(1), [("item", 1, 2)]),
        (lambda part: part.table.get(9), [("item", 9, MISSING)]),
        (lambda part: 1 in part.table, [("item", 1, 2)]),
        (lambda part: part.items[-1], [("length", None, 2), ("item", 1, 6)]),
        (lambda part: sum(part.items), [("length", None, 2), ("item", 0, 5), ("item", 1, 6)]),
        (lambda part: getattr(part, "level"), [("attribute", "level", 3)]),  # noqa: B009
    ],
)
def test_what_is_read_is_noted(look, reads):
    watch = watched(look, Part(3))
    assert not watch.failed
    assert [read for read in found(watch) if not isinstance(read[2], dict | list)] == reads


def test_objects_that_are_reached_note_too_and_are_plain_afterwards():
    inner = Part(7)
    outer = Part(3, inner)
    watch = watched(lambda part: part.deep(), outer)
    assert found(watch) == [("attribute", "other", inner), ("attribute", "level", 7)]
    assert type(inner) is type(outer) is Part


def test_what_two_watch_is_plain_when_both_are_over():
    hooks, part = Hooks(), Part(3)
    first, second = Watch(hooks), Watch(hooks)
    assert first.reach(part)
    assert second.reach(part)
    first.close()
    first.close()
    assert type(part) is not Part
    second.resume((part.level for _ in range(1)), None)
    second.close()
    assert type(part) is Part
    assert (found(first), found(second)) == ([], [("attribute", "level", 3)])


def test_a_watch_that_another_machine_left_behind_is_closed():
    left, part = Watch(Hooks()), Part(3)
    left.reach(part)
    Watch(Hooks()).close()
    assert left.closed
    assert left.failed == "another machine runs"
    assert type(part) is Part


def test_what_is_written_first_is_not_depended_on():
    def look(part):
        part.level = 9
        part.table[4] = part.level

    watch = watched(look, Part(3))
    assert [(key, value) for _, _, key, value in watch.writes.values()] == [("level", 9), (4, 9)]
    assert ("attribute", "level", 3) not in found(watch)


@pytest.mark.parametrize(
    "look",
    [
        lambda part: setattr(part, "items", [1]),  # made anew: each time would have to make one of its own
        lambda part: part.items.append(1),
        lambda part: part.table.update({}),
        lambda part: sorted(part.table),
        lambda part: part.items[:1],
        lambda part: part.table.get(frozenset({part})),
        lambda part: delattr(part, "level"),
    ],
)
def test_what_cannot_be_noted_fails(look):
    assert watched(look, Part(3)).failed


def between(change, *, again):
    """The watch of a procedure that reads a level, makes a step, after which others *change* it, and goes on."""
    part, other = Part(3), Part(4)

    def procedure():
        yield part.level
        yield part.level if again else other.level

    watch = Watch(Hooks())
    watch.reach(part)
    watch.reach(other)
    going = procedure()
    watch.resume(going, None)
    watch.begin_section()
    change(part, other)
    watch.resume(going, None)
    watch.close()
    return watch


def test_what_others_change_disturbs_only_who_looks_again():
    assert between(lambda part, other: setattr(part, "level", 5), again=True).failed == "disturbed"
    assert not between(lambda part, other: setattr(part, "level", 5), again=False).failed
    assert not between(lambda part, other: setattr(part, "level", 3), again=True).failed  # as it was
    watch = between(lambda part, other: setattr(other, "level", 9), again=False)
    assert found(watch) == [("attribute", "level", 3), ("attribute", "level", 9)]
    assert [[read.value for read in section.reads] for section in watch.sections] == [[3], [9]]


@pytest.mark.parametrize("value", [{1, 2}, iter([1]), (lambda n: lambda: n)(1), bytearray(), object()])
def test_values_of_other_kinds_fail(value):
    assert watched(lambda part: part.other, Part(3, value)).failed


def test_a_frozen_object_is_looked_through():
    assert found(watched(lambda fixed: fixed.parts[0].level, Fixed([Part(4)])))[-1] == ("attribute", "level", 4)


# --- played ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[("svs-netbsd9", True), ("svs-netbsd8", False), ("pti", True), ("none", False)])
def passages(request):
    """A machine that has made some calls, and the passages that it has recorded."""
    profile, pcid = request.param
    scenario = open_scenario("null-syscall", overrides={"group.0.iterations": 300})
    machine = TimedMachine(scenario.source(), make_design(profile, pcid), scenario.costs, 1, Amounts(), fast=True)
    assert not machine.run_until(70_000)
    (player,) = machine.recorder.players.values()
    (calls,) = player._calls.values()
    return machine, [played for known in calls.values() for played in known.passages]


def other_than(value):
    """Another value of the kind."""
    return value + 1 if type(value) is int else None if value is not None else 0


def test_a_passage_is_not_played_if_anything_it_has_read_is_otherwise(passages):
    machine, found = passages
    now = machine.env.cycle
    ready = [played for played in found if played.play(now, now) == LATE]
    assert len(ready) >= 2
    changed = 0
    for played in ready:
        for read in played.passage.reads:
            if read.kind == "attribute":
                object.__setattr__(read.holder, read.key, other_than(read.value))
                assert played.play(now, FAR) == DIFFERS
                object.__setattr__(read.holder, read.key, read.value)
            elif read.kind == "item" and read.value is not MISSING and not isinstance(read.holder, Kept):
                read.holder[read.key] = other_than(read.value)
                assert played.play(now, FAR) == DIFFERS
                read.holder[read.key] = read.value
            else:
                continue
            changed += 1
        assert machine.env.cycle == now
    assert changed > 20


# --- walked ---------------------------------------------------------------------------------------------------------


def drive(machine, steps, times=-1):
    """Make steps of a generator as its CPU's driver would, so many or all of them."""
    (cpu,) = machine.cpus
    while times:
        times -= 1
        value, cpu.core.value = cpu.core.value, None
        try:
            step = steps.send(value)
        except StopIteration:
            return
        machine.env._now += cpu.quick.handlers[step[0]](step)


@pytest.fixture(params=[("svs-netbsd9", True), ("pti", True), ("none", False)])
def computing(request):
    """A machine that has made some calls, and then computes: it could make any of its operations now."""
    operations = [User(50), Syscall("call", 100)] * 100 + [User(10**9)]
    workload = Workload("calls", 1, [LwpSpec("a", iter(operations), "a")])
    machine = TimedMachine(workload, make_design(*request.param), load_costs(), 1, Amounts(), fast=True)
    assert not machine.run_until(1_000_000)
    machine.env.waiting().clear()
    machine.env._now = machine.accounts[0].until
    return machine


def walks(machine):
    """Operations that could be made now, each with what begins its procedure, and what its walk needs."""
    (player,) = machine.recorder.players.values()
    for lwp, calls in player._calls.items():
        for (procedure, others), known in calls.items():
            for played in known.passages:
                if procedure in (process._user, process._bare_syscall) and played.play(0, 0) == LATE:
                    ground = player._ground(played)._replace(pending=(1,))  # so that the driver gets each step
                    yield played, partial(procedure, machine.kernel, lwp, *others), ground


def test_a_walk_is_left_where_anything_is_otherwise_and_the_procedure_goes_on_from_there(computing):
    machine, tried = computing, 0
    for played, begin, ground in walks(machine):
        passage = played.passage
        assert can_be_walked(passage)
        for number, section in enumerate([*(entry.section for entry in passage.entries), passage.end]):
            for read in [read for read in section.reads if read.kind == "attribute" and read.key != "v"]:
                left = []

                def resume(made, begin, sent, left=left, read=read, real=ground.resume):
                    left.append(made)
                    rest = real(made, begin, sent)
                    assert getattr(read.holder, read.key) == other_than(read.value)  # still as others have left it
                    object.__setattr__(read.holder, read.key, read.value)
                    return rest

                machine.cpus[0].core.value = None
                start, walk = machine.env.cycle, Walk(passage, ground._replace(resume=resume)).function()(begin)
                drive(machine, walk, number)
                object.__setattr__(read.holder, read.key, other_than(read.value))
                drive(machine, walk)
                assert left == [number]
                assert machine.env.cycle == machine.accounts[0].until == start + played.cycles
                assert played.play(machine.env.cycle, 0) == LATE  # all is as before
                tried += 1
    assert tried > 10
