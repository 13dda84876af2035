"""A violating schedule with fewer context switches and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sim.explore.explorer import Budget, Strategy, explore
from sim.explore.model import ENDLESS, Broken, Footprint, Violation
from sim.explore.ops.setting import LitmusProgram
from sim.explore.path import LIVELOCK
from sim.explore.run import KernelRun
from sim.explore.strategies.replay import Replay
from sim.explore.strategies.wrappers import Recording
from sim.explore.watchdog import impatient
from sim.hardware.sites import Site


def shrink(build: Callable[[], KernelRun], choices: list[int], broken: Broken, tries: int = 300) -> list[int]:
    """Return a schedule that breaks the same invariant with fewest context switches, then fewest steps.

    A local search: runs of one actor's steps are moved next to another run of the same actor, or left out, first by
    numbers of steps, then by the places that CPUs get to; *tries* bounds the executions.  A livelock is left as it is:
    an execution alone does not show it.  Code that never ends takes long to be known as such, so less is tried there,
    and less of it waited for.
    """
    if broken.reason.startswith(LIVELOCK):
        return choices
    if ENDLESS not in broken.reason:
        best = _shrunk(build, choices, broken, tries)
        while (shorter := _by_places(build, best, broken, tries // 4)) != best:
            best = _shrunk(build, shorter, broken, tries)
        return best
    with impatient():
        found = _shrunk(build, choices, broken, tries // 10)
    return found if _attempt(build, found, broken) == found else choices


def _shrunk(build: Callable[[], KernelRun], choices: list[int], broken: Broken, tries: int) -> list[int]:
    """The best schedule that so many executions find, from the last run of steps to the first, again and again."""
    best = list(choices)
    tried: set[tuple[int, ...]] = set()
    improved = True
    while improved:
        improved = False
        at = len(_runs(best)) - 1
        while at >= 0:
            better = None
            for candidate in _candidates(_runs(best), at):
                if tuple(candidate) in tried:
                    continue
                if len(tried) == tries:
                    return best
                tried.add(tuple(candidate))
                found = _attempt(build, candidate, broken)
                if found is not None and _measure(found) < _measure(best):
                    better = found
                    break
            if better is None:
                at -= 1
            else:
                best, improved = better, True
                at = min(at, len(_runs(best)) - 1)
    return best


def _attempt(build: Callable[[], KernelRun], choices: list[int], broken: Broken) -> list[int] | None:
    """Run along *choices* as far as they fit; the choices really made if the same invariant breaks."""
    return _made(build, Replay(choices, lenient=True), broken)


def _made(build: Callable[[], KernelRun], strategy: Strategy, broken: Broken) -> list[int] | None:
    """The choices of one execution if the same invariant breaks."""
    recording = Recording(strategy)
    outcome = explore(build, recording, Budget(executions=1))
    if outcome.broken is not None and outcome.broken.invariant == broken.invariant:
        return list(recording.choices)
    return None


def _runs(choices: list[int]) -> list[tuple[int, int]]:
    """(actor, length) of each run of steps of one actor."""
    runs: list[tuple[int, int]] = []
    for actor in choices:
        if runs and runs[-1][0] == actor:
            runs[-1] = (actor, runs[-1][1] + 1)
        else:
            runs.append((actor, 1))
    return runs


def _measure(choices: list[int]) -> tuple[int, int]:
    return len(_runs(choices)), len(choices)


def _candidates(runs: list[tuple[int, int]], i: int) -> Iterator[list[int]]:
    """Schedules near the given one: that run joined to the next or last run of its actor, dropped, or made shorter."""
    later = next((j for j in range(i + 1, len(runs)) if runs[j][0] == runs[i][0]), None)
    if later is not None:
        yield _choices(runs[:i] + runs[i + 1 : later] + [runs[i]] + runs[later:])
        yield _choices(runs[: i + 1] + [runs[later]] + runs[i + 1 : later] + runs[later + 1 :])
    yield _choices(runs[:i] + runs[i + 1 :])
    for less in (runs[i][1] // 2, runs[i][1] - 1):
        if less:
            yield _choices(runs[:i] + [(runs[i][0], less)] + runs[i + 1 :])


def _choices(runs: list[tuple[int, int]]) -> list[int]:
    return [actor for actor, length in runs for _ in range(length)]


# --- by places ------------------------------------------------------------------------------------------------------


class Stretch(NamedTuple):
    """Steps of one actor: so many, or, of a CPU, until it is for the *times*-th time about to make one at a place."""

    actor: int
    length: int
    until: Site | None
    times: int


class Guided:
    """Follow stretches, as far as they fit, then the last actor.  *runs* has the execution under way.

    A CPU that is spared an interrupt gets to a place in fewer steps: numbers would lead it past.
    """

    learns = False

    def __init__(self, stretches: Sequence[Stretch], runs: list[KernelRun]) -> None:
        self._stretches = stretches
        self._runs = runs
        self._at = self._steps = self._times = 0
        self._begun = False
        self._last = -1

    def begin(self) -> bool:
        """Once."""
        begun, self._begun = self._begun, True
        return not begun

    def choose(self, enabled: Sequence[int]) -> int:
        """The actor of the stretch, until its end."""
        while self._at < len(self._stretches):
            stretch = self._stretches[self._at]
            if stretch.actor in enabled and not self._over(stretch):
                self._steps += 1
                self._last = stretch.actor
                return stretch.actor
            self._at += 1
            self._steps = self._times = 0
        if self._last not in enabled:
            self._last = enabled[0]
        return self._last

    def _over(self, stretch: Stretch) -> bool:
        if stretch.until is None or not self._steps:
            return self._steps >= stretch.length
        self._times += self._runs[0].machine.steps[stretch.actor][1] is stretch.until
        return self._times >= stretch.times or self._steps >= 2 * stretch.length

    def took(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""


def _by_places(build: Callable[[], KernelRun], choices: list[int], broken: Broken, tries: int) -> list[int]:
    """The first better schedule that leaves out a stretch, or all of one behind the beginning of an operation."""
    stretches = _stretches(choices, _places(build, choices))
    for _, candidate in zip(range(tries), _fewer(stretches), strict=False):
        runs: list[KernelRun] = []

        def made(runs: list[KernelRun] = runs) -> KernelRun:
            runs.append(build())
            return runs[0]

        found = _made(made, Guided(candidate, runs), broken)
        if found is not None and _measure(found) < _measure(choices):
            return found
    return choices


def _places(build: Callable[[], KernelRun], choices: list[int]) -> list[Site | None]:
    """Where the CPU is after each of its choices; None for other actors, and for the one that breaks something."""
    found: list[Site | None] = []
    try:
        run = build()
        for actor in choices:
            run.step(actor)
            found.append(run.machine.steps[actor][1] if actor < run.n else None)
    except Violation:
        pass
    return found + [None] * (len(choices) - len(found))


def _stretches(choices: list[int], places: list[Site | None]) -> list[list[Stretch]]:
    """For each run of an actor's steps: itself, and what of it comes before each operation that begins in it."""
    found: list[list[Stretch]] = []
    at = 0
    for actor, length in _runs(choices):
        there = places[at : at + length]
        ends = [length, *(i for i in range(length - 1, 0, -1) if _begins(there[i - 1]))]
        found.append([Stretch(actor, end, there[end - 1], there[:end].count(there[end - 1])) for end in ends])
        at += length
    return found


def _begins(place: Site | None) -> bool:
    """Whether that is where an operation of the program begins."""
    return place is not None and place.procedure == LitmusProgram.start.procedure


def _fewer(stretches: list[list[Stretch]]) -> Iterator[list[Stretch]]:
    """All stretches but one, or with one cut short, the last first.

    If an interrupt goes with it whose handler came to a later stretch's place, too, that is met once less.
    """
    whole = [kinds[0] for kinds in stretches]
    for i in range(len(whole) - 1, -1, -1):
        later = whole[i + 1 :]
        sooner = [it._replace(times=max(1, it.times - 1)) for it in later]
        for rest in (later, sooner) if sooner != later else (later,):
            yield whole[:i] + rest
            for shorter in reversed(stretches[i][1:]):
                yield [*whole[:i], shorter, *rest]
