"""Published curves: conditions, points, and which values of the workload were taken from which point."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from sim.experiments.validation.quantities import QUANTITIES
from sim.experiments.validation.scope import Scope
from sim.timed.costs import load_costs

OFFSET = "offset"
COSTS = "costs."
ITERATIONS = "group.0.iterations"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what a point is run: designs, machine, and dotted keys of the scenario that are set.

    *iterations* are those of the workload's first group, by which quantities are divided; None: the scenario's own, and
    quantities are of the whole run.
    """

    profile: str
    baseline: str
    pcid: bool | None
    costs: str
    iterations: int | None
    overrides: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fit:
    """A value of the workload that the publication does not give, and what it is taken from.

    Attributes:
        key: dotted key of the scenario that gets the value as a time; ``offset``: added to the quantity;
            ``costs.NAME``: a cost of a processor that no cost table describes.
        per_x: whether the value counts once for each unit of x.
        at: the point that gives it, by its place; that point is fitted and not predicted.
        baseline_ns: instead of *at*'s quantity, the published time of an iteration of that point's baseline, in ns.
        points: places of the points that get the value.
        why: what the value stands for.
    """

    key: str
    per_x: bool
    at: int
    baseline_ns: float | None
    points: frozenset[int]
    why: str


@dataclass(frozen=True, slots=True)
class Point:
    """A published point: *x* is a number, or the name of a case; *why* explains a miss or a fitted point.

    *quantity* is a name of ``QUANTITIES``; *figure* is the id under which constants name it; *baseline_ns* is the
    published time of an iteration of its baseline, in ns, if the file gives it.
    """

    x: float | int | str
    published: float
    quantity: str
    conditions: Conditions
    figure: str
    calibrated: bool
    reference: float
    baseline_ns: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A published curve, validated.

    Attributes:
        name: how results call it: the file's name.
        figure, source, sure: id in the published figures, where it is from, how surely it was read.
        x_label, quantity, unit: what the axes mean; *quantity* is that of points that give none of their own, which
            has the same unit.
        logarithmic: whether a chart shows x on a logarithmic axis.
        scenario: file of the workload.
        scope: whose time counts.
        vary: scenario keys that follow x, as text with ``{x}``.
        explained: why points miss, if they do.
    """

    name: str
    title: str
    figure: str
    source: str
    sure: str
    x_label: str
    quantity: str
    logarithmic: bool
    scenario: Path
    scope: Scope
    vary: dict[str, str]
    fits: tuple[Fit, ...]
    points: tuple[Point, ...]
    explained: str
    path: Path = field(compare=False)

    @property
    def unit(self) -> str:
        """Unit of the quantity."""
        return QUANTITIES[self.quantity].unit

    @property
    def weight(self) -> float:
        """How much work the curve is, roughly: points, and runs that find its values, times LWPs if they follow x."""
        crowd = 1.0
        if any(key.endswith(".lwps") for key in self.vary):
            crowd = max(float(point.x) for point in self.points if not isinstance(point.x, str))
        return (len(self.points) + 4 * len(self.fits)) * crowd

    def fitted(self, place: int) -> bool:
        """Whether a point gave a value to the workload or to the cost tables, and so is no prediction."""
        gave = any(fit.at == place and fit.baseline_ns is None for fit in self.fits)
        point = self.points[place]
        return gave or point.calibrated or bool(tuned_on(point.conditions.costs) & {point.figure})


@lru_cache
def tuned_on(costs: str) -> frozenset[str]:
    """Ids of the figures on which some cost of a table was chosen."""
    table = load_costs(costs)
    entries = (*table.figures.values(), *table.shapes.values())
    return frozenset(figure for entry in entries for figure in entry.get("tuned_on", ()))
