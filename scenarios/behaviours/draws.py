"""Random draws from named, seeded streams."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

from scenarios.schema import Table, is_positive

MOST_SIGMA = 5  # of a lognormal: 1 in 700 draws is then three million times the median

Draw = Callable[[random.Random], int]


def stream(seed: int, *names: object) -> random.Random:
    """The stream of that name: the same for the same seed and names, on any host and with any hash seed."""
    text = "/".join(str(name) for name in (seed, *names))
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def duration(table: Table, key: str, hz: int, default: Any = None) -> Draw:
    """A duration or a distribution of durations, drawn as whole cycles of at least 1."""
    value = table.get(key) if default is None else table.get(key, default)
    if not isinstance(value, dict):
        constant = table.cycles_of(key, value, hz)
        return lambda _: constant
    dist = table.table(key)
    kind = dist.text("dist", choices=("constant", "exponential", "uniform", "lognormal", "choice"))
    draw = _DISTRIBUTIONS[kind](dist, hz)
    dist.finish()
    return draw


def _constant(dist: Table, hz: int) -> Draw:
    value = dist.duration("value", hz)
    return lambda _: value


def _exponential(dist: Table, hz: int) -> Draw:
    mean = dist.duration("mean", hz)
    return lambda rng: max(1, round(rng.expovariate(1 / mean)))


def _uniform(dist: Table, hz: int) -> Draw:
    low, high = dist.duration("low", hz), dist.duration("high", hz)
    if low > high:
        raise dist.fail("high", f"must not be less than low ({high} < {low} cycles)")
    return lambda rng: rng.randint(low, high)


def _lognormal(dist: Table, hz: int) -> Draw:
    median, sigma = dist.duration("median", hz), dist.number("sigma", most=MOST_SIGMA)
    return lambda rng: max(1, round(median * rng.lognormvariate(0, sigma)))


def _choice(dist: Table, hz: int) -> Draw:
    values = dist.get("values")
    weights = dist.get("weights", [1] * len(values) if isinstance(values, list) else None)
    if not isinstance(values, list) or not values:
        raise dist.fail("values", "must be a list of durations")
    if not isinstance(weights, list) or len(weights) != len(values):
        raise dist.fail("weights", f"must be a list of {len(values)} positive numbers, one for each value")
    if not all(is_positive(weight) for weight in weights):
        raise dist.fail("weights", "must be positive numbers")
    cycles = [dist.cycles_of("values", value, hz) for value in values]
    return lambda rng: rng.choices(cycles, weights)[0]


_DISTRIBUTIONS: dict[str, Callable[[Table, int], Draw]] = {
    "constant": _constant,
    "exponential": _exponential,
    "uniform": _uniform,
    "lognormal": _lognormal,
    "choice": _choice,
}
