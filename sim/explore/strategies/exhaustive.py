"""All orders, by an odometer over the choices made: the oracle for everything cleverer."""

from __future__ import annotations

from collections.abc import Sequence

from sim.explore.model import Footprint


class Exhaustive:
    """Depth-first enumeration.  Knows nothing of footprints: every order of transitions is an execution of its own."""

    def __init__(self) -> None:
        self._path: list[list[int]] = []  # [position, number of choices] for each depth
        self._depth = 0
        self._started = False

    def begin(self) -> bool:
        """Advance the last digit that can still move."""
        self._depth = 0
        if not self._started:
            self._started = True
            return True
        path = self._path
        while path:
            last = path[-1]
            last[0] += 1
            if last[0] < last[1]:
                return True
            path.pop()
        return False

    def choose(self, enabled: Sequence[int]) -> int:
        """Follow the path, then the first choice."""
        depth = self._depth
        self._depth = depth + 1
        if depth < len(self._path):
            return enabled[self._path[depth][0]]
        self._path.append([0, len(enabled)])
        return enabled[0]

    def took(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""
