"""Checking one litmus program: builds the executions, runs a strategy, words the verdict."""

from __future__ import annotations

import shlex
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sim.explore import SAMPLED
from sim.explore.blame import told
from sim.explore.counterexample import Counterexample, replay
from sim.explore.counterexample.shrinking import shrink
from sim.explore.counterexample.token import Token, digest, encode
from sim.explore.litmus import Litmus
from sim.explore.mirror import assignments
from sim.explore.patches import names
from sim.explore.patches.kernel import Kernel, patched
from sim.explore.request import Request
from sim.explore.search import search

if TYPE_CHECKING:
    from sim.explore.run import KernelRun


@dataclass(slots=True)
class Result:
    """The verdict: ``holds``, ``violated``, ``incomplete`` or ``crashed``; see :class:`sim.explore.explorer.Outcome`.

    *strategy* is the one that decided, *states* how many it told apart (0: it does not).  Where the program is known to
    violate invariants and does, the exploration goes on beyond that: *exhausted*, *left_out*, *premises* and *finals*
    are of all of it, the other numbers of what it was until the counterexample.
    *assignments* of roles to CPUs were explored: numbers are of all together.
    *traceback* is that of an exception of the code under check, ``crashed``; *left_out* says in a line what it was.
    *circles*: how often a search by states came back to a state on its way.
    *decided_under*: the memory model whose result decides this one, which was not explored; empty for one that was.
    """

    request: Request
    verdict: str
    strategy: str
    executions: int
    abandoned: int
    steps: int
    states: int
    depth: int
    exhausted: bool
    left_out: str
    premises: dict[str, int]
    finals: dict[str, int]
    seconds: float
    first_violation: int
    switches: int
    counterexample: Counterexample | None = None
    assignments: int = 1
    traceback: str = ""
    circles: int = 0
    decided_under: str = ""


def builder(request: Request, run: type[KernelRun]) -> Callable[..., KernelRun]:
    """What makes the executions of a request: *run* is that of the kernel with the request's patches.

    With ``traced=True`` it makes one that says what it does from its beginning; ``muted=`` invariants that may break.
    """
    return partial(run, request.litmus, request.profile, tso=request.memory == "tso", also=request.also)


def crashed(request: Request, error: BaseException) -> Result:
    """The result of an exploration that an exception ended: a mistake in the code of the kernel, or of the model."""
    text = "".join(traceback.format_exception(error))
    return Result(request, "crashed", request.strategy, 0, 0, 0, 0, 0, False, told(error), {}, {}, 0.0, 0, 0,
                  traceback=text)  # fmt: skip


def check(request: Request) -> Result:
    """Explore a litmus program and say whether its invariants hold; a violation is shrunk and replayed.

    With *mirror* in every assignment of roles to CPUs, until something unknown breaks or a budget ends a search; of
    schedules that are sampled, each assignment gets as many.
    """
    programs = assignments(request.litmus) if request.mirror else [request.litmus]
    results: list[Result] = []
    for program in programs:
        results.append(result := _check(replace(request, litmus=program)))
        broken = result.counterexample.broken.invariant if result.counterexample else ""
        stopped = result.left_out and request.strategy not in SAMPLED
        if stopped or broken and broken not in program.violates.get(request.profile, ()):
            break
    return _together(request, results, len(programs) - len(results))


def _together(request: Request, results: list[Result], not_tried: int) -> Result:
    """One result of the assignments explored: the last one that broke something tells, or the last of all."""
    broke = [result for result in results if result.counterexample is not None]
    telling = results[-1] if results[-1].counterexample or not broke else broke[0]
    left_out = results[-1].left_out
    if left_out and not_tried:
        left_out += f"; {not_tried} more assignment{'s' * (not_tried > 1)} of roles to CPUs not tried"
    elif left_out and len(results) > 1:  # each was sampled
        left_out += " of each assignment of roles to CPUs"
    premises, finals = Counter[str](), Counter[str]()
    for result in results:
        premises.update(result.premises)
        finals.update(result.finals)
    return replace(
        telling,
        request=request,
        executions=sum(result.executions for result in results),
        abandoned=sum(result.abandoned for result in results),
        steps=sum(result.steps for result in results),
        states=sum(result.states for result in results),
        depth=max(result.depth for result in results),
        exhausted=all(result.exhausted for result in results),
        left_out=left_out,
        premises=dict(sorted(premises.items())),
        finals=dict(sorted(finals.items())),
        seconds=sum(result.seconds for result in results),
        switches=sum(result.switches for result in results),
        assignments=len(results),
        circles=sum(result.circles for result in results),
    )


def _check(request: Request) -> Result:
    """The result of one assignment."""
    clock = request.budget.clock
    began = clock() if clock else 0.0
    with patched(request.patches) as kernel:
        build = builder(request, kernel.run)
        # What a program is known to break must not keep anything else from being judged.
        expected = request.litmus.violates.get(request.profile, ())
        beyond = found = search(request, kernel, build, expected)
        if found.known is not None:
            if found.out.broken is None:
                found = found.known
            else:
                build = partial(build, muted=expected)
        out = found.out
        took = (clock() if clock else 0.0) - began
        example = None
        if out.broken is not None:
            example = _counterexample(request, kernel, build, shrink(build, out.choices, out.broken))
    whole = beyond.out.exhausted and not beyond.left_out
    return Result(
        request=request,
        verdict="violated" if out.broken else "holds" if whole else "incomplete",
        strategy=found.strategy,
        executions=out.executions,
        abandoned=out.abandoned,
        steps=out.steps,
        states=found.states,
        depth=out.depth,
        exhausted=whole,
        left_out=beyond.left_out,
        premises=dict(sorted(beyond.seen.premises.items())),
        finals=dict(sorted(beyond.seen.finals.items())),
        seconds=took,
        first_violation=out.at_execution,
        switches=found.switches,
        counterexample=example,
        circles=beyond.circles,
    )


def _counterexample(
    request: Request, kernel: Kernel, build: Callable[..., KernelRun], choices: list[int]
) -> Counterexample:
    """Replay a violating schedule and give it a name."""
    steps, broken = replay(build, choices, kernel.fingerprint().of, request.litmus.cpus)
    assert broken is not None
    litmus = request.litmus
    marks = tuple((patch.name, patch.digest) for patch in request.patches)
    token = encode(Token(litmus.name, fingerprint(litmus), request.profile, request.memory, marks, tuple(choices)))
    words = ["svs-sim", "check", "--replay", token]
    words += [word for patch in request.patches if patch.where for word in ("--patch", patch.where)]
    words += [] if litmus.shipped else [f"{litmus.where}@{litmus.roles}" if litmus.roles else str(litmus.where)]
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
        litmus.cpus,
    )


def fingerprint(litmus: Litmus) -> str:
    """What ties a token to a litmus program: all that decides its executions."""
    # What most programs do not have is named only where they do: so tokens of the others stay good.
    machine = (*(() if litmus.mwait else ("hlt",)), *(() if litmus.pcid else ("no pcid",)))
    pages = {"shared": sorted(litmus.shared.items()), "unused": sorted(litmus.unused), "kernel": litmus.kernel}
    more = [part for part in pages.items() if part[1]]
    return digest((litmus.cpus, litmus.slots, sorted(litmus.pmaps.items()), litmus.lwps, *machine, *more))


def replayed(request: Request, choices: tuple[int, ...]) -> Counterexample | None:
    """Follow a token's schedule; None if nothing breaks.

    What else breaks is looked for first, behind what the program is known to violate, then that.
    """
    with patched(request.patches) as kernel:
        build = builder(request, kernel.run)
        muted = partial(build, muted=request.litmus.violates.get(request.profile, ()))
        mark = kernel.fingerprint().of
        for made in (muted, build):
            if replay(made, list(choices), mark, request.litmus.cpus)[1] is not None:
                return _counterexample(request, kernel, made, list(choices))
        return None
