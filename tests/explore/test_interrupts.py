"""Where interrupts land: reduction must not lose a place that sampling finds."""

from __future__ import annotations

import pytest

from scenarios.litmus_reader import find
from sim.explore.explorer import Strategy, explore
from sim.explore.run import KernelRun
from sim.explore.strategies.dpor import Dpor
from sim.explore.strategies.random import Random


def places(name: str, profile: str, slot: int, strategy: Strategy) -> set[tuple[int, ...]]:
    """After how many transitions of CPU 0 the interrupts of that slot land on it, in every execution."""
    found: set[tuple[int, ...]] = set()

    def ended(run: KernelRun) -> None:
        actors = [actor for actor, _ in run.trace.transitions]
        landed = 2 * run.n + slot
        found.add(tuple(actors[:i].count(0) for i, actor in enumerate(actors) if actor == landed))

    explore(lambda: KernelRun(find(name), profile, tso=False, traced=True), strategy, ended=ended)
    return found


def test_an_nmi_lands_between_any_two_steps_of_a_system_call() -> None:
    reduced = places("nmi-in-entry", "svs-netbsd10", 3, Dpor())
    assert reduced == {(i,) for i in range(len(reduced))}
    assert len(reduced) > 20


@pytest.mark.parametrize(
    ("name", "slot"), [("nmi-in-entry", 3), ("nmi-in-kernel-lwp", 3), ("rsp0-tick", 2), ("wake-both-ways", 1)]
)
def test_what_sampling_finds_reduction_finds(name: str, slot: int) -> None:
    assert places(name, "svs-netbsd9", slot, Random(1, 150)) <= places(name, "svs-netbsd9", slot, Dpor())
