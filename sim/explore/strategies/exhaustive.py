"""All orders, by an odometer over the choices made: the oracle for everything cleverer."""

from __future__ import annotations

from collections.abc import Sequence

from sim.explore.model import Footprint


class Exhaustive:
    """Depth-first enumeration.  Knows nothing of footprints: every order of transitions is an execution of its own."""

    learns = False

    def __init__(self) -> None:
        self._offers: list[tuple[int, ...]] = []  # who was enabled at each depth
        self._positions: list[int] = []  # which of them was chosen
        self._actors: list[int] = []
        self._depth = 0
        self._started = False

    def begin(self) -> bool:
        """Advance the last digit that can still move."""
        offers, positions, actors = self._offers, self._positions, self._actors
        if self._started:
            while positions and positions[-1] + 1 == len(offers[-1]):
                offers.pop()
                positions.pop()
                actors.pop()
            if not positions:
                return False
            positions[-1] += 1
            actors[-1] = offers[-1][positions[-1]]
        self._started = True
        self._depth = 0
        return True

    def planned(self) -> list[int]:
        """The choices up to the digit that was advanced."""
        self._depth = len(self._actors)
        return self._actors[:]

    def choose(self, enabled: Sequence[int]) -> int:
        """Follow the path, then the first choice."""
        depth = self._depth
        self._depth = depth + 1
        if depth < len(self._actors):
            return self._actors[depth]
        self._offers.append(tuple(enabled))
        self._positions.append(0)
        self._actors.append(enabled[0])
        return enabled[0]

    def took(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""
