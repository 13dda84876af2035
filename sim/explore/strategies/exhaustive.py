"""All orders, by an odometer over the choices made: the oracle for everything cleverer."""

from __future__ import annotations

from collections.abc import Sequence

from sim.explore.model import Footprint


class Exhaustive:
    """Depth-first enumeration.  Knows nothing of footprints: every order of transitions is an execution of its own."""

    learns = False

    def __init__(self) -> None:
        self._actors: list[int] = []  # who was chosen at each depth
        self._rests: list[list[int]] = []  # who could be chosen there and has not been yet, the next one last
        self._depth = 0
        self._started = False

    def begin(self) -> bool:
        """Advance the last digit that can still move."""
        actors, rests = self._actors, self._rests
        self._depth = 0
        if not self._started:
            self._started = True
            return True
        while rests:
            if rest := rests[-1]:
                actors[-1] = rest.pop()
                return True
            rests.pop()
            actors.pop()
        return False

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
        first, *rest = enabled
        rest.reverse()
        self._rests.append(rest)
        self._actors.append(first)
        return first

    def took(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""
