"""From a curve to predictions: its values are taken from the points that give them, then every point is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from scenarios.open import open_scenario
from sim.errors import InputError
from sim.experiments.failed import Failed, attempt
from sim.experiments.validation.curves import COSTS, ITERATIONS, OFFSET, Conditions, Curve, Fit
from sim.experiments.validation.null import null_paired
from sim.experiments.validation.quantities import QUANTITIES, iteration_ns
from sim.kernel.designs import make_design
from sim.timed.costs import load_costs
from sim.timed.paired import PairedResult, run_once, run_paired

if TYPE_CHECKING:
    from scenarios.scenario import Scenario

ROUNDS = 3
STEPS = 12
CLOSE = 0.001
ACCEPTED = 0.02
START_CYCLES = 400.0

Progress = Callable[[int, int], None]
Pair = Callable[["Scenario", Conditions, dict[str, int]], PairedResult]


@dataclass(frozen=True, slots=True)
class Prediction:
    """A curve's predictions, one for each point, and the values that were taken from points (cycles, or offset).

    A point that could not be run is :class:`~sim.experiments.failed.Failed`, as are all of a curve of which a fit could
    not be made; *fits* is empty then. *null* are the null model's predictions of the same points, with the same fits.
    """

    curve: Curve
    predicted: tuple[float | Failed, ...]
    fits: tuple[float, ...]
    null: tuple[float, ...]


def simulated(scenario: Scenario, conditions: Conditions, changed: dict[str, int]) -> PairedResult:
    """Simulate a point, with *changed* costs: once, if it is its own baseline."""
    costs = scenario.costs.with_cycles(changed)
    if conditions.profile == conditions.baseline:
        run = run_once(
            scenario.source(), conditions.profile, pcid=conditions.pcid, cpus=scenario.cpus, costs=costs,
        )  # fmt: skip
        return PairedResult(run, run)
    return run_paired(
        scenario.source, profile=conditions.profile, baseline=conditions.baseline, pcid=conditions.pcid,
        cpus=scenario.cpus, costs=costs, seed=scenario.seed,
    )  # fmt: skip


def of_constants(curve: Curve) -> Pair:
    """Return what prices a point by the null model.

    A cost that the curve brings can only be that of a crossing, of the sort (with PCID or without) that gave it.
    """
    sorts = {_has_pcid(curve.points[fit.at].conditions) for fit in curve.fits if fit.key.startswith(COSTS)}

    def price(scenario: Scenario, conditions: Conditions, changed: dict[str, int]) -> PairedResult:
        own = next(iter(changed.values()), None) if _has_pcid(conditions) in sorts else None
        return null_paired(
            scenario.source, profile=conditions.profile, baseline=conditions.baseline, pcid=conditions.pcid,
            cpus=scenario.cpus, costs=scenario.costs, crossing=own,
        )  # fmt: skip

    return price


def _has_pcid(conditions: Conditions) -> bool:
    """Whether the profile runs with PCID."""
    return make_design(conditions.profile, conditions.pcid).pcid


class _Runner:
    """Gets the points of a curve from *run* with given values of its fits.

    Where no value of a fit gives the published point, that is an error; *lenient*: the quantity gets an offset instead,
    which flatters.
    """

    def __init__(self, curve: Curve, seed: int | None, run: Pair, *, lenient: bool = False) -> None:
        self.curve = curve
        self.seed = seed
        self.run = run
        self.lenient = lenient
        self.values = [self._start(fit) for fit in curve.fits]
        self.offsets = [0.0 for _ in curve.fits]

    def _start(self, fit: Fit) -> float:
        """Where the search for a fit's value begins: the table's cost, or a time of moderate length at its point."""
        if fit.key == OFFSET:
            return 0.0
        if fit.key.startswith(COSTS):
            costs = load_costs(self.curve.points[fit.at].conditions.costs)
            return float(costs.cycles()[fit.key.removeprefix(COSTS)])
        return START_CYCLES / (float(self.curve.points[fit.at].x) if fit.per_x else 1.0)

    def pair(self, place: int) -> PairedResult:
        """Run one point under its conditions."""
        curve, point = self.curve, self.curve.points[place]
        conditions = point.conditions
        overrides = dict(conditions.overrides)
        if conditions.iterations is not None:
            overrides[ITERATIONS] = conditions.iterations
        for key, text in curve.vary.items():
            filled = text.replace("{x}", str(point.x))
            overrides[key] = int(filled) if filled.isascii() and filled.isdigit() else filled
        changed: dict[str, int] = {}
        for key in dict.fromkeys(fit.key for fit in curve.fits if fit.key != OFFSET and place in fit.points):
            cycles = max(1, round(self._time(key, place)))
            if key.startswith(COSTS):
                changed[key.removeprefix(COSTS)] = cycles
            else:
                overrides[key] = f"{cycles} cycles"
        scenario = open_scenario(curve.scenario, costs=conditions.costs, seed=self.seed, overrides=overrides)
        return self.run(scenario, conditions, changed)

    def _share(self, place: int) -> int:
        """By what a run's total is divided."""
        return self.curve.points[place].conditions.iterations or 1

    def _time(self, key: str, place: int) -> float:
        """Cycles that the fits give to a key at a point."""
        x = self.curve.points[place].x
        return sum(
            value * (float(x) if fit.per_x else 1.0)
            for fit, value in zip(self.curve.fits, self.values, strict=True)
            if fit.key == key and place in fit.points
        )

    def quantity(self, place: int) -> float:
        """The curve's quantity at a point, offset included."""
        value = QUANTITIES[self.curve.points[place].quantity].of(self.pair(place), self._share(place), self.curve.scope)
        fits = zip(self.curve.fits, self.values, self.offsets, strict=True)
        return value + sum((own if fit.key == OFFSET else 0) + more for fit, own, more in fits if place in fit.points)

    def fit(self, number: int) -> None:
        """Give one fit the value with which its point comes out as published."""
        fit = self.curve.fits[number]
        start = self.values[number]
        if fit.key == OFFSET:
            self.values[number] += self.curve.points[fit.at].published - self.quantity(fit.at)
            return
        try:
            self._search(number, fit)
        except InputError:
            if not self.lenient:
                raise
            self.values[number] = start
            if fit.baseline_ns is None:
                self.offsets[number] += self.curve.points[fit.at].published - self.quantity(fit.at)

    def _search(self, number: int, fit: Fit) -> None:
        """Look for the value; InputError if there is none."""
        point = self.curve.points[fit.at]
        target = fit.baseline_ns if fit.baseline_ns is not None else point.published
        inverse = fit.baseline_ns is None and QUANTITIES[point.quantity].reciprocal

        def miss(value: float) -> float:
            self.values[number] = value
            got = self._observed(fit)
            if inverse:
                return target / got - 1 if got else -1.0
            return got / target - 1

        step = 1.0 / (float(point.x) if fit.per_x else 1.0)
        self.values[number] = _root(miss, self.values[number], step, self._complain(fit, target))

    def _observed(self, fit: Fit) -> float:
        """What a fit is compared by."""
        if fit.baseline_ns is None:
            return self.quantity(fit.at)
        return iteration_ns(self.pair(fit.at).baseline, self._share(fit.at), self.curve.scope)

    def _complain(self, fit: Fit, target: float) -> InputError:
        x = self.curve.points[fit.at].x
        what = "baseline_ns" if fit.baseline_ns is not None else "published value"
        return InputError(
            f"{self.curve.path}: fit of '{fit.key}': no time, zero or more, gives the {what} {target:g} at x = {x}"
        )


def _root(miss: Callable[[float], float], start: float, step: float, complaint: InputError) -> float:
    """The value, zero or more, at which *miss* is about zero (secant method); *complaint* if there is none.

    Times are whole cycles, so *miss* has steps, on which the secant of ``scipy.optimize`` divides by zero.
    """
    before, value = start, 1.5 * start + 1e-6
    last, now = miss(before), miss(value)
    for _ in range(STEPS):
        if abs(now) <= CLOSE or abs(value - before) <= 1e-6 * value:
            break
        if now == last:  # times are whole cycles: nearer it can't come
            break
        following = max(0.0, value - now * (value - before) / (now - last))
        before, last, value = value, now, following
        now = miss(value)
    return value if abs(now) <= ACCEPTED else _nearest(miss, value, step, complaint)


def _nearest(miss: Callable[[float], float], value: float, step: float, complaint: InputError) -> float:
    """Where one cycle (*step*) is too coarse: the better of two neighbours, one of which misses up, the other down."""
    middle = round(value / step) * step
    misses = {near: miss(near) for near in (middle - step, middle, middle + step) if near > 0}
    if not misses or min(misses.values()) > 0 or max(misses.values()) < 0:
        raise complaint
    best = min(misses, key=lambda near: abs(misses[near]))
    miss(best)
    return best


def predict(curve: Curve, *, seed: int | None = None, progress: Progress | None = None) -> Prediction:
    """Take the curve's values from their points, then run all points; the same by the null model.

    *progress* gets the number of points done, and of all.
    """
    places = range(len(curve.points))
    runner = attempt(lambda: _fitted(_Runner(curve, seed, simulated)))
    null = attempt(lambda: _priced(curve, seed))
    predicted: list[float | Failed] = []
    for place in places:
        if isinstance(runner, Failed):
            predicted.append(runner)
        elif isinstance(null, Failed):
            predicted.append(null)
        else:
            predicted.append(attempt(partial(runner.quantity, place)))
        if progress is not None:
            progress(place + 1, len(places))
    fits = () if isinstance(runner, Failed) else tuple(runner.values)
    return Prediction(curve, tuple(predicted), fits, (0.0,) * len(places) if isinstance(null, Failed) else null)


def _priced(curve: Curve, seed: int | None) -> tuple[float, ...]:
    """The null model's predictions."""
    null = _fitted(_Runner(curve, seed, of_constants(curve), lenient=True))
    return tuple(null.quantity(place) for place in range(len(curve.points)))


def _fitted(runner: _Runner) -> _Runner:
    """Give all fits their values; those that share points depend on each other, and take some rounds."""
    fits = runner.curve.fits
    coupled = any(a.points & b.points for a in fits for b in fits if a is not b)
    for _ in range(ROUNDS if coupled else 1):
        for number in range(len(fits)):
            runner.fit(number)
    return runner
