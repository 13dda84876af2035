"""The path from the first state of an exploration to the present one, and what happened before what on it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Hashable, Sequence

from sim.explore.model import ENABLES, NEEDS, Broken, Footprint, Wait

LIVELOCK = "livelock"
Clock = dict[int, int]  # how many transitions of each actor came before


class Node:
    """A state on the path.

    Attributes:
        number: the state's.
        depth: how many transitions lead to it.
        enabled: who can act there.
        waits: what those wait for who cannot.
        asked: whose transitions are to be tried there, whether they have been or not.
        todo: those that have not, the next one last.
        future: what is touched from here on, as far as is known.
        lowest: the depth of the first state on the path that can be come back to from here.
        began: how many states were unfinished when this one was come to.
        actor, footprint, touches: the transition on the path, if there is one (-1).
        clock: what is ordered before that, itself included; ``turn``: how many this is of the actor.
        before: the actor's clock without it.
        conflicts: what races with it if it comes later; ``known``: how many touches were known when that was found.
    """

    __slots__ = (
        "actor", "asked", "before", "began", "clock", "conflicts", "depth", "enabled", "footprint", "future", "known",
        "lowest", "number", "todo", "touches", "turn", "waits",
    )  # fmt: skip

    def __init__(self, number: int, depth: int, began: int, enabled: list[int], waits: dict[int, Wait]) -> None:
        self.number = number
        self.depth = depth
        self.lowest = depth
        self.began = began
        self.enabled = enabled
        self.waits = waits
        self.asked: set[int] = set()
        self.todo: list[int] = []
        self.future = 0
        self.actor = -1
        self.footprint: Footprint = ()
        self.touches = 0
        self.clock: Clock = {}
        self.turn = 0
        self.before: Clock | None = None
        self.conflicts = 0
        self.known = -1

    def ask(self, actor: int) -> None:
        """Have an actor's transition tried here."""
        if actor not in self.asked:
            self.asked.add(actor)
            self.todo.append(actor)

    def ask_all(self) -> None:
        """Have everybody's transition tried here."""
        for actor in self.enabled:
            self.ask(actor)


class Path:
    """States and transitions, with their order: vector clocks, and who touched each location when.

    Attributes:
        nodes: the states, first to last.
        depth_of: the depth of each, by its number.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.depth_of: dict[int, int] = {}
        self._clocks: dict[int, Clock] = {}
        self._turns: dict[int, list[int]] = {}  # depths of each actor's transitions
        self._history: dict[Hashable, list[tuple[int, int]]] = {}

    def enter(self, node: Node) -> None:
        """Come to a state."""
        self.depth_of[node.number] = node.depth
        self.nodes.append(node)

    def leave(self) -> Node:
        """Go back from the last state; the transition that led to it is still there."""
        node = self.nodes.pop()
        del self.depth_of[node.number]
        return node

    def clock(self, actor: int) -> Clock:
        """What is ordered before whatever the actor does next."""
        return self._clocks.get(actor, {})

    def go(self, actor: int, footprint: Footprint, touches: int) -> list[Node]:
        """Note a transition from the last state; the states before transitions that race with it, latest first."""
        node = self.nodes[-1]
        known = self.clock(actor)
        found = self.racing(actor, footprint)
        clock = dict(known)
        for depth in found:
            for other, turns in self.nodes[depth].clock.items():
                if turns > clock.get(other, 0):
                    clock[other] = turns
        turns_taken = self._turns.setdefault(actor, [])
        turns_taken.append(node.depth)
        node.turn = clock[actor] = len(turns_taken)
        node.before = self._clocks.get(actor)
        node.actor, node.footprint, node.touches, node.known = actor, footprint, touches, -1
        node.clock = self._clocks[actor] = clock
        for location, mode in footprint:
            self._history.setdefault(location, []).append((node.depth, mode))
        return [self.nodes[depth] for depth in sorted(found, reverse=True) if found[depth]]

    def back(self) -> None:
        """Take the last state's transition back."""
        node = self.nodes[-1]
        for location, _ in node.footprint:
            self._history[location].pop()
        self._turns[node.actor].pop()
        if node.before is None:
            del self._clocks[node.actor]
        else:
            self._clocks[node.actor] = node.before
        node.actor = -1

    def racing(self, actor: int, footprint: Footprint) -> dict[int, bool]:
        """The depths of transitions that depend on this next one of an actor and are not ordered before it yet.

        Each with whether the two could be turned round: not if one needs what the other enables.
        """
        known = self.clock(actor)
        found: dict[int, bool] = {}
        for location, mode in footprint:
            for depth, other in reversed(self._history.get(location, ())):
                if mode <= 0 and other <= 0:
                    continue
                node = self.nodes[depth]
                if known.get(node.actor, 0) >= node.turn:
                    if other > 0:
                        break
                    continue
                if node.actor != actor:
                    found[depth] = found.get(depth, True) and not (mode == NEEDS and other == ENABLES)
        return found

    def first_after(self, node: Node, actor: int, known: Clock) -> bool:
        """Whether a transition that an actor has made behind *node* is ordered before what *known* is the clock of."""
        turns = self._turns.get(actor)
        return turns is not None and 0 < known.get(actor, 0) > bisect_right(turns, node.depth)


def livelock(cycle: Sequence[tuple[int, Collection[int]]], insistent: Collection[int] = ()) -> Broken | None:
    """Whether a cycle of states, each with who acts and who can, is one that nobody outside it could break.

    Whoever could act in each of its states and never does may end it, as it would a spin; that is no livelock.  Nor is
    it if somebody *insistent*, such as an interrupt that is pending, could act in any of them: hardware does not put
    off for ever what the CPU lets through again and again.
    """
    acting = {actor for actor, _ in cycle}
    able = [set(enabled) - acting for _, enabled in cycle]
    if set.intersection(*able) or any(not others.isdisjoint(insistent) for others in able):
        return None
    turns = " ".join(str(actor) for actor, _ in cycle)
    return Broken("progress", f"{LIVELOCK}: {len(cycle)} transitions lead back to the same state, and nobody else can "
                              f"act (actors {turns})")  # fmt: skip
