"""A violation for people: shrunk, replayed with its states, shown as text, picture and page, named by a token."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sim.explore.counterexample.snapshot import EMPTY, Freed, Snapshot, pending, snapshot, unknown
from sim.explore.counterexample.walked import walked
from sim.explore.driver import interrupts
from sim.explore.explorer import Budget, explore
from sim.explore.model import Broken, Footprint, Violation
from sim.explore.path import livelock
from sim.explore.run import KernelRun
from sim.explore.strategies.replay import Replay
from sim.explore.watchdog import watchdog


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One transition.

    Attributes:
        cpu: whose lane it is in.
        number, actor: who acted, as a number and in a word.
        lines: what was done.
        touched: what it touched, but for words of page tables that walks alone read and that do not matter.
        walked: words of page tables among them that walks alone read.
        after, changed: the state after it, and what of the shared state is different.
    """

    cpu: int
    number: int
    actor: str
    lines: tuple[str, ...]
    touched: Footprint
    after: Snapshot
    changed: tuple[str, ...]
    walked: frozenset[Hashable] = frozenset()


class Kept(NamedTuple):
    """What a CPU's caches may hold, since when, and whether by then the tables have something else."""

    text: str
    stale: bool


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

    def since(self, cpu: int) -> list[Kept]:
        """What the CPU's caches may hold at the end, each with the step since when."""
        first: dict[Hashable, int] = {}
        for number, step in enumerate(self.steps, 1):
            first = {held.key: first.get(held.key, number) for held in step.after.cached[cpu]}
        found = [
            Kept(
                f"{it.text}, since {f'step {first[it.key]}' if first[it.key] > 1 else 'before the first step'}",
                it.stale,
            )
            for it in self.steps[-1].after.cached[cpu]
        ]
        return list(dict.fromkeys(found))


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
        self._freed = Freed(run)
        self._last = snapshot(run, self._freed)
        if run.early is not None:
            cpu, name = actor_name(run, run.early[0])
            lines = ("(before the first choice)", *run.trace.notes)
            self.steps.append(TraceStep(cpu, run.early[0], name, lines, (), self._last, ()))
        self.enabled, self.stuck, self.waits, self.finish = run.enabled, run.stuck, run.waits, run.finish

    def step(self, actor: int) -> Footprint:
        """Let the run make the transition, and look at what it did, even if that breaks something."""
        name, text, footprint = pending(self.run, actor)
        step = self.run.machine.steps[actor] if actor < self.run.n else None
        broke = True
        try:
            footprint = self.run.step(actor)
            broke = False
            return footprint
        finally:
            notes = self.run.trace.notes
            said = any(note.startswith(name) for note in notes) or name == "interrupt" and notes
            if broke and not said:
                notes.insert(0, text)
            self._write_down(actor, footprint, step)

    def follow(self, actors: Sequence[int]) -> None:
        """Make transitions."""
        for actor in actors:
            self.step(actor)

    def _write_down(self, actor: int, footprint: Footprint, step: tuple[Any, ...] | None) -> None:
        cpu, name = actor_name(self.run, actor)
        after = snapshot(self.run, self._freed)
        changed = (*_changes(self._last, after), *self._freed.lately())
        lines = tuple(self.run.trace.notes) or ("(goes on)",)
        words, others = frozenset[Hashable](), frozenset[Hashable]()
        if step is not None:
            fresh = bool(after.keys(cpu) - self._last.keys(cpu))
            words, others = walked(self.run, cpu, step, footprint, fresh=fresh)
        touched = tuple(it for it in footprint if it[0] not in others)
        self.steps.append(TraceStep(cpu, actor, name, lines, touched, after, changed, words))
        self._last = after


def _changes(old: Snapshot, new: Snapshot) -> list[str]:
    """What is different in what CPUs share; of what has come to be, what is not empty."""
    before = dict(old.shared)
    found = [(what, before.get(what), now) for what, now in new.shared if before.get(what) != now]
    return [f"{what} {was} -> {now}" if was is not None else f"{what} is {now}" for what, was, now in found
            if was is not None or now not in EMPTY]  # fmt: skip


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
