"""What is unknown of a run: when in its period each CPU's clock ticks, how deep an idle CPU slept, who comes first.

Draw 0 has them as written: ticks staggered evenly, the median wake-up, LWPs dealt to the CPUs in turn.  Every other
draw takes them anew from streams of the seed; baseline and profile of a pair share one draw.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import repeat


class Phases:
    """One draw for a machine of so many *cpus* with a clock of period *tick* (cycles), *since* after time began."""

    def __init__(self, draw: int, seed: int, cpus: int, tick: int, since: int = 0) -> None:
        self.since = since
        self.draw = draw
        self.seed = seed
        self.tick = tick
        self._places = list(range(cpus))
        if draw:
            self._stream("placement").shuffle(self._places)

    def _stream(self, name: str) -> random.Random:
        """A stream of its own for each purpose."""
        return random.Random(f"{self.seed}/{self.draw}/{name}")

    def first_tick(self, cpu: int) -> int:
        """When the CPU's clock first ticks, cycles."""
        if not self.draw:
            return self._next((cpu + 1) * self.tick // len(self._places), self.tick)
        return self._next(self._stream(f"tick {cpu}").randint(1, self.tick), self.tick)

    def first_beat(self, period: int) -> int:
        """When something of that period first comes round, cycles."""
        return self._next(period, period)

    def _next(self, first: int, period: int) -> int:
        """When something next comes that came at *first* after time began, and then in each period: 1 to *period*."""
        return (first - self.since - 1) % period + 1

    def first_cpu(self, number: int) -> int:
        """The CPU that LWP *number* of the start is put on."""
        return self._places[number % len(self._places)]

    def idle_exits(self, cpu: int, usual: int, samples: Sequence[int]) -> Iterator[int]:
        """How long each wake-up of the idle CPU takes, cycles: *usual*, or drawn from what was recorded."""
        if not self.draw or not samples:
            return repeat(usual)
        stream = self._stream(f"idle exit {cpu}")
        return iter(lambda: stream.choice(samples), None)
