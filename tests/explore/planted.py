"""Counterexamples of planted bugs."""

from __future__ import annotations

from scenarios.litmus_reader import find
from sim.explore.check import check
from sim.explore.counterexample import Counterexample
from sim.explore.plants import find as plant
from sim.explore.request import Request


def planted(name: str) -> Counterexample:
    """The counterexample of a planted bug where it is found."""
    bug = plant(name)
    example = check(Request(find(bug.litmus), bug.profile, bug.memory, (bug.patch,))).counterexample
    assert example is not None
    return example
