"""Exhaustive search that recognises states: every state once, however many orders lead to it.

Depth first, with the fingerprints of all states met and with sleep sets (P. Godefroid, "Partial-Order Methods for the
Verification of Concurrent Systems", LNCS 1032, 1996): a transition sleeps where an independent one was made first,
because the state behind both was reached the other way round.  A state met again is left at once unless a transition
that slept there before is awake now; then only that one is tried.  Sleep sets leave out transitions, never states, so
what is judged of states and at ends is judged everywhere.

A generator cannot be copied, so going back means making the execution anew up to there; the deepest state with
something left to try is always the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sim.explore.explorer import Budget, Outcome, spent
from sim.explore.model import Broken, Execution, Footprint, Violation, dependent

X = TypeVar("X", bound=Execution)
Sleep = dict[int, Footprint]


@dataclass(slots=True)
class _Node:
    """A state on the current path.

    Attributes:
        mark: its fingerprint.
        enabled: who can act there.
        sleep: who sleeps there, with the footprint that its transition had.
        left: who is still to be tried, the next one last.
        actor: who is being tried.
    """

    mark: bytes
    enabled: list[int]
    sleep: Sleep
    left: list[int]
    actor: int = -1


@dataclass(slots=True)
class StateOutcome(Outcome[X], Generic[X]):
    """An outcome of :class:`StateSearch`; here an execution is one run from the start to an end or to a known state.

    Attributes:
        states: different states met.
        again: transitions that led to a state met before.
    """

    states: int = 0
    again: int = 0


@dataclass(slots=True)
class StateSearch(Generic[X]):
    """Visits every state of the executions made by *build*, until one violates or the budget is spent.

    Attributes:
        build: makes an execution.
        fingerprint: the number of the state that an execution is in.
        fresh: called with each execution where it leaves what was run before.
        left: called with each execution that is over, for whatever reason.
        ended: called with each that came to an end.
    """

    build: Callable[[], X]
    fingerprint: Callable[[X], bytes]
    fresh: Callable[[X], None] = lambda run: None
    left: Callable[[X], None] = lambda run: None
    ended: Callable[[X], None] = lambda run: None
    known: dict[bytes, frozenset[int]] = field(default_factory=dict)
    path: list[_Node] = field(default_factory=list)
    out: StateOutcome[X] = field(default_factory=StateOutcome)

    def explore(self, budget: Budget | None = None) -> StateOutcome[X]:
        """Search; an outcome without *left_out* is exhaustive."""
        limit = budget or Budget()
        started = limit.clock() if limit.clock else 0.0
        out, path = self.out, self.path
        while True:
            out.left_out = spent(out, limit, started) or self._too_many(limit.states)
            if out.left_out:
                return out
            self._run()
            if out.broken is not None:
                return out
            while path and not path[-1].left:
                path.pop()
            if not path:
                out.exhausted = True
                return out

    def _too_many(self, most: int | None) -> str:
        """Say that the budget of states, which bounds memory too (about 200 bytes each), is spent, or nothing."""
        return f"budget of {most} states spent" if most is not None and self.out.states >= most else ""

    def _run(self) -> None:
        """Run one execution: along the path, then on from its last state until a known state or an end."""
        out, path = self.out, self.path
        choices = [node.actor for node in path[:-1]]
        run: X | None = None
        try:
            run = self.build()
            if path:
                run.follow(choices)
                self.fresh(run)
            else:
                self.fresh(run)
                self._enter(run, {})
            while path[-1].left:
                node = path[-1]
                actor = node.actor = node.left.pop()
                choices.append(actor)
                footprint = run.step(actor)
                below = {other: touched for other, touched in node.sleep.items() if not dependent(touched, footprint)}
                node.sleep[actor] = footprint
                if not self._enter(run, below):
                    out.abandoned += 1
                    break
            else:
                self._end(run)
        except Violation as violation:
            out.executions += 1
            out.broken, out.choices, out.last = violation.broken, choices, run
            out.at_execution = out.executions + out.abandoned
        if run is not None:
            self.left(run)
        out.steps += len(choices)
        out.depth = max(out.depth, len(choices))

    def _end(self, run: X) -> None:
        """Nothing is left to try in a state met for the first time: it is an end, or all that could act sleeps."""
        if self.path[-1].enabled:
            self.out.abandoned += 1
            return
        run.finish()
        self.out.executions += 1
        self.ended(run)

    def _enter(self, run: X, sleep: Sleep) -> bool:
        """Go on to a state; false if it is known and nothing that slept there is awake now."""
        mark, enabled = self.fingerprint(run), list(run.enabled())
        slept = self.known.get(mark)
        if slept is None:
            self.out.states += 1
            left = [actor for actor in enabled if actor not in sleep]
        else:
            self.out.again += 1
            self._no_livelock(mark)
            left = [actor for actor in enabled if actor in slept and actor not in sleep]
            if not left:
                return False
            sleep = {actor: touched for actor, touched in sleep.items() if actor in slept}
        self.known[mark] = frozenset(sleep)
        self.path.append(_Node(mark, enabled, sleep, left[::-1]))
        return True

    def _no_livelock(self, mark: bytes) -> None:
        """A cycle of states that nobody outside it could break: everybody acts and nobody gets anywhere.

        Whoever could act in each of its states and never does may end it, as it would a spin; that is no livelock.
        """
        at = next((i for i, node in enumerate(self.path) if node.mark == mark), None)
        if at is None:
            return
        cycle = self.path[at:]
        acting = {node.actor for node in cycle}
        waiting = set(cycle[0].enabled).intersection(*(node.enabled for node in cycle)) - acting
        if not waiting:
            turns = " ".join(str(node.actor) for node in cycle)
            raise Violation(Broken("progress", f"livelock: {len(cycle)} transitions lead back to the same state, and "
                                               f"nobody else can act (actors {turns})"))  # fmt: skip
