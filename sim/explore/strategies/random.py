"""Uniformly random choices from a seeded stream."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sim.explore.model import Footprint


class Random:
    """*runs* executions; run *i* draws from its own stream ``(seed, i)``, so that it can be repeated alone."""

    learns = False

    def __init__(self, seed: int, runs: int) -> None:
        self._seed = seed
        self._runs = runs
        self._run = -1
        self._stream = random.Random(0)

    def begin(self) -> bool:
        """Open the next run's stream."""
        self._run += 1
        self._stream.seed(f"random/{self._seed}/{self._run}")
        return self._run < self._runs

    def choose(self, enabled: Sequence[int]) -> int:
        """Any of them, equally likely."""
        return enabled[int(self._stream.random() * len(enabled))]

    def took(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""
