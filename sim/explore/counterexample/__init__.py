"""A violation for people: shrunk, replayed with its states, shown as text, picture and page, named by a token."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from sim.explore.counterexample.snapshot import Snapshot, pending, snapshot, unknown
from sim.explore.driver import interrupts
from sim.explore.explorer import Budget, explore
from sim.explore.model import ENDLESS, Broken, Footprint, Violation
from sim.explore.path import LIVELOCK, livelock
from sim.explore.run import KernelRun
from sim.explore.strategies.replay import Replay
from sim.explore.strategies.wrappers import Recording
from sim.explore.watchdog import impatient, watchdog


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One transition.

    Attributes:
        cpu: whose lane it is in.
        number, actor: who acted, as a number and in a word.
        lines: what was done.
        touched: what it touched.
        after, changed: the state after it, and what of the shared state is different.
    """

    cpu: int
    number: int
    actor: str
    lines: tuple[str, ...]
    touched: Footprint
    after: Snapshot
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A schedule that breaks an invariant."""

    litmus: str
    profile: str
    memory: str
    planted: str
    broken: Broken
    choices: tuple[int, ...]
    token: str
    command: str
    steps: tuple[TraceStep, ...]
    ncpus: int

    def since(self, cpu: int) -> list[str]:
        """What the CPU's caches may hold at the end, each with the step since when."""
        first: dict[Hashable, int] = {}
        for number, step in enumerate(self.steps, 1):
            first = {entry: first.get(entry, number) for entry, _ in step.after.cached[cpu]}
        found = [
            f"{text}, since {f'step {first[entry]}' if first[entry] > 1 else 'before the first step'}"
            for entry, text in self.steps[-1].after.cached[cpu]
        ]
        return list(dict.fromkeys(found))


def shrink(build: Callable[[], KernelRun], choices: list[int], broken: Broken, tries: int = 300) -> list[int]:
    """Return a schedule that breaks the same invariant with fewest context switches, then fewest steps.

    A local search: runs of one actor's steps are moved next to another run of the same actor, or left out; *tries*
    bounds the executions.  A livelock is left as it is: an execution alone does not show it.  Code that never ends
    takes long to be known as such, so less is tried there, and less of it waited for.
    """
    if broken.reason.startswith(LIVELOCK):
        return choices
    if ENDLESS not in broken.reason:
        return _shrunk(build, choices, broken, tries)
    with impatient():
        found = _shrunk(build, choices, broken, tries // 10)
    return found if _attempt(build, found, broken) == found else choices


def _shrunk(build: Callable[[], KernelRun], choices: list[int], broken: Broken, left: int) -> list[int]:
    """The best schedule that so many executions find."""
    best = list(choices)
    improved = True
    while improved and left > 0:
        improved = False
        runs = _runs(best)
        for candidate in _candidates(runs):
            if left <= 0:
                break
            left -= 1
            found = _attempt(build, candidate, broken)
            if found is not None and _measure(found) < _measure(best):
                best, improved = found, True
                break
    return best


def _attempt(build: Callable[[], KernelRun], choices: list[int], broken: Broken) -> list[int] | None:
    """Run along *choices* as far as they fit; the choices really made if the same invariant breaks."""
    recording = Recording(Replay(choices, lenient=True))
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


def _candidates(runs: list[tuple[int, int]]) -> list[list[int]]:
    """Schedules near the given one: a run joined to the next or last run of its actor, or dropped."""
    found = []
    for i in range(len(runs) - 1, -1, -1):
        later = next((j for j in range(i + 1, len(runs)) if runs[j][0] == runs[i][0]), None)
        if later is not None:
            found.append(runs[:i] + runs[i + 1 : later] + [runs[i]] + runs[later:])
            found.append(runs[: i + 1] + [runs[later]] + runs[i + 1 : later] + runs[later + 1 :])
        found.append(runs[:i] + runs[i + 1 :])
        for less in (runs[i][1] // 2, runs[i][1] - 1):
            if less:
                found.append(runs[:i] + [(runs[i][0], less)] + runs[i + 1 :])
    return [[actor for actor, length in candidate for _ in range(length)] for candidate in found]


def actor_name(run: KernelRun, actor: int) -> tuple[int, str]:
    """The CPU of an actor, and what it is called."""
    n = run.n
    if actor < n:
        return actor, "cpu"
    if actor < 2 * n:
        return actor - n, "store buffer"
    if actor < 6 * n:
        return (actor - 2 * n) // 4, "interrupt"
    return run.walks_on(actor - 6 * n), "page walk"


class Watched:
    """A traced execution whose transitions are written down, each with the state after it (``steps``).

    One that breaks before the first choice has a single step, that in which it broke.
    """

    def __init__(self, run: KernelRun) -> None:
        self.run = run
        self.steps: list[TraceStep] = []
        self._last = snapshot(run)
        if run.early is not None:
            cpu, name = actor_name(run, run.early[0])
            lines = ("(before the first choice)", *run.trace.notes)
            self.steps.append(TraceStep(cpu, run.early[0], name, lines, (), self._last, ()))
        self.enabled, self.stuck, self.waits, self.finish = run.enabled, run.stuck, run.waits, run.finish

    def step(self, actor: int) -> Footprint:
        """Let the run make the transition, and look at what it did, even if that breaks something."""
        name, footprint = pending(self.run, actor)
        broke = True
        try:
            footprint = self.run.step(actor)
            broke = False
            return footprint
        finally:
            notes = self.run.trace.notes
            said = any(note.startswith(name) for note in notes) or name == "interrupt" and notes
            if broke and not said:
                notes.insert(0, name)
            self._write_down(actor, footprint)

    def follow(self, actors: Sequence[int]) -> None:
        """Make transitions."""
        for actor in actors:
            self.step(actor)

    def _write_down(self, actor: int, footprint: Footprint) -> None:
        cpu, name = actor_name(self.run, actor)
        before, after = dict(self._last.shared), snapshot(self.run)
        changed = tuple(f"{what} {before.get(what, '-')} -> {now}" for what, now in after.shared
                        if before.get(what) != now)  # fmt: skip
        lines = tuple(self.run.trace.notes) or ("(goes on)",)
        self.steps.append(TraceStep(cpu, actor, name, lines, footprint, after, changed))
        self._last = after


@watchdog()
def replay(
    build: Callable[..., KernelRun], choices: list[int], mark: Callable[[KernelRun], bytes], cpus: int
) -> tuple[list[TraceStep], Broken | None]:
    """Run along *choices* exactly; the steps with their states, and what broke.

    *mark* tells states apart: choices that lead back to one of their states may be a livelock.  What breaks as the
    kernel boots is one step of CPU 0, which boots all.
    """
    try:
        watched = Watched(build(traced=True))
    except Violation as early:
        lines = ("(before the first choice)", "the kernel boots")
        return [TraceStep(0, 0, "cpu", lines, (), unknown(cpus), ())], early.broken
    broken = explore(lambda: watched, Replay(choices), Budget(executions=1)).broken
    if broken is None and not watched.enabled():
        broken = explore(build, Replay(choices, lenient=True), Budget(executions=1)).broken
    return watched.steps, broken or _cycle(build(), choices, mark)


def _cycle(run: KernelRun, choices: list[int], mark: Callable[[KernelRun], bytes]) -> Broken | None:
    """The livelock that *choices* end in, if they lead to a state that they have led to before."""
    marks, made = [mark(run)], list[tuple[int, list[int]]]()
    try:
        for actor in choices:
            made.append((actor, run.enabled()))
            run.step(actor)
            marks.append(mark(run))
    except Violation:
        return None
    first = marks.index(marks[-1])
    return livelock(made[first:], interrupts(run.n)) if first < len(made) else None
