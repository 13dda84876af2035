"""Passages: what they depend on is noted by whatever is read, and each of it is looked at before they are played."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from scenarios.open import open_scenario
from sim.kernel.designs import make_design
from sim.kernel.hooks import Hooks
from sim.timed.amounts import Amounts
from sim.timed.ledger import FAR
from sim.timed.machine import TimedMachine
from sim.timed.passages.played import DIFFERS, LATE
from sim.timed.passages.views import MISSING
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
            elif read.kind == "item" and read.value is not MISSING:
                read.holder[read.key] = other_than(read.value)
                assert played.play(now, FAR) == DIFFERS
                read.holder[read.key] = read.value
            else:
                continue
            changed += 1
        assert machine.env.cycle == now
    assert changed > 20
