"""A sample of a recording: each window a pair of runs of its own, and what they come to together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from analysis.sampling import enough, points, ratio
from analysis.shares import by_cause
from sim.timed.paired import PairedResult, RunResult, run_paired
from sim.timed.recorder import Frame, frame
from sim.timed.schema import columns_of
from sim.workers import Workers

if TYPE_CHECKING:
    from scenarios.recordings.parts import Parts
    from scenarios.scenario import Scenario

SUMMED = ("cycles_deducted", "cycles_not_deductible", "resident_pages", "blocked_at_end")  # of each window's run
Progress = Callable[[str, float], None]
Run = Callable[..., PairedResult]

_parts: Parts | None = None


def run_sample(
    scenario: Scenario, options: Mapping[str, Any], *, jobs: int, progress: Progress | None = None,
    run: Run | None = None,
) -> tuple[PairedResult, dict[str, Any]]:  # fmt: skip
    """Run all windows of a scenario opened with a sample, with the *options* of :func:`sim.timed.paired.run_paired`.

    Returns the sums over the windows, and what ``summary.json`` says of the sample.  *jobs*: at most so many processes.
    *run*: how to run the pair of a window, by its number, in this process instead.
    """
    parts = scenario.parts
    assert parts is not None
    pairs = []
    for done, pair in enumerate(_pairs(scenario, parts, options, jobs, run), 1):
        pairs.append(pair)
        if progress is not None:
            for stage in ("baseline", "profile"):
                progress(stage, done / len(parts.parts))
    work = sum(part.work for part in parts.parts)
    baseline = _together([pair.baseline for pair in pairs], parts, work)
    profile = _together([pair.profile for pair in pairs], parts, work)
    lines = sum(part.lines for part in parts.parts)
    return PairedResult(baseline, profile), _of(pairs, lines, baseline.recorded["events"])


def _pairs(
    scenario: Scenario, parts: Parts, options: Mapping[str, Any], jobs: int, run: Run | None
) -> Iterator[PairedResult]:
    """The pair of each window, in their order."""
    numbers = range(len(parts.parts))
    if run is not None or min(jobs, len(numbers)) < 2:
        for number in numbers:
            source = partial(parts.source, number)
            yield run_paired(source, **options) if run is None else run(number, source, **options)
        return
    with Workers(min(jobs, len(numbers)), _open, scenario.reopen) as workers:
        yield from workers.map(_one, numbers, [dict(options)] * len(numbers))


def _open(reopen: Callable[[], Scenario]) -> None:
    """Open the scenario once for all windows of this process."""
    global _parts  # noqa: PLW0603 - what a process knows besides its arguments
    _parts = reopen().parts


def _one(number: int, options: Mapping[str, Any]) -> PairedResult:
    """One window in a worker."""
    assert _parts is not None
    return run_paired(partial(_parts.source, number), **options)


# --- sums -----------------------------------------------------------------------------------------------------------


def _together(runs: Sequence[RunResult], parts: Parts, work: int) -> RunResult:
    """The sums over the windows' runs under one design."""
    first = runs[0]
    rows = zip(parts.parts, runs, strict=True)
    return replace(
        first,
        elapsed_cycles=sum(run.elapsed_cycles for run in runs),
        busy_cycles=sum(run.busy_cycles for run in runs),
        conserved=all(run.conserved for run in runs),
        ledger={cause: _pair_sum(run.ledger[cause] for run in runs) for cause in first.ledger},
        counters=_sums(run.counters for run in runs),
        assumptions=first.assumptions | {
            name: sum(run.assumptions.get(name, 0) for run in runs) for name in SUMMED if name in first.assumptions
        },
        recorded=first.recorded | {"sampled_cycles": work},
        frames={
            "tasks": _tasks(run.frames["tasks"] for run in runs),
            "calls": _calls(run.frames["calls"] for run in runs),
            "windows": frame("windows", [
                [part.window.number, part.since, part.lines, part.work, run.busy_cycles, run.elapsed_cycles]
                for part, run in rows
            ]),
        },
    )  # fmt: skip


def _pair_sum(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    counts, cycles = zip(*pairs, strict=True)
    return sum(counts), sum(cycles)


def _sums(counted: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sums by name."""
    found: dict[str, int] = {}
    for each in counted:
        for name, n in each.items():
            found[name] = found.get(name, 0) + n
    return dict(sorted(found.items()))


def _rows(frames: Iterable[Frame], name: str) -> Iterator[list[Any]]:
    """The rows of a frame of all windows."""
    for each in frames:
        yield from map(list, zip(*(each[column] for column in columns_of(name)), strict=True))


def _tasks(frames: Iterable[Frame]) -> Frame:
    """The frame of tasks: the last two columns are summed."""
    found: dict[tuple[Any, ...], tuple[int, int]] = {}
    for *key, count, cycles in _rows(frames, "tasks"):
        found[tuple(key)] = _pair_sum([found.get(tuple(key), (0, 0)), (count, cycles)])
    return frame("tasks", [[*key, *found[key]] for key in sorted(found)])


def _calls(frames: Iterable[Frame]) -> Frame:
    """The frame of calls: how many there were stands in all rows of a call."""
    found: dict[tuple[Any, ...], tuple[int, int]] = {}
    made: dict[tuple[Any, ...], int] = {}
    for each in frames:
        own: dict[tuple[Any, ...], int] = {}
        for *call, calls, cause, count, cycles in _rows([each], "calls"):
            own[tuple(call)] = calls
            key = (*call, cause)
            found[key] = _pair_sum([found.get(key, (0, 0)), (count, cycles)])
        for call_key, calls in own.items():
            made[call_key] = made.get(call_key, 0) + calls
    return frame("calls", [[*key[:-1], made[key[:-1]], key[-1], *found[key]] for key in sorted(found)])


# --- what the windows say of the whole ------------------------------------------------------------------------------


def _of(pairs: Sequence[PairedResult], lines: int, of_lines: int) -> dict[str, Any]:
    """The part of ``summary.json`` on the sample: what it is of, and the estimates with their intervals."""
    causes = [(_by_cause(pair.baseline), _by_cause(pair.profile)) for pair in pairs]
    busy = [(sum(base.values()), sum(profile.values())) for base, profile in causes]
    bases = [base for base, _ in busy]
    estimate = ratio(busy)
    names = sorted({cause for both in causes for run in both for cause in run})
    added = {name: [(base.get(name, 0), profile.get(name, 0)) for base, profile in causes] for name in names}
    return {
        "windows": len(pairs),
        "lines": lines,
        "of_lines": of_lines,
        "confidence": 0.95,
        "busy": estimate,
        "enough_windows": enough(estimate, len(pairs)),
        "causes": [{"cause": name, **points(added[name], bases)} for name in names],
    }


def _by_cause(run: RunResult) -> dict[str, int]:
    """CPU cycles by cause, of those whom the run was asked about."""
    found = by_cause(run, chosen=True) if run.whose else run.ledger
    return {cause: cycles for cause, (_, cycles) in found.items()}
