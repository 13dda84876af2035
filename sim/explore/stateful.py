"""Exhaustive search that recognises states: each once, and of the orders that lead to them only those that matter.

Depth first, with the fingerprints of all states met.  From each state a *persistent set* of the transitions is tried:
whatever the others do without them touches nothing that they touch (P. Godefroid, "Partial-Order Methods for the
Verification of Concurrent Systems", LNCS 1032, 1996).  Such sets reach every end, and every violation that is judged by
what a transition touches.  They grow by need, as in dynamic partial-order reduction (C. Flanagan, P. Godefroid, POPL
2005): one actor is tried first, and where a later transition races with that one, the state before it tries whoever
can bring the other order about.  What follows a state met again is not run again; what may still be touched from it
on is kept with it, and races with the path like what is run (Y. Yang and others, "Efficient stateful dynamic partial
order reduction", SPIN 2008).

* Who cannot act in a state waits for somebody: for one of these actors, or for a change of one of these locations
  (:class:`sim.explore.model.Wait`).  All of them are tried.  Who changes a location is learned on the way; when
  somebody does of whom this was not known, the search looks ahead, once, for more of that kind, and begins again.
* States on a cycle, of which it is not known yet what follows, try everything; those before the cycle race with all
  that it touches when it is done.
* Where a transition touches nothing that those before it do, and they were made behind it too, the later order is not
  run: it leads to the same state.

A generator cannot be copied, so going back means making the execution anew up to there, by the short way of
:mod:`sim.explore.again`; the deepest state with something left to try is always the next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sim.explore.explorer import Budget, StateOutcome, spent
from sim.explore.model import Broken, Execution, Footprint, Violation, dependent
from sim.explore.path import Clock, Node, Path, livelock
from sim.explore.states import States
from sim.explore.touches import Touches
from sim.explore.watchdog import watchdog

X = TypeVar("X", bound=Execution)


@dataclass(slots=True)
class StateSearch(Generic[X]):
    """Visits the states of the executions made by *build*, until one violates or the budget is spent.

    Attributes:
        build: makes an execution.
        fingerprint: the number of the state that an execution is in.
        fresh: called with each execution where it leaves what was run before.
        left: called with each execution that is over, for whatever reason.
        ended: called with each that came to an end.
        insistent: who acts in the end if it can again and again; of the others that is only so if they always can.
        muted: invariants that a circle may break; ``noted`` is called when one does.
        look_ahead: adds to the touches known what is met off the search's way.
        beyond: who acts behind the end of the path where it leads into a circle.
        reduce: without it every order of transitions is tried in every state.
    """

    build: Callable[[], X]
    fingerprint: Callable[[X], bytes]
    fresh: Callable[[X], None] = lambda run: None
    left: Callable[[X], None] = lambda run: None
    ended: Callable[[X], None] = lambda run: None
    insistent: Collection[int] = ()
    muted: Collection[str] = ()
    noted: Callable[[Broken], None] = lambda broken: None
    look_ahead: Callable[[Touches], None] = lambda touches: None
    reduce: bool = True
    touches: Touches = field(default_factory=Touches)
    states: States = field(default_factory=States)
    path: Path = field(default_factory=Path)
    beyond: list[int] = field(default_factory=list)
    out: StateOutcome[X] = field(default_factory=StateOutcome)

    @watchdog()
    def explore(self, budget: Budget | None = None) -> StateOutcome[X]:
        """Search; an outcome without *left_out* is exhaustive."""
        limit = budget or Budget()
        started = limit.clock() if limit.clock else 0.0
        out = self.out

        def over() -> bool:
            out.left_out = spent(out, limit, started) or self._too_many(limit.states)
            return bool(out.left_out)

        try:
            while not over():
                self._run(over)
                if out.broken is not None or out.left_out:
                    return out
                if self.touches.surprised:
                    self._begin_again()
                elif not self._back():
                    out.exhausted = True
                    return out
        except Violation as violation:  # a cycle closed without running it
            self.ends_with(violation.broken, out)
        finally:
            out.states = len(self.states.future)
        return out

    def _too_many(self, most: int | None) -> str:
        """Say that the budget of states, which bounds memory too (about 600 bytes each), is spent, or nothing."""
        return f"budget of {most} states spent" if most is not None and len(self.states.future) >= most else ""

    def _begin_again(self) -> None:
        """What was taken for all who change some location was not all: what was left out because of that is unknown."""
        if not self.out.restarts:
            self.look_ahead(self.touches)
        self.touches.surprised = False
        self.out.restarts += 1
        self.states, self.path = States(), Path()

    def ends_with(self, broken: Broken, out: StateOutcome[X], run: X | None = None) -> None:
        """Have an outcome be that of a search which a breach ends here, in *run* if not between executions."""
        out.executions += 1
        out.broken, out.last = broken, run
        out.choices = [node.actor for node in self.path.nodes if node.actor >= 0] + self.beyond
        out.at_execution = out.executions + out.abandoned
        out.states, out.depth = len(self.states.future), max(out.depth, len(self.path.nodes))

    # --- executions -------------------------------------------------------------------------------------------------

    def _run(self, over: Callable[[], bool]) -> None:
        """Run one execution: along the path, then on from its last state until a known state or an end."""
        out, nodes = self.out, self.path.nodes
        before = [node.actor for node in nodes[:-1]]
        out.steps += len(before)
        run: X | None = None
        try:
            run = self.build()
            run.follow(before)
            self.fresh(run)
            if not nodes:
                self._enter(run, self.states.of(self.fingerprint(run))[0])
            while self._on(run):
                if self.touches.surprised or over():
                    break
        except Violation as violation:
            self.ends_with(violation.broken, out, run)
        if run is not None:
            self.left(run)
        out.depth = max(out.depth, len(nodes))

    def _on(self, run: X) -> bool:
        """Go on from the last state of the path, in which *run* is; false if that cannot or need not be."""
        node = self.path.nodes[-1]
        if not node.enabled:
            self._end(run, node)
            return False
        if not self._left_to_run(node):
            self.out.abandoned += 1
            return False
        actor = node.todo.pop()
        node.actor = actor  # should it break something
        footprint = run.step(actor)
        self.out.steps += 1
        self._took(actor, footprint)
        number, known = self.states.of(self.fingerprint(run))
        self.states.next[node.number][actor] = number, footprint
        if known:
            self._meet(number)
            self.out.abandoned += 1
            return False
        self._enter(run, number)
        return True

    def _end(self, run: X, node: Node) -> None:
        """Nobody can act: what still waits races with what came like what was done."""
        for actor, footprint in run.stuck():
            touches = self.touches.of(actor, footprint)
            node.future |= touches
            self._race(touches, node.depth)
        run.finish()
        self.out.executions += 1
        self.ended(run)

    def _enter(self, run: X, number: int) -> None:
        """Go on to a state met for the first time."""
        nodes = self.path.nodes
        enabled = list(run.enabled())
        node = Node(number, len(nodes), len(self.states.unfinished), enabled, run.waits())
        if not self.reduce:
            node.ask_all()
        elif enabled:
            last = nodes[-1].actor if nodes else -1
            node.ask(last if last in enabled else enabled[0])
        self.path.enter(node)

    # --- without running --------------------------------------------------------------------------------------------

    def _back(self) -> bool:
        """Go back to the deepest state with something left to run; false if there is none."""
        nodes = self.path.nodes
        while nodes:
            if self._left_to_run(nodes[-1]):
                return True
            node = self.path.leave()
            self._finish(node)
            if nodes:
                nodes[-1].lowest = min(nodes[-1].lowest, node.lowest)
                self._did(node.future)
        return False

    def _left_to_run(self, node: Node) -> bool:
        """Settle whatever the last state has left to try of which is known where it leads; whether more is left."""
        while node.todo:
            found = self._foreseen(node, node.todo[-1])
            if found is None:
                return True
            actor = node.todo.pop()
            self.states.next[node.number][actor] = number, footprint = found
            self._took(actor, footprint)
            self._meet(number)
        return False

    def _foreseen(self, node: Node, actor: int) -> tuple[int, Footprint] | None:
        """Where an actor's transition leads that was made in an earlier state of the path, if what came since was too.

        The one touches nothing that the others do, so either order leads to one state; the others were made behind it.
        """
        nodes, made = self.path.nodes, self.states.next
        first = next((at for at in range(node.depth - 1, -1, -1) if actor in made[nodes[at].number]), -1)
        if first < 0:
            return None
        number, footprint = made[nodes[first].number][actor]
        for before in nodes[first : node.depth]:
            behind = made[number].get(before.actor)
            if behind is None or dependent(footprint, before.footprint):
                return None
            number = behind[0]
        return number, footprint

    def _took(self, actor: int, footprint: Footprint) -> None:
        """The path goes on by a transition, which races with what came before it."""
        known: Clock = self.path.clock(actor)
        for node in self.path.go(actor, footprint, self.touches.of(actor, footprint)):
            self._ask(node, actor, known)

    def _did(self, future: int) -> None:
        """All that follows the last state's transition is known."""
        node = self.path.nodes[-1]
        node.future |= future | node.touches
        self.path.back()

    def _meet(self, number: int) -> None:
        """The path's last transition leads to a state that is known, and back from there."""
        self.out.again += 1
        future = self.states.future[number]
        if future is not None:
            self._race(future, len(self.path.nodes))
        else:
            self._cycle(number)
        self._did(future or 0)

    def _cycle(self, number: int) -> None:
        """The path leads to a state of which it is not known yet what follows: its states try everything."""
        nodes = self.path.nodes
        self.out.circles += 1
        first = self.path.depth_of.get(number)
        if first is None:
            at = self.states.unfinished.index(number)
            first = next(node.lowest for node in reversed(nodes) if node.began <= at)
        else:
            broken = livelock([(node.actor, node.enabled) for node in nodes[first:]], self.insistent)
            if broken is not None:
                self._breaks(broken)
        for node in nodes[first:]:
            node.ask_all()
        nodes[-1].lowest = min(nodes[-1].lowest, first)

    def _finish(self, node: Node) -> None:
        """Everything that follows a state has been tried, unless it leads back to an earlier one on the path."""
        states = self.states
        if node.lowest < node.depth:
            states.unfinished.append(node.number)
            return
        self._no_closed_circle(node.number, {node.number, *states.unfinished[node.began :]})
        states.future[node.number] = node.future
        if len(states.unfinished) > node.began:
            for number in states.unfinished[node.began :]:
                states.future[number] = node.future
            del states.unfinished[node.began :]
            self._race(node.future, node.depth)

    def _no_closed_circle(self, start: int, members: set[int]) -> None:
        """States that lead to one another and nowhere else: everybody turns in circles of their own, say."""
        if self.states.leaves(members):
            return
        actors = self.states.tour(start, members)
        enabled = list(self.states.next[start])
        broken = livelock([(actor, enabled) for actor in actors])
        assert broken is not None
        self.beyond = actors
        self._breaks(broken)
        self.beyond = []

    def _breaks(self, broken: Broken) -> None:
        """A circle breaks an invariant."""
        if broken.invariant not in self.muted:
            raise Violation(broken)
        self.noted(broken)

    # --- races ------------------------------------------------------------------------------------------------------

    def _race(self, future: int, upto: int) -> None:
        """What follows the path, in whatever order, races with its first *upto* transitions."""
        if not self.reduce:
            return
        touches = self.touches
        actors = [(actor, mine, self.path.clock(actor)) for actor, mine in touches.actors(future)]
        for node in reversed(self.path.nodes[:upto]):
            if node.known != touches.count:
                node.conflicts, node.known = touches.in_conflict(node.touches), touches.count
            racing = node.conflicts & future
            if racing:
                for actor, mine, clock in actors:
                    if racing & mine and actor != node.actor and clock.get(node.actor, 0) < node.turn:
                        self._ask(node, actor, clock)

    def _ask(self, node: Node, actor: int, known: Clock) -> None:
        """Have it tried in *node* that *actor* comes to a later transition before the one on the path.

        Whoever has a transition behind *node* that is ordered before that one (*known*) takes part in every such order.
        """
        asked = node.asked
        if actor in asked or len(asked) == len(node.enabled):
            return
        taking_part = [q for q in node.enabled if q == actor or self.path.first_after(node, q, known)]
        if not taking_part:
            self._ask_awaited(node, actor)
        elif asked.isdisjoint(taking_part):
            node.ask(actor if actor in taking_part else taking_part[0])

    def _ask_awaited(self, node: Node, actor: int) -> None:
        """Somebody who cannot act in *node* has to come first there: try all whom he may wait for."""
        met, left = {actor}, [actor]
        while left:
            one = left.pop()
            if one in node.enabled:
                node.ask(one)
                continue
            wait = node.waits.get(one)
            if wait is None:
                node.ask_all()
                return
            new = set(wait.actors).union(*(self.touches.writers(location) for location in wait.locations)) - met
            met |= new
            left += new
