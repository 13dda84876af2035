"""Exhaustive search with dynamic partial-order reduction: source sets and sleep sets.

Abdulla, Aronis, Jonsson, Sagonas, "Optimal dynamic partial order reduction" (POPL 2014), the source-set algorithm.
Sleep sets let no two executions that end be equivalent, so the number of ended executions is exactly the number of
inequivalent orders; what the wakeup trees of the optimal algorithm would save are executions given up half-way, which
are counted apart.

Departures: every dependent access to a location is kept, not the last one.  A transition that had to wait (a held
mutex, a spin, an interrupt not yet sent) may have become possible through a dependent one; that pair cannot be turned
round, so the search for races goes on behind it, to the earlier accesses that it could overtake.  Where only trying
can tell (AWAITS, SPINS), both is done.  What still waits where an execution ends is in races like what came: before
the transition that made it wait it could have gone on (``stuck``).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from enum import Enum

from sim.explore.model import AWAITS, ENABLES, NEEDS, SPINS, Footprint, dependent

Clock = list[int]


class Branch(Enum):
    """What has become of an actor's transition in one state of the path; no entry: nothing asks for it (SKIP)."""

    PENDING = "to be tried"
    ACTIVE = "on the current path"
    VISITED = "tried, with everything that follows it"
    ASLEEP = "tried in an earlier state, and what came since does not depend on it"


# To look a member up through its class takes Python 3.11 longer than the rest of a transition's bookkeeping.
PENDING, ACTIVE, VISITED, ASLEEP = Branch


class _Node:
    """A state on the current path.

    Attributes:
        enabled: actors that can act.
        branches: what has become of each actor.
        sleep: what the transitions that are VISITED or ASLEEP touched.
        actor, footprint: the transition on the path, -1 if there is none; ``clock`` is what is ordered before it.
        number: how many transitions of the actor this is.
    """

    __slots__ = ("actor", "branches", "clock", "enabled", "footprint", "number", "sleep")

    def __init__(self, enabled: tuple[int, ...], sleep: dict[int, Footprint]) -> None:
        self.enabled = enabled
        self.sleep = sleep
        self.branches = dict.fromkeys(sleep, ASLEEP)
        self.actor = -1
        self.footprint: Footprint = ()
        self.clock: Clock = []
        self.number = 0

    def activate(self, actor: int) -> None:
        """The path goes on with an actor."""
        self.actor = actor
        self.branches[actor] = ACTIVE

    def next_branch(self) -> bool:
        """Everything that follows the path's transition has been tried: go on with what is to be tried, if anything."""
        actor, branches = self.actor, self.branches
        if actor >= 0:
            branches[actor] = VISITED
            self.sleep[actor] = self.footprint
        pending = [actor for actor, state in branches.items() if state is PENDING]
        if not pending:
            return False
        self.activate(min(pending))
        return True

    def ask_for(self, first: set[int]) -> None:
        """Make sure that one of *first* is tried, or else every actor that is not asleep."""
        branches = self.branches
        if not branches.keys().isdisjoint(first):
            return
        able = [actor for actor in first if actor in self.enabled]
        for actor in (min(able),) if able else self.enabled:
            branches.setdefault(actor, PENDING)


class Dpor:
    """Every inequivalent order once.  ``races`` counts the reversible races met."""

    learns = True

    def __init__(self) -> None:
        self.races = 0
        self._nodes: list[_Node] = []
        self._depth = 0
        self._replay = 0  # nodes below this keep their choice
        self._started = False
        self._clocks: dict[int, Clock] = {}
        self._counts: dict[int, int] = {}
        self._last: dict[int, int] = {}  # depth of each actor's last transition
        self._history: dict[Hashable, list[tuple[int, int]]] = {}
        self._width = 0

    def begin(self) -> bool:
        """Back to the deepest state with something left to try."""
        self._depth = 0
        self._clocks.clear()
        self._counts.clear()
        self._last.clear()
        self._history.clear()
        if not self._started:
            self._started = True
            return True
        nodes = self._nodes
        while nodes:
            if nodes[-1].next_branch():
                self._replay = len(nodes)
                return True
            nodes.pop()
        return False

    def choose(self, enabled: Sequence[int]) -> int:
        """Follow the path; beyond it go on with the last actor, or with the first that does not sleep."""
        if self._depth < self._replay:
            return self._nodes[self._depth].actor
        node = _Node(tuple(enabled), self._inherited_sleep())
        awake = [actor for actor in enabled if actor not in node.sleep]
        self._nodes.append(node)
        self._replay = len(self._nodes)
        if not awake:
            return -1
        before = self._nodes[-2].actor if len(self._nodes) > 1 else -1
        node.activate(before if before in awake else awake[0])
        return node.actor

    def _inherited_sleep(self) -> dict[int, Footprint]:
        """Sleeping actors of the state before that the last transition did not disturb."""
        if not self._nodes:
            return {}
        last = self._nodes[-1]
        return {
            actor: footprint
            for actor, footprint in last.sleep.items()
            if actor != last.actor and not dependent(footprint, last.footprint)
        }

    def took(self, actor: int, footprint: Footprint) -> None:
        """Order the transition after what it depends on, and look for races (beyond the replayed part)."""
        depth = self._depth
        self._depth = depth + 1
        node = self._nodes[depth]
        fresh = depth + 1 == self._replay
        node.footprint = footprint
        if actor >= self._width:
            self._width = actor + 1
        clock = self._clocks.get(actor)
        known = list(clock) if clock is not None else []
        if len(known) < self._width:
            known += [0] * (self._width - len(known))
        candidates = self._dependent_before(known, footprint)
        if fresh and candidates:
            self._find_races(actor, known, candidates, footprint, depth)
        for at in candidates:
            for i, value in enumerate(self._nodes[at].clock):
                if value > known[i]:
                    known[i] = value
        number = self._counts.get(actor, 0) + 1
        self._counts[actor] = number
        known[actor] = number
        node.number = number
        node.clock = known
        self._clocks[actor] = known
        self._last[actor] = depth
        history = self._history
        for location, write in footprint:
            history.setdefault(location, []).append((depth, write))

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """What never came races with what it depends on like what came: another order may let it."""
        clock = self._clocks.get(actor, [])
        known = clock + [0] * (max(self._width, actor + 1) - len(clock))
        candidates = self._dependent_before(known, footprint)
        if candidates:
            self._find_races(actor, known, candidates, footprint, self._depth)

    def _dependent_before(self, known: Clock, footprint: Footprint) -> dict[int, int]:
        """Earlier transitions that depend on this one and are not ordered before it yet: depth and kind of the pair.

        The kinds: 1 can be turned round, 2 perhaps, 3 cannot; the greatest counts.
        """
        found: dict[int, int] = {}
        nodes = self._nodes
        for location, mode in footprint:
            for at, other in reversed(self._history.get(location, ())):
                if mode <= 0 and other <= 0:
                    continue
                node = nodes[at]
                if known[node.actor] >= node.number:
                    if other > 0:
                        break
                    continue
                kind = 3 if mode == NEEDS and other == ENABLES else 2 if mode in (AWAITS, SPINS) else 1
                if kind > found.get(at, 0):
                    found[at] = kind
        return found

    def _find_races(
        self, actor: int, known: Clock, candidates: dict[int, int], footprint: Footprint, depth: int
    ) -> None:
        """For each race of the transition at *depth* that can be turned round, make the earlier state try it."""
        covered = list(known)
        last = self._last.get(actor, -1)
        for at in sorted(candidates, reverse=True):
            node = self._nodes[at]
            kind = candidates[at]
            if kind == 3 or covered[node.actor] >= node.number:
                continue
            first = self._initials(at, actor, known, footprint, depth)
            if last < at and actor not in node.enabled:
                if first == {actor}:
                    continue
            elif kind == 1:
                for i, value in enumerate(node.clock):
                    if value > covered[i]:
                        covered[i] = value
            self.races += 1
            node.ask_for(first)

    def _initials(self, at: int, actor: int, known: Clock, footprint: Footprint, depth: int) -> set[int]:
        """Actors that can come first in what follows *at* without being ordered after it, then *actor*."""
        nodes = self._nodes
        event = nodes[at]
        who, number = event.actor, event.number
        kept: list[_Node] = []
        first: set[int] = set()
        seen: set[int] = set()
        for i in range(at + 1, depth):
            node = nodes[i]
            if node.clock[who] >= number if len(node.clock) > who else False:
                continue
            if node.actor not in seen:
                seen.add(node.actor)
                if not any(len(node.clock) > k.actor and node.clock[k.actor] >= k.number for k in kept):
                    first.add(node.actor)
            kept.append(node)
        ordered = any(known[k.actor] >= k.number or dependent(footprint, k.footprint) for k in kept)
        if actor not in seen and not ordered:
            first.add(actor)
        return first
