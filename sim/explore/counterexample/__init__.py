"""A violation for people: shrunk, replayed with its states, shown as text, picture and page, named by a token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sim.explore.explorer import Budget, explore
from sim.explore.machine import Buffered
from sim.explore.model import Broken, Footprint, Violation
from sim.explore.path import LIVELOCK, livelock
from sim.explore.run import KernelRun
from sim.explore.strategies.replay import Replay
from sim.explore.strategies.wrappers import Recording


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is to be seen between two steps: one line of facts for each CPU, and the page directories' user slots."""

    cpus: tuple[str, ...]
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One transition: the CPU whose lane it is in, who acted, what was done, and the state after it."""

    cpu: int
    actor: str
    lines: tuple[str, ...]
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


def shrink(build: Callable[[], KernelRun], choices: list[int], broken: Broken, tries: int = 300) -> list[int]:
    """Return a schedule that breaks the same invariant with fewest context switches, then fewest steps.

    A local search: runs of one actor's steps are moved next to another run of the same actor, or left out; *tries*
    bounds the executions.  A livelock is left as it is: an execution alone does not show it.
    """
    if broken.reason.startswith(LIVELOCK):
        return choices
    best = list(choices)
    left = tries
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
    return (actor - 2 * n) // 4, "interrupt"


def snapshot(run: KernelRun) -> Snapshot:
    """The state of CPUs and page directories."""
    machine = run.machine
    k = machine.kernel
    cpus = []
    for i, ci in enumerate(k.cpus):
        mode = "user" if ci.cpu.user else "kernel"
        facts = [f"{machine.current[i].l_name} {mode}", f"CR3={machine.mem.name(ci.cpu.cr3_pa)}"]
        if run.judge.locks.held[i]:
            facts.append("holds " + ", ".join(mutex.name for mutex in run.judge.locks.held[i]))
        if machine.buffers[i]:
            facts.append("buffered " + ", ".join(_buffered(entry) for entry in machine.buffers[i]))
        if machine.apics[i].pending:
            facts.append(f"pending {len(machine.apics[i].pending)} interrupt(s)" + ("" if ci.cpu.intr else ", IF off"))
        cpus.append("; ".join(facts))
    slots = k.geometry.user_slots
    tables = [f"{p.name}.pm_pdir {_slots(p.pm_pdir.v[:slots])} pm_cpus={p.pm_cpus.v[0]:b} "
              f"pm_kernel_cpus={p.pm_kernel_cpus.v[0]:b}" for p in run.judge.uses.followed]  # fmt: skip
    if k.design.per_cpu:
        tables += [f"cpu{ci.ci_index}.ci_svs_updir {_slots(ci.ci_svs_updir.v[:slots])}" for ci in k.cpus]
    return Snapshot(tuple(cpus), tuple(tables))


def _buffered(entry: Buffered) -> str:
    words, index, value, _, mutex = entry
    if words is None:
        return f"{mutex} free"
    return f"{words.word_name(index)}={value:#x}" if isinstance(value, int) else str(words)


def _slots(values: list[int]) -> str:
    return "[" + " ".join(f"{value:#x}" if value else "-" for value in values) + "]"


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
            self.steps.append(TraceStep(cpu, name, lines, self._last, ()))
        self.enabled, self.stuck, self.waits, self.finish = run.enabled, run.stuck, run.waits, run.finish

    def step(self, actor: int) -> Footprint:
        """Let the run make the transition, and look at what it did, even if that breaks something."""
        try:
            return self.run.step(actor)
        finally:
            self._write_down(actor)

    def follow(self, actors: Sequence[int]) -> None:
        """Make transitions."""
        for actor in actors:
            self.step(actor)

    def _write_down(self, actor: int) -> None:
        cpu, name = actor_name(self.run, actor)
        before, after = self._last.tables, snapshot(self.run)
        changed = tuple(
            f"{old} -> {new}" if len(old) < 60 else new
            for old, new in zip(before, after.tables, strict=False)
            if old != new
        )
        lines = tuple(self.run.trace.notes) or ("(goes on)",)
        self.steps.append(TraceStep(cpu, name, lines, after, changed))
        self._last = after


def replay(
    build: Callable[..., KernelRun], choices: list[int], mark: Callable[[KernelRun], bytes]
) -> tuple[list[TraceStep], Broken | None, KernelRun]:
    """Run along *choices* exactly; the steps with their states, and what broke.

    *mark* tells states apart: choices that lead back to one of their states may be a livelock.
    """
    watched = Watched(build(traced=True))
    broken = explore(lambda: watched, Replay(choices), Budget(executions=1)).broken
    if broken is None and not watched.enabled():
        broken = explore(build, Replay(choices, lenient=True), Budget(executions=1)).broken
    return watched.steps, broken or _cycle(build(), choices, mark), watched.run


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
    return livelock(made[first:]) if first < len(made) else None
