"""What the parts of the model buy: curves predicted again with one part taken out, each with its own fits."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from sim.experiments.validation.jobs import validate
from sim.inputs.toml import read_toml
from sim.timed.cost_options import with_options

if TYPE_CHECKING:
    from sim.experiments.validation.curves import Conditions, Curve
    from sim.experiments.validation.outcome import Outcome

Row = dict[str, Any]


class Part(NamedTuple):
    """A part of the model: what it is, and how a point of a curve is run without it."""

    says: str
    without: Callable[[Curve, Conditions], Conditions]


def _costs(conditions: Conditions, *, add: str = "", remove: str = "") -> Conditions:
    """Another option of the cost table."""
    return replace(conditions, costs=with_options(conditions.costs, add=add, remove=remove))


def _designs(conditions: Conditions, change: Callable[[list[str]], list[str]]) -> Conditions:
    """Other variations of profile and baseline."""
    profile, baseline = ("+".join(change(name.split("+"))) for name in (conditions.profile, conditions.baseline))
    return replace(conditions, profile=profile, baseline=baseline)


def _with(conditions: Conditions, key: str, value: object) -> Conditions:
    """Another value of the workload."""
    return replace(conditions, overrides={**conditions.overrides, key: value})


def _no_queues(curve: Curve, conditions: Conditions) -> Conditions:
    return _designs(conditions, lambda parts: [part for part in parts if not part.endswith("call-queues")])


def _one_context(curve: Curve, conditions: Conditions) -> Conditions:
    """Only processes that switch have several contexts; one alone keeps its own."""
    if len(read_toml(curve.scenario).tables("group")) < 2 or conditions.pcid is False:
        return conditions
    return _designs(
        conditions, lambda parts: [*parts, "one-context"] if parts[0] == "pti" and "one-context" not in parts else parts
    )


def _shared_pages(curve: Curve, conditions: Conditions) -> Conditions:
    for number, group in enumerate(read_toml(curve.scenario).tables("group")):
        if group.has("own_pages"):
            conditions = _with(conditions, f"group.{number}.own_pages", False)
    return conditions


def _small_pages(curve: Curve, conditions: Conditions) -> Conditions:
    if not read_toml(curve.scenario).table("kernel_pages", {}).has("direct_map"):
        return conditions
    return _with(conditions, "kernel_pages.direct_map", False)


PARTS = {
    "cache-levels": Part(
        "lines of page tables and of kernel data are in the cache level where the program left them",
        lambda curve, conditions: _costs(conditions, add="flat"),
    ),
    "nested": Part(
        "walks of a guest go through the host's tables too",
        lambda curve, conditions: _costs(conditions, remove="nested"),
    ),
    "descriptors": Part(
        "what the CPU reads by itself at a delivery goes through TLB and caches",
        lambda curve, conditions: _costs(conditions, add="no-descriptors"),
    ),
    "call-queues": Part("a queue of calls for each CPU, and counts of changes, in place of one mailbox", _no_queues),
    "contexts": Part("a CPU remembers several processes", _one_context),
    "own-pages": Part(
        "threads touch pages of their own, and discard them with the map's lock for reading", _shared_pages
    ),
    "direct-map": Part("the kernel's pages are large ones of the direct map, as Linux's are", _small_pages),
}


def without(curve: Curve, name: str) -> Curve | None:
    """Return a curve without a part; None if it has nothing of it."""
    part = PARTS[name]
    points = tuple(replace(point, conditions=part.without(curve, point.conditions)) for point in curve.points)
    return None if points == curve.points else replace(curve, points=points)


def effects(outcome: Outcome, names: Sequence[str], *, seed: int | None = None, jobs: int = 1) -> list[Row]:
    """Predict the curves of *outcome* that have informative points again without each part of *names*.

    Returns a row for each part and curve whose informative points change: ``part``, ``says``, ``curve``, ``points``
    (how many are informative), and the median absolute errors ``with`` and ``without`` the part.
    """
    informative = {(row["curve"], row["x"]): row["error"] for row in outcome.points if row["informative"]}
    held = [p.curve for p in outcome.predictions if any(name == p.curve.name for name, _ in informative)]
    rows = []
    for name in names:
        changed = [other for other in (without(curve, name) for curve in held) if other is not None]
        again = validate(changed, seed=seed, jobs=jobs).points
        for curve in changed:
            own = {row["x"]: row["error"] for row in again if row["curve"] == curve.name}
            pairs = [(informative[curve.name, x], own[x]) for x in own if (curve.name, x) in informative]
            if any(round(a, 3) != round(b, 3) for a, b in pairs):
                rows.append(_row(name, curve, pairs))
    return rows


def _row(name: str, curve: Curve, pairs: list[tuple[float, float]]) -> Row:
    with_it, without_it = (statistics.median(abs(pair[place]) for pair in pairs) for place in (0, 1))
    return {"part": name, "says": PARTS[name].says, "curve": curve.name, "points": len(pairs), "with": with_it,
            "without": without_it}  # fmt: skip
