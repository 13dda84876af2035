"""How sure a difference is: the pair again, with what a recording cannot know drawn anew, in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.shares import share
from analysis.units import PLACES
from sim.errors import InputError
from sim.timed.paired import run_paired
from sim.workers import Workers

if TYPE_CHECKING:
    from scenarios.scenario import Scenario
    from sim.timed.paired import PairedResult

MOST = 1000
QUICK_EVENTS = 50_000  # so many recorded events, all repeats together, still keep a command quick
USUAL = 5
IN_PROCESS_EVENTS = 3_000  # fewer are run sooner than a process has started
CONFIDENCE = 0.95
MEASURED = {"busy": "busy_cycles", "elapsed": "elapsed_cycles"}
Numbers = dict[str, tuple[int, int]]  # baseline and profile, by what was measured

_scenario: Scenario | None = None


def usual_repeats(events: int) -> int:
    """How often a recording of so many events is run by default; a behaviour (0) once."""
    return min(max(QUICK_EVENTS // events, 1), USUAL) if events else 1


def check_repeats(repeats: int) -> int:
    """Return *repeats* if it is a number of repeats.  Raises InputError."""
    if not 1 <= repeats <= MOST:
        raise InputError(f"--repeat {repeats}: must be from 1 to {MOST}")
    return repeats


def run_repeats(scenario: Scenario, repeats: int, options: Mapping[str, Any], jobs: int) -> list[Numbers]:
    """Run draws 1 to *repeats* - 1 of *scenario* with the *options* of :func:`sim.timed.paired.run_paired`.

    *jobs*: at most so many processes.
    """
    draws = range(1, repeats)
    if scenario.events * len(draws) <= IN_PROCESS_EVENTS or min(jobs, len(draws)) < 2:
        return [_draw(scenario, draw, options) for draw in draws]
    with Workers(min(jobs, len(draws)), _open, scenario.reopen) as workers:
        waiting = [workers.submit(_one, draw, dict(options)) for draw in draws]
        return [future.result() for future in waiting]


def _open(reopen: Callable[[], Scenario]) -> None:
    """Open the scenario once for all draws of this process."""
    global _scenario  # noqa: PLW0603 - what a process knows besides its arguments
    _scenario = reopen()


def _one(draw: int, options: Mapping[str, Any]) -> Numbers:
    """One draw in a worker."""
    assert _scenario is not None
    return _draw(_scenario, draw, options)


def _draw(scenario: Scenario, draw: int, options: Mapping[str, Any]) -> Numbers:
    """Run one draw."""
    return numbers(run_paired(lambda: replace(scenario.source(), draw=draw), **options))


def numbers(pair: PairedResult) -> Numbers:
    """Return of a pair the CPU and elapsed time of those asked for (cycles)."""
    whose, base, profile = share(pair), pair.baseline, pair.profile
    if whose:
        return {what: (whose[key]["baseline"], whose[key]["profile"]) for what, key in MEASURED.items()}
    return {what: (getattr(base, key), getattr(profile, key)) for what, key in MEASURED.items()}


def sureness(first: Numbers, others: Sequence[Numbers]) -> dict[str, Any]:
    """Return the part of ``summary.json`` on repeats: of CPU and elapsed time percents, mean, and its interval."""
    runs = [first, *others]
    return {"runs": len(runs)} | {what: _interval([run[what] for run in runs]) for what in MEASURED}


def _interval(pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """The percents by which the profiles exceed their baselines, with the 95 % interval of their mean."""
    percents = [100 * (profile - base) / base if base else 0.0 for base, profile in pairs]
    mean = sum(percents) / len(percents)
    low = high = None
    if len(percents) > 1:
        from scipy.stats import t

        spread = (sum((p - mean) ** 2 for p in percents) / (len(percents) - 1)) ** 0.5
        half = float(t.ppf((1 + CONFIDENCE) / 2, len(percents) - 1)) * spread / len(percents) ** 0.5
        low, high = round(mean - half, PLACES), round(mean + half, PLACES)
    return {"percents": [round(p, PLACES) for p in percents], "mean": round(mean, PLACES), "low": low, "high": high}
