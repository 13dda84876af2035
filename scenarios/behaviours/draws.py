"""Random draws from named, seeded streams."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from sim.inputs.table import MOST_SECONDS, Table

MOST_SIGMA = 5  # of a lognormal: 1 in 700 draws is then three million times the median


class Draw(NamedTuple):
    """A random duration: *draw* gives whole cycles of at least 1 from a stream; *mean* is theirs in the long run."""

    draw: Callable[[random.Random], int]
    mean: float


def stream(seed: int, *names: object) -> random.Random:
    """The stream of that name: the same for the same seed and names, on any host and with any hash seed."""
    text = "/".join(str(name) for name in (seed, *names))
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def duration(table: Table, key: str, hz: int, default: Any = None) -> Draw:
    """Read a duration or a distribution of durations."""
    value = table.get(key) if default is None else table.get(key, default)
    if not isinstance(value, dict):
        return _fixed(table.cycles_of(key, value, hz))
    dist = table.table(key)
    kind = dist.text("dist", choices=tuple(_DISTRIBUTIONS))
    draw = _DISTRIBUTIONS[kind](dist, hz)
    dist.finish()
    return draw


def _fixed(cycles: int) -> Draw:
    return Draw(lambda _: cycles, cycles)


def _within(cycles: float, hz: int) -> int:
    """A draw as whole cycles, within what a duration may be: the far tail could outlast every run."""
    return max(1, round(min(cycles, MOST_SECONDS * hz)))


def _constant(dist: Table, hz: int) -> Draw:
    return _fixed(dist.duration("value", hz))


def _exponential(dist: Table, hz: int) -> Draw:
    mean = dist.duration("mean", hz)
    return Draw(lambda rng: _within(rng.expovariate(1 / mean), hz), mean)


def _uniform(dist: Table, hz: int) -> Draw:
    low, high = dist.duration("low", hz), dist.duration("high", hz)
    if low > high:
        raise dist.fail("high", f"must not be less than low ({high} < {low} cycles)")
    return Draw(lambda rng: rng.randint(low, high), (low + high) / 2)


def _lognormal(dist: Table, hz: int) -> Draw:
    median, sigma = dist.duration("median", hz), dist.number("sigma", most=MOST_SIGMA)
    return Draw(lambda rng: _within(median * rng.lognormvariate(0, sigma), hz), median * math.exp(sigma**2 / 2))


def _choice(dist: Table, hz: int) -> Draw:
    values = dist.entries("values", [], "durations")
    weights = dist.positives("weights", [1] * len(values))
    if not values:
        raise dist.fail("values", "must be a list of durations")
    if len(weights) != len(values):
        raise dist.fail("weights", f"must be a list of {len(values)} positive numbers, one for each value")
    cycles = [dist.cycles_of("values", value, hz) for value in values]
    mean = sum(c * w for c, w in zip(cycles, weights, strict=True)) / sum(weights)
    return Draw(lambda rng: rng.choices(cycles, weights)[0], mean)


_DISTRIBUTIONS: dict[str, Callable[[Table, int], Draw]] = {
    "constant": _constant,
    "exponential": _exponential,
    "uniform": _uniform,
    "lognormal": _lognormal,
    "choice": _choice,
}
