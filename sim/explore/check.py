"""Checking one litmus program: builds the executions, runs a strategy, words the verdict."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from sim.errors import InputError, closest
from sim.explore.counterexample import Counterexample, replay, shrink
from sim.explore.counterexample.token import Token, digest, encode
from sim.explore.explorer import Budget, Outcome, Strategy, explore
from sim.explore.litmus import Litmus
from sim.explore.patches import Patch, names
from sim.explore.patches.kernel import patched
from sim.explore.strategies.dpor import Dpor
from sim.explore.strategies.exhaustive import Exhaustive
from sim.explore.strategies.pct import Pct
from sim.explore.strategies.random import Random
from sim.explore.strategies.wrappers import Determinism, Metrics, PreemptionBound

if TYPE_CHECKING:
    from sim.explore.run import KernelRun


@dataclass(slots=True)
class Request:
    """What to check, and how.  The kernel has *patches*; *runs* is for ``pct`` and ``random``; *budget* for all."""

    litmus: Litmus
    profile: str
    memory: str = "sc"
    patches: tuple[Patch, ...] = ()
    strategy: str = "dpor"
    budget: Budget = field(default_factory=Budget)
    seed: int = 1
    runs: int = 500
    depth: int = 3
    preemptions: int | None = None
    deterministic: bool = False


@dataclass(slots=True)
class Result:
    """The verdict: ``holds``, ``violated`` or ``incomplete``; see :class:`sim.explore.explorer.Outcome`."""

    request: Request
    verdict: str
    executions: int
    abandoned: int
    steps: int
    depth: int
    exhausted: bool
    left_out: str
    premises: dict[str, int]
    finals: dict[str, int]
    seconds: float
    first_violation: int
    switches: int
    counterexample: Counterexample | None = None


def builder(request: Request, run: type[KernelRun]) -> Callable[..., KernelRun]:
    """What makes the executions of a request: *run* is that of the kernel with the request's patches.

    With ``traced=True`` it makes one that says what it does from its beginning.
    """
    return partial(run, request.litmus, request.profile, tso=request.memory == "tso")


def make_strategy(request: Request) -> Strategy:
    """The strategy that a request names; InputError if there is none of that name."""
    runs = request.budget.executions or request.runs
    makers: dict[str, Callable[[], Strategy]] = {
        "dpor": Dpor,
        "exhaustive": Exhaustive,
        "pct": lambda: Pct(request.seed, runs, request.depth),
        "random": lambda: Random(request.seed, runs),
    }
    if request.strategy not in makers:
        raise InputError(f"unknown strategy '{request.strategy}'{closest(request.strategy, makers)}")
    return makers[request.strategy]()


class _Seen:
    """What the executions that came to their end judged (``premises``) and ended with (``finals``)."""

    def __init__(self) -> None:
        self.premises: Counter[str] = Counter()
        self.finals: Counter[str] = Counter()

    def ended(self, run: KernelRun) -> None:
        """Count an execution."""
        self.premises.update(run.judge.tally.premises)
        self.finals["; ".join(sorted(run.state.outcomes))] += 1


def check(request: Request) -> Result:
    """Explore a litmus program and say whether its invariants hold; a violation is shrunk and replayed."""
    inner = make_strategy(request)
    bound = PreemptionBound(inner, request.preemptions) if request.preemptions is not None else None
    metrics = Metrics(Determinism(bound or inner) if request.deterministic else bound or inner)
    seen = _Seen()
    clock = request.budget.clock
    began = clock() if clock else 0.0
    with patched(request.patches) as kernel:
        build = builder(request, kernel.run)
        out = explore(build, metrics, request.budget, seen.ended)
        took = (clock() if clock else 0.0) - began
        example = None
        if out.broken is not None:
            if out.last is not None:
                seen.premises.update(out.last.judge.tally.premises)
            example = _counterexample(request, build, shrink(build, out.choices, out.broken))
    left_out = _left_out(request, out, bound)
    whole = out.exhausted and not left_out
    return Result(
        request=request,
        verdict="violated" if out.broken else "holds" if whole else "incomplete",
        executions=out.executions,
        abandoned=out.abandoned,
        steps=out.steps,
        depth=out.depth,
        exhausted=whole,
        left_out=left_out,
        premises=dict(sorted(seen.premises.items())),
        finals=dict(sorted(seen.finals.items())),
        seconds=took,
        first_violation=out.at_execution,
        switches=metrics.switches,
        counterexample=example,
    )


def _left_out(request: Request, out: Outcome[KernelRun], bound: PreemptionBound | None) -> str:
    """What was not tried, in words; empty if nothing."""
    if out.left_out:
        return out.left_out
    if bound is not None and bound.cut:
        return f"{bound.cut} choices beyond {bound.bound} preemptions"
    if out.broken is None and request.strategy in ("pct", "random"):
        return f"all but {out.executions} sampled schedules"
    return ""


def _counterexample(request: Request, build: Callable[..., KernelRun], choices: list[int]) -> Counterexample:
    """Replay a violating schedule and give it a name."""
    steps, broken, run = replay(build, choices)
    assert broken is not None
    litmus = request.litmus
    marks = tuple((patch.name, patch.digest) for patch in request.patches)
    token = encode(Token(litmus.name, fingerprint(litmus), request.profile, request.memory, marks, tuple(choices)))
    words = ["svs-sim", "check", "--replay", token]
    words += [word for patch in request.patches if patch.where for word in ("--patch", patch.where)]
    words += [] if litmus.shipped else [str(litmus.where)]
    return Counterexample(
        litmus.name,
        request.profile,
        request.memory,
        names(request.patches),
        broken,
        tuple(choices),
        token,
        shlex.join(words),
        tuple(steps),
        run.n,
    )


def fingerprint(litmus: Litmus) -> str:
    """What ties a token to a litmus program: all that decides its executions."""
    return digest((litmus.cpus, litmus.slots, sorted(litmus.pmaps.items()), litmus.lwps))


def replayed(request: Request, choices: tuple[int, ...]) -> Counterexample | None:
    """Follow a token's schedule; None if nothing breaks any more."""
    with patched(request.patches) as kernel:
        build = builder(request, kernel.run)
        _, broken, _ = replay(build, list(choices))
        return _counterexample(request, build, list(choices)) if broken is not None else None
