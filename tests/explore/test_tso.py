"""Outcome sets of the classic litmus tests, with and without store buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plain import Plain, T

from sim.explore.explorer import explore
from sim.explore.strategies.dpor import Dpor
from sim.explore.strategies.exhaustive import Exhaustive
from sim.hardware.memory import Words
from sim.hardware.steps import load, rmw, same, store

PROGRAMS = {
    "SB": [["x=1", "y"], ["y=1", "x"]],
    "SB+fences": [["x=1", "fence", "y"], ["y=1", "fence", "x"]],
    "MP": [["x=1", "y=1"], ["y", "x"]],
    "LB": [["x", "y=1"], ["y", "x=1"]],
    "IRIW": [["x=1"], ["y=1"], ["x", "y"], ["y", "x"]],
}
EVERY = {(0, 0), (0, 1), (1, 0), (1, 1)}
IRIW = {(a, b, c, d) for a in (0, 1) for b in (0, 1) for c in (0, 1) for d in (0, 1)} - {(1, 0, 1, 0)}
EXPECTED = {
    ("SB", False): EVERY - {(0, 0)},
    ("SB", True): EVERY,
    ("SB+fences", True): EVERY - {(0, 0)},
    ("MP", False): EVERY - {(1, 0)},
    ("MP", True): EVERY - {(1, 0)},
    ("LB", False): EVERY - {(1, 1)},
    ("LB", True): EVERY - {(1, 1)},
    ("IRIW", False): IRIW,
    ("IRIW", True): IRIW,
}


def build(name: str, tso: bool) -> Callable[[], Plain]:
    def make() -> Plain:
        words = {"x": Words("x"), "y": Words("y")}
        own = [Words(f"fence{i}") for i in range(4)]
        seen: list[list[int]] = [[] for _ in PROGRAMS[name]]

        def body(number: int) -> Any:
            for op in PROGRAMS[name][number]:
                if op == "fence":
                    yield rmw(own[number], 0, same, 0, T.site("f"))
                elif "=" in op:
                    yield store(words[op[0]], 0, 1, T.site("s"))
                else:
                    seen[number].append((yield load(words[op], 0, T.site("l"))))

        count = len(PROGRAMS[name])
        return Plain(
            [lambda n=n: body(n) for n in range(count)],  # type: ignore[misc]
            tso,
            lambda: tuple(value for thread in seen for value in thread),
        )

    return make


@pytest.mark.parametrize(("name", "tso"), sorted(EXPECTED))
def test_outcomes(name: str, tso: bool) -> None:
    strategies = (Dpor(),) if name == "IRIW" and tso else (Dpor(), Exhaustive())  # too many orders for the odometer
    for strategy in strategies:
        found: set[Any] = set()
        out = explore(build(name, tso), strategy, ended=lambda run, found=found: found.add(run.final))
        assert out.exhausted
        assert found == EXPECTED[name, tso]
