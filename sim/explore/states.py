"""The states that a search has met."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Set
from dataclasses import dataclass, field

from sim.errors import ModelError
from sim.explore.model import Footprint


@dataclass(slots=True)
class States:
    """The states met, by number.

    Attributes:
        number: by fingerprint.
        future: what is touched from each on, in whatever order; None as long as not all of it is known.
        next: the transitions made from each: by actor, the state behind it and what it touched.
        unfinished: those that are left, but lie on a cycle with one that is not.
    """

    number: dict[bytes, int] = field(default_factory=dict)
    future: list[int | None] = field(default_factory=list)
    next: list[dict[int, tuple[int, Footprint]]] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)

    def of(self, mark: bytes) -> tuple[int, bool]:
        """The number of a state, and whether it was met before."""
        number = self.number.setdefault(mark, len(self.future))
        if number < len(self.future):
            return number, True
        self.future.append(None)
        self.next.append({})
        return number, False

    def leaves(self, members: Set[int]) -> bool:
        """Whether a transition leads from some of these states to another, or there is none at all."""
        made = [target for member in members for target, _ in self.next[member].values()]
        return not made or any(target not in members for target in made)

    def tour(self, start: int, members: Set[int]) -> list[int]:
        """Who acts on a way from *start* back to it that makes every transition between these states."""
        left = {(member, actor) for member in members for actor in self.next[member]}
        actors: list[int] = []
        at = start
        while left:
            at = self._go(at, lambda state: any((state, actor) in left for actor in self.next[state]), actors)
            actor = min(actor for actor in self.next[at] if (at, actor) in left)
            left.remove((at, actor))
            actors.append(actor)
            at = self.next[at][actor][0]
        self._go(at, lambda state: state == start, actors)
        return actors

    def _go(self, at: int, there: Callable[[int], bool], actors: list[int]) -> int:
        """Add who acts on the shortest way from a state to one that is *there*; returns that one."""
        came: dict[int, list[int]] = {at: []}
        waiting = deque([at])
        while waiting:
            state = waiting.popleft()
            if there(state):
                actors += came[state]
                return state
            for actor, (target, _) in self.next[state].items():
                if target not in came:
                    came[target] = [*came[state], actor]
                    waiting.append(target)
        raise ModelError("states that lead to one another do not")
