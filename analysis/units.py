"""Cycles as times that people read, and numbers of things."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from sim.inputs.units import PER_SECOND

_UNITS = tuple((name, PER_SECOND[name]) for name in ("s", "ms", "µs", "ns"))

PLACES = 6


class Unit(NamedTuple):
    """A unit of time: ``cycles * scale`` is a time in it."""

    name: str
    scale: float


def unit_for(cycles: Iterable[int], frequency_hz: int) -> Unit:
    """Return the largest unit in which the longest of these times is at least 1 (ns if none is)."""
    longest = max((abs(c) for c in cycles), default=0) / frequency_hz
    name, per_second = next((unit for unit in _UNITS if longest * unit[1] >= 1), _UNITS[-1])
    return Unit(name, per_second / frequency_hz)


def time_text(cycles: int, frequency_hz: int, *, sign: bool = False) -> str:
    """Return cycles as a time in the unit that suits them best, three digits or more: ``30.1 µs``; ``-`` for none."""
    if not cycles:
        return "-"
    unit = unit_for([cycles], frequency_hz)
    value = cycles * unit.scale
    digits = max(0, 2 - int(math.log10(max(abs(value), 1))))
    return f"{value:{'+' if sign else ''},.{digits}f} {unit.name:>2}"


def percent(base: int, value: int) -> float | None:
    """Return by how many percent *value* is above *base*, rounded; None if *base* is zero."""
    return round(100 * (value - base) / base, PLACES) if base else None


def counted(number: int, thing: str) -> str:
    """Return a number of things: ``1 CPU``, ``2 CPUs``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def number_text(value: float, digits: int = 4) -> str:
    """Write a value as people do: so many *digits*, or all those before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def percent_text(value: float | None, digits: int = 2) -> str:
    """Write a percentage with its sign; ``-`` for none."""
    return "-" if value is None else f"{round(value, digits) + 0.0:+.{digits}f} %"
