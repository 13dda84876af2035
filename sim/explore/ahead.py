"""Some executions at random, so that a search for states learns early who touches what.

Each time that a search meets somebody who changes a location and was not known to, it begins again.  Most of those are
met in a few executions, which cost a small part of what the search has cost until then.  They decide nothing: what they
break is met again by the search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sim.explore.explorer import Budget, explore
from sim.explore.model import Execution, Footprint
from sim.explore.strategies.random import Random
from sim.explore.touches import Touches

X = TypeVar("X", bound=Execution)

SEED, EXECUTIONS = 1, 60
LONGEST = 1000  # steps of one: it need not come to its end


class Noting:
    """One random execution, whose touches are noted; it is given up after so many steps."""

    learns = True

    def __init__(self, seed: int, touches: Touches) -> None:
        self._random = Random(seed, 1)
        self._touches = touches
        self._left = LONGEST

    def begin(self) -> bool:
        """Once."""
        return self._random.begin()

    def choose(self, enabled: Sequence[int]) -> int:
        """Any of them."""
        self._left -= 1
        return self._random.choose(enabled) if self._left >= 0 else -1

    def took(self, actor: int, footprint: Footprint) -> None:
        """Note what was touched."""
        self._touches.of(actor, footprint)

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Note what would have been touched."""
        self._touches.of(actor, footprint)


def look_ahead(build: Callable[[], X], touches: Touches) -> None:
    """Add to *touches* what executions made by *build* touch."""
    for seed in range(SEED, SEED + EXECUTIONS):
        explore(build, Noting(seed, touches), Budget(executions=1))
