"""How a request is explored: by one strategy, or by reduction first and by states where that does not exhaust."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from sim.errors import InputError, closest
from sim.explore import EXECUTIONS, SAMPLED, STATES, STATES_OF_MORE, STRATEGIES
from sim.explore.again import Script
from sim.explore.ahead import look_ahead
from sim.explore.driver import interrupts
from sim.explore.explorer import Budget, Outcome, Strategy, ends_with, explore
from sim.explore.garbage import seldom_collected
from sim.explore.model import Broken
from sim.explore.patches.kernel import Kernel
from sim.explore.request import Request
from sim.explore.stateful import StateSearch
from sim.explore.strategies.dpor import Dpor
from sim.explore.strategies.exhaustive import Exhaustive
from sim.explore.strategies.pct import Pct
from sim.explore.strategies.random import Random
from sim.explore.strategies.wrappers import Determinism, Metrics, PreemptionBound

if TYPE_CHECKING:
    from sim.explore.run import KernelRun

FEW = 30  # executions that reduction gets before states are tried: it exhausts the smallest programs in fewer


@dataclass(slots=True)
class Seen:
    """What executions judged (``premises``) and ended with (``finals``)."""

    premises: Counter[str] = field(default_factory=Counter)
    finals: Counter[str] = field(default_factory=Counter)

    def judged(self, run: KernelRun) -> None:
        """Add what an execution judged."""
        self.premises.update(run.judge.tally.premises)

    def ended(self, run: KernelRun) -> None:
        """Count an end."""
        self.finals["; ".join(sorted(run.state.outcomes))] += 1


@dataclass(slots=True)
class Found:
    """An exploration: its outcome, the strategy that decided, what was left out, choices that changed the actor.

    *circles*: how often it came back to a state on its way.
    *known* is what it would have been, had the first breach of an invariant that may break ended it.
    """

    out: Outcome[KernelRun]
    strategy: str
    seen: Seen
    left_out: str = ""
    switches: int = 0
    states: int = 0
    known: Found | None = None
    circles: int = 0


def default_budget(strategy: str, cpus: int) -> Budget:
    """Where an exploration stops if nothing is said."""
    if strategy in ("auto", "states"):
        return Budget(states=STATES if cpus <= 2 else STATES_OF_MORE)
    return Budget(executions=EXECUTIONS)


@seldom_collected()
def search(request: Request, kernel: Kernel, build: Callable[..., KernelRun], muted: Sequence[str] = ()) -> Found:
    """Explore; *muted* are invariants that may break.

    InputError for an unknown strategy, or one that cannot do what the request asks.
    """
    if request.strategy not in STRATEGIES:
        raise InputError(f"unknown strategy '{request.strategy}'{closest(request.strategy, STRATEGIES)}")
    wrapped = request.preemptions is not None or request.deterministic
    if request.strategy == "states":
        if wrapped:
            raise InputError("--preemptions and --determinism do not go with --strategy states, which repeats no order")
        return _by_states(request, kernel, build, muted)
    if request.strategy != "auto":
        return _by_orders(request, build, request.strategy, muted)
    if wrapped:
        return _by_orders(request, build, "dpor", muted)
    few = min(FEW, request.budget.executions or FEW)
    found = _by_orders(replace(request, budget=replace(request.budget, executions=few)), build, "dpor", muted)
    if found.out.exhausted or found.out.broken is not None:
        return found
    by_states = _by_states(request, kernel, build, muted)
    by_states.known = found.known or by_states.known
    return by_states


def _by_states(request: Request, kernel: Kernel, build: Callable[..., KernelRun], muted: Sequence[str]) -> Found:
    """Every state once."""
    seen = Seen()
    known: list[Found] = []
    script = partial(Script, boots_once=not request.patches)

    def noted(broken: Broken) -> None:
        if not known:
            until = replace(searched.out)
            searched.ends_with(broken, until)
            known.append(Found(until, "states", seen, states=until.states))

    searched = StateSearch(
        partial(_muted(build, muted, noted), script=script()),
        kernel.fingerprint().of, fresh=lambda run: run.judge.tally.premises.clear(),
        left=seen.judged, ended=seen.ended, insistent=interrupts(request.litmus.cpus), muted=muted, noted=noted,
        look_ahead=partial(look_ahead, partial(_muted(build, muted, lambda broken: None), script=script())),
    )  # fmt: skip
    out = searched.explore(request.budget)
    return Found(out, "states", seen, out.left_out, 0, out.states, known[0] if known else None, out.circles)


def _muted(
    build: Callable[..., KernelRun], muted: Sequence[str], noted: Callable[[Broken], None]
) -> Callable[..., KernelRun]:
    """What makes executions in which some invariants may break."""
    return partial(build, muted=tuple(muted), noted=noted) if muted else build


def _by_orders(request: Request, build: Callable[..., KernelRun], name: str, muted: Sequence[str]) -> Found:
    """Executions from start to end, chosen by a strategy."""
    inner = make_strategy(request, name)
    bound = PreemptionBound(inner, request.preemptions) if request.preemptions is not None else None
    metrics = Metrics(Determinism(bound or inner) if request.deterministic else bound or inner)
    seen = Seen()
    known: list[Found] = []
    out: Outcome[KernelRun] = Outcome()

    def ended(run: KernelRun) -> None:
        seen.judged(run)
        seen.ended(run)

    def noted(broken: Broken) -> None:
        if not known:
            until = replace(out, choices=list(out.choices))
            ends_with(broken, until)
            known.append(Found(until, name, seen, switches=metrics.switches))

    explore(_muted(build, muted, noted), metrics, request.budget, ended, out)
    if out.last is not None:
        seen.judged(out.last)
    left_out = out.left_out
    if not left_out and bound is not None and bound.cut:
        left_out = f"{bound.cut} choices beyond {bound.bound} preemptions"
    if not left_out and out.broken is None and name in SAMPLED:
        left_out = f"all but {out.executions} sampled schedules"
    return Found(out, name, seen, left_out, metrics.switches, 0, known[0] if known else None)


def make_strategy(request: Request, name: str) -> Strategy:
    """The strategy of that name."""
    runs = request.budget.executions or request.runs
    makers: dict[str, Callable[[], Strategy]] = {
        "dpor": Dpor,
        "exhaustive": Exhaustive,
        "pct": lambda: Pct(request.seed, runs, request.depth),
        "random": lambda: Random(request.seed, runs),
    }
    return makers[name]()
