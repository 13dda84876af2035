"""Executions that are over do not pile up while an exploration goes on."""

from __future__ import annotations

import gc
import weakref

import pytest

from scenarios.litmus_reader import find
from sim.explore.explorer import Budget
from sim.explore.garbage import OBJECTS, seldom_collected
from sim.explore.patches.kernel import patched
from sim.explore.request import Request
from sim.explore.run import KernelRun
from sim.explore.search import search
from sim.kernel.kernel import Kernel


@pytest.mark.parametrize(("before", "within"), [(700, OBJECTS), (2 * OBJECTS, 2 * OBJECTS), (0, 0)])
def test_thresholds_are_as_they_were_afterwards(before: int, within: int) -> None:
    """Whoever has more, or has none, keeps it."""
    found = gc.get_threshold()
    try:
        gc.set_threshold(before, 10, 10)
        with seldom_collected():
            assert gc.get_threshold() == (within, 10, 10)
        assert gc.get_threshold() == (before, 10, 10)
    finally:
        gc.set_threshold(*found)


def test_few_executions_are_alive_at_once() -> None:
    """None can go by itself: kernel, CPUs and LWPs know each other."""
    made: list[weakref.ref[Kernel]] = []
    alive: list[int] = []

    def build() -> KernelRun:
        run = KernelRun(find("copyin-remove"), "pti", tso=False)
        made.append(weakref.ref(run.machine.kernel))
        alive.append(sum(ref() is not None for ref in made))
        return run

    request = Request(find("copyin-remove"), "pti", "sc", budget=Budget(executions=100), strategy="pct")
    with patched(()) as kernel:
        search(request, kernel, build)
    assert len(made) == 100
    assert 2 < max(alive) < 40, max(alive)
