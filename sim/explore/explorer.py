"""The loop that runs executions under a strategy until the space, the budget or the property gives out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, runtime_checkable

from sim.explore.model import Broken, Execution, Footprint, Violation
from sim.explore.watchdog import watchdog

X = TypeVar("X", bound=Execution)


PAUSE = 500  # steps of an execution between two looks at the budget
LONGEST = 5000  # steps of an execution: shipped programs end in a few hundred


class Strategy(Protocol):
    """Who acts next.  A strategy knows nothing of what it explores.

    ``learns`` says whether ``took`` and ``stuck`` do anything; if not they are not called.
    """

    @property
    def learns(self) -> bool: ...

    def begin(self) -> bool:
        """Prepare another execution; false if there is nothing left to try."""

    def choose(self, enabled: Sequence[int]) -> int:
        """Return the actor that acts, one of *enabled*; negative to give this execution up."""

    def took(self, actor: int, footprint: Footprint) -> None:
        """Learn what the chosen transition touched."""

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Learn, where an execution ends, what a transition that never came would have touched."""


@runtime_checkable
class Planner(Protocol):
    """A strategy that learns nothing and knows how the execution begins."""

    def planned(self) -> list[int]:
        """Hand over the first choices of the execution begun: the caller makes them and asks from there on."""


@dataclass(slots=True)
class Budget:
    """Where to stop: numbers of executions, steps and states, and seconds by *clock* (None: no limit)."""

    executions: int | None = None
    steps: int | None = None
    states: int | None = None
    seconds: float | None = None
    clock: Callable[[], float] | None = None


@dataclass(slots=True)
class Outcome(Generic[X]):
    """What an exploration found.

    Attributes:
        executions: executions that came to their end (a violation is an end).
        abandoned: executions given up as redundant.
        steps: transitions made in all.
        depth: most transitions in one execution.
        exhausted: the strategy had nothing left to try.
        left_out: what a bound kept from being tried, in words; empty if nothing.
        broken, choices, at_execution: the first violation, the actors chosen up to it, and its execution's number;
            meanwhile ``choices`` are those of the execution under way.
        last: the execution that violated.
    """

    executions: int = 0
    abandoned: int = 0
    steps: int = 0
    depth: int = 0
    exhausted: bool = False
    left_out: str = ""
    broken: Broken | None = None
    choices: list[int] = field(default_factory=list)
    at_execution: int = 0
    last: X | None = None


@dataclass(slots=True)
class StateOutcome(Outcome[X], Generic[X]):
    """An outcome of a search for states; here an execution is one run from the start to an end or to a known state.

    Attributes:
        states: different states met.
        again: transitions that led to a state met before.
        circles: those of them that led to a state of which it was not known yet what follows: one on the way, mostly.
        restarts: how often the search began again because of what it had learned.
    """

    states: int = 0
    again: int = 0
    circles: int = 0
    restarts: int = 0


@watchdog()
def explore(
    build: Callable[[], X],
    strategy: Strategy,
    budget: Budget | None = None,
    ended: Callable[[X], None] | None = None,
    out: Outcome[X] | None = None,
) -> Outcome[X]:
    """Run executions made by *build* until one violates, the strategy is done, or the budget is spent.

    *ended* is called with each execution that came to its end; *out* is filled, if somebody looks at it meanwhile.
    """
    out = Outcome() if out is None else out
    limit = budget or Budget()
    start = limit.clock() if limit.clock else 0.0
    plan = strategy.planned if isinstance(strategy, Planner) else list
    bounded = limit.executions is not None or limit.steps is not None or limit.seconds is not None
    while True:
        if bounded and (bound := spent(out, limit, start)):
            out.left_out = bound
            return out
        if not strategy.begin():
            out.exhausted = True
            return out

        def stop(steps: int) -> bool:
            out.left_out = spent(out, limit, start, steps) or _endless(steps)
            return bool(out.left_out)

        if not _one(build, strategy, plan, stop, out, ended):
            return out


def ends_with(broken: Broken, out: Outcome[X], execution: X | None = None) -> None:
    """Have an outcome be that of an exploration which a breach ends here, in the execution under way."""
    out.executions += 1
    out.broken, out.last = broken, execution
    out.at_execution = out.executions + out.abandoned
    out.steps += len(out.choices)
    out.depth = max(out.depth, len(out.choices))


def _endless(steps: int) -> str:
    """Say that an execution is too long to be one that ends, or nothing."""
    return f"an execution that has not ended after {steps} steps" if steps >= LONGEST else ""


def spent(out: Outcome[X], limit: Budget, start: float, steps: int = 0) -> str:
    """Which budget is spent, in words, or nothing; *start* is when the budget's clock began.

    *steps* are those of an execution under way.
    """
    if limit.executions is not None and out.executions + out.abandoned >= limit.executions:
        return f"budget of {limit.executions} executions spent"
    if limit.steps is not None and out.steps + steps >= limit.steps:
        return f"budget of {limit.steps} steps spent"
    if limit.seconds is not None and limit.clock and limit.clock() - start >= limit.seconds:
        return f"budget of {limit.seconds:g} seconds spent"
    return ""


def _tell_stuck(execution: Execution, strategy: Strategy) -> None:
    """Hand over who still waits."""
    if strategy.learns:
        for actor, footprint in execution.stuck():
            strategy.stuck(actor, footprint)


def _one(
    build: Callable[[], X],
    strategy: Strategy,
    plan: Callable[[], list[int]],
    stop: Callable[[int], bool],
    out: Outcome[X],
    ended: Callable[[X], None] | None,
) -> bool:
    """Run one execution; false if it violated, or if it was stopped."""
    choices = out.choices = plan()
    choose, took, learns = strategy.choose, strategy.took, strategy.learns
    execution: X | None = None
    try:
        execution = build()
        execution.follow(choices)
        while enabled := execution.enabled():
            actor = choose(enabled)
            if actor < 0:
                out.abandoned += 1
                _tell_stuck(execution, strategy)
                break
            choices.append(actor)
            footprint = execution.step(actor)
            if learns:
                took(actor, footprint)
            if not len(choices) % PAUSE and stop(len(choices)):
                break
        else:
            _tell_stuck(execution, strategy)
            execution.finish()
            out.executions += 1
            if ended is not None:
                ended(execution)
    except Violation as violation:
        ends_with(violation.broken, out, execution)
        return False
    out.steps += len(choices)
    out.depth = max(out.depth, len(choices))
    out.choices = []
    return not out.left_out
