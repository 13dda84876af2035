"""Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010).

Each actor has a random priority; the highest enabled one acts; at d - 1 random steps the acting one falls below all
others.  A bug of depth d is met with probability at least 1 / (n * k ** (d - 1)) a run, with n actors and k steps.

Departures from the paper: k is not given beforehand but the longest run so far (as in Shuttle), so the first run has
no change points; an actor gets its priority when it is first seen enabled, put at a random place among the others; and
the lowering happens just before the step of the change point instead of after it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from sim.explore.model import Footprint


class Pct:
    """*runs* executions with depth *depth* (number of orderings a bug needs, at least 1)."""

    learns = False

    def __init__(self, seed: int, runs: int, depth: int = 3) -> None:
        self._seed = seed
        self._runs = runs
        self._depth = depth
        self._run = -1
        self._longest = 1
        self._step = 0
        self._order: list[int] = []  # highest priority first
        self._changes: frozenset[int] = frozenset()
        self._stream = random.Random(0)

    def begin(self) -> bool:
        """New priorities and change points."""
        self._longest = max(self._longest, self._step)
        self._run += 1
        self._step = 0
        self._order = []
        self._stream.seed(f"pct/{self._seed}/{self._run}")
        points = min(self._depth - 1, self._longest)
        self._changes = frozenset(self._stream.sample(range(self._longest), points)) if self._run else frozenset()
        return self._run < self._runs

    def choose(self, enabled: Sequence[int]) -> int:
        """The enabled actor of highest priority, after lowering it at a change point."""
        for actor in enabled:
            if actor not in self._order:
                self._order.insert(self._stream.randint(0, len(self._order)), actor)
        best = min(enabled, key=self._order.index)
        if self._step in self._changes:
            self._order.remove(best)
            self._order.append(best)
            best = min(enabled, key=self._order.index)
        self._step += 1
        return best

    def took(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""
