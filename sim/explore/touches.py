"""What the transitions of a program touch, as sets of bits: who touches what, and what that is in conflict with.

A *touch* is (actor, location, mode).  Each one met gets a bit, so that everything that may still be touched from a
state on is one number, and so is everything that a transition is in conflict with.
"""

from __future__ import annotations

from collections.abc import Hashable

from sim.explore.model import ENABLES, NEEDS, Footprint


class Touches:
    """All touches met so far.

    Attributes:
        count: how many there are.
        surprised: an actor has changed a location after :meth:`writers` was asked who does, and was not among them.
    """

    def __init__(self) -> None:
        self.surprised = False
        self._number: dict[tuple[int, Hashable, int], int] = {}
        self._at: dict[Hashable, list[tuple[int, int, int]]] = {}  # number, actor, mode by location
        self._against: list[int] = []  # by number: the later touches that a transition with this one races with
        self._by_actor: dict[int, int] = {}
        self._masks: dict[tuple[int, Footprint], int] = {}
        self._said: dict[Hashable, set[int]] = {}

    @property
    def count(self) -> int:
        """How many touches were met."""
        return len(self._against)

    def of(self, actor: int, footprint: Footprint) -> int:
        """The touches of a transition."""
        mask = self._masks.get((actor, footprint))
        if mask is None:
            mask = 0
            for location, mode in footprint:
                mask |= 1 << self._numbered(actor, location, mode)
            self._masks[actor, footprint] = mask
        return mask

    def _numbered(self, actor: int, location: Hashable, mode: int) -> int:
        """The number of a touch; a new one is compared with all of the same location."""
        key = (actor, location, mode)
        number = self._number.get(key)
        if number is not None:
            return number
        number = self._number[key] = len(self._against)
        self._against.append(0)
        there = self._at.setdefault(location, [])
        for other, whose, how in there:
            if whose != actor and (mode > 0 or how > 0):
                if not (how == ENABLES and mode == NEEDS):  # such a pair cannot be turned round
                    self._against[other] |= 1 << number
                if not (mode == ENABLES and how == NEEDS):
                    self._against[number] |= 1 << other
        there.append((number, actor, mode))
        self._by_actor[actor] = self._by_actor.get(actor, 0) | 1 << number
        if mode > 0 and actor not in self._said.get(location, (actor,)):
            self.surprised = True
        return number

    def in_conflict(self, touches: int) -> int:
        """What races with a transition that has these touches, if it comes later and can come first as well."""
        found = 0
        while touches:
            lowest = touches & -touches
            found |= self._against[lowest.bit_length() - 1]
            touches ^= lowest
        return found

    def actors(self, touches: int) -> list[tuple[int, int]]:
        """Whose these touches are: actors, each with all touches of his."""
        return [(actor, mine) for actor, mine in self._by_actor.items() if touches & mine]

    def writers(self, location: Hashable) -> set[int]:
        """Who changes a location, as far as is known; should somebody else do so later, that is a surprise."""
        found = {actor for _, actor, mode in self._at.get(location, ()) if mode > 0}
        self._said[location] = found
        return found
