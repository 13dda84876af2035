"""Executions under ``sc`` are executions under ``tso`` in which every store drains at once."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

import pytest

from scenarios.litmus_reader import find, shipped
from sim.explore.check import builder
from sim.explore.driver import interrupts
from sim.explore.explorer import Budget
from sim.explore.invariants import INVARIANTS
from sim.explore.model import Broken, Footprint, Violation, dependent
from sim.explore.patches.kernel import Kernel, patched
from sim.explore.plants import find as find_plant
from sim.explore.request import Request
from sim.explore.run import KernelRun
from sim.explore.stateful import StateSearch
from sim.kernel.designs import isolating

ALL = tuple(invariant.name for invariant in INVARIANTS)
STAYS = 0.7  # the chance that whoever acted last goes on
SELDOM = 10  # transitions after which states are compared: what differs goes on to differ


class Pair:
    """Two executions of a program that make the same transitions: under ``sc``, and under ``tso`` with drains at once.

    Attributes:
        noted: what breaks in each; ``drained``: how many stores drain.
    """

    def __init__(self, kernel: Kernel, name: str, profile: str) -> None:
        self.noted: tuple[list[str], list[str]] = [], []
        self.sc, self.tso = (
            builder(Request(find(name), profile, memory), kernel.run)(
                muted=ALL, noted=lambda broken, to=to: to.append(broken.invariant)
            )
            for memory, to in zip(("sc", "tso"), self.noted, strict=True)
        )
        self._mark = kernel.fingerprint().of
        self.drained = 0

    def same(self) -> bool:
        """Whether both have come to the same state."""
        self.tso.machine.tso = False  # which is no difference
        marks = self._mark(self.sc), self._mark(self.tso)
        self.tso.machine.tso = True
        return marks[0] == marks[1]

    def step(self, actor: int) -> None:
        """Make a transition in both."""
        self.sc.step(actor)
        made = self.tso.step(actor)
        for cpu, buffer in enumerate(self.tso.machine.buffers):
            while buffer:
                stored = buffer[0][:2]
                drain = self.tso.step(self.tso.n + cpu)
                self.drained += 1
                assert not dependent(_behind(made, stored), _behind(drain, None)), (made, drain)

    def go(self, random: Random) -> None:
        """Go on to the end, in some order."""
        last, steps = -1, 0
        while enabled := self.sc.enabled():
            assert enabled == self.tso.enabled()
            assert self.noted[0] == self.noted[1]
            assert steps % SELDOM or self.same()
            last = last if last in enabled and random.random() < STAYS else random.choice(enabled)
            self.step(last)
            steps += 1
        assert not self.tso.enabled()
        assert self.same()
        self.sc.finish()
        self.tso.finish()
        assert self.noted[0] == self.noted[1]


def _behind(footprint: Footprint, own: tuple[Any, ...] | None) -> Footprint:
    """What is touched besides the store and its buffer; the CPU may look at the word that it has stored: *own*."""
    word = (own[0].name, own[1]) if own is not None and own[0] is not None else None
    return tuple(
        (where, how) for where, how in footprint
        if not (isinstance(where, tuple) and where[0] in ("c", "p", "e")) and not (where == word and how <= 0)
    )  # fmt: skip


@pytest.mark.parametrize("at", range(5))
def test_stores_that_drain_at_once_are_no_store_buffer(at: int) -> None:
    """In some execution of every shipped program; what is done behind a store does not depend on its drain."""
    drained = 0
    with patched(()) as kernel:
        for number, name in enumerate(shipped()[at::5]):
            pair = Pair(kernel, name, isolating()[number % len(isolating())])
            pair.go(Random(name))
            drained += pair.drained
    assert drained > 100


def breaches(name: str, profile: str, memory: str, plant: str = "") -> tuple[set[str], set[str]]:
    """All ends of a program, and the invariants that break anywhere in it."""
    found: set[str] = set()
    ends: set[str] = set()

    def noted(broken: Broken) -> None:
        found.add(broken.invariant)

    def ended(run: KernelRun) -> None:
        if not run.machine.dead:  # what is muted keeps those from an end
            ends.add("; ".join(sorted(run.state.outcomes)))

    with patched((find_plant(plant).patch,) if plant else ()) as kernel:
        request = Request(find(name), profile, memory)
        build = partial(builder(request, kernel.run), muted=ALL, noted=noted)
        search = StateSearch(build, kernel.fingerprint().of, ended=ended, muted=ALL, noted=noted,
                             insistent=interrupts(request.litmus.cpus))  # fmt: skip
        try:
            assert search.explore(Budget(states=3_000)).exhausted
        except Violation as broke:  # as the kernel boots
            found.add(broke.broken.invariant)
    return ends, found


@pytest.mark.parametrize("name", [
    "bad-segment-tick", "device-in-exec", "exec-of-shared", "foreign-then-user", "fork-two-tables", "install-in-use",
    "kernel-page-freed", "nmi-in-entry", "nmi-in-user", "quantum", "wake-across",
])  # fmt: skip
def test_ends_and_breaches_are_among_those_with_store_buffers(name: str) -> None:
    for profile in isolating()[len(name) % 5 :: 3]:
        sc, tso = (breaches(name, profile, memory) for memory in ("sc", "tso"))
        assert sc[0]
        assert sc[0] <= tso[0]
        assert sc[1] <= tso[1]


@pytest.mark.parametrize("plant", [
    "foreign-pmap-stays-valid", "sync-skips-self", "replace-not-shot", "idle-monitors-nothing",
    "nmi-leaves-kernel-tables", "switch-with-interrupts-off", "fork-looks-past-the-end",
])  # fmt: skip
def test_what_a_bug_breaks_without_store_buffers_it_breaks_with_them(plant: str) -> None:
    where = find_plant(plant)
    assert where.memory == "sc"
    sc, tso = (breaches(where.litmus, where.profile, memory, plant) for memory in ("sc", "tso"))
    assert where.breaks in sc[1]
    assert sc[0] <= tso[0]
    assert sc[1] <= tso[1]
