"""The keys of a sweep's file: what each may say, and what is said of it if it may not."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from functools import partial
from typing import Any

from scenarios.recordings.windows import read_sample
from sim.errors import InputError
from sim.inputs.shown import shown
from sim.inputs.table import LONGEST_TEXT, Table, is_number
from sim.inputs.units import PER_SECOND
from sim.timed.paired import MAX_CPUS, check_profile

NANOSECONDS = PER_SECOND["ns"]  # a clock of 1 GHz counts them
Value = Any  # of a scenario: text, number, true or false, or a list or table of these


def values_of(top: Table, key: str, kind: type, what: str) -> list[Any]:
    """A value or a list of different values of one type."""
    raw = top.get(key)
    values = raw if isinstance(raw, list) else [raw]
    if not values or any(type(value) is not kind for value in values):
        raise top.fail(key, f"{shown(raw)} must be a list of {what}")
    for value in values:
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise top.fail(key, f"{shown(value)} must have {LONGEST_TEXT} characters or fewer")
    _no_twins(top, key, values)
    return values


def _no_twins(top: Table, key: str, values: list[Any]) -> None:
    """InputError if a value is given twice."""
    seen: list[str] = []
    for value in values:
        text = json.dumps(value)
        if text in seen:
            raise top.fail(key, f"names {shown(value)} twice")
        seen.append(text)


def read_cpus(top: Table) -> list[int]:
    """Numbers of simulated CPUs."""
    values: list[int] = values_of(top, "cpus", int, "whole numbers")
    for value in values:
        if not 1 <= value <= MAX_CPUS:
            raise top.fail("cpus", f"{shown(value)} must be 1 or more, and {MAX_CPUS} or less")
    return values


def read_warmup(top: Table) -> int:
    """The warm-up in nanoseconds; 0 if there is none."""
    if not top.has("warmup"):
        return 0
    if str(top.get("warmup")).rstrip().endswith("cycles"):
        raise top.fail("warmup", "must be a time, as '10 ms': a sweep may have machines of different frequencies")
    return top.duration("warmup", NANOSECONDS)


def read_texts(top: Table, key: str) -> list[Any]:
    """A text or a list of different ones."""
    return values_of(top, key, str, "texts in quotes")


def read_share(top: Table, replications: int) -> str | None:
    """Which sample of each recording is run, as ``run --sample`` takes it; None: all of it."""
    if not top.has("sample"):
        return None
    raw = top.get("sample")
    text = format(Decimal(str(raw)), "f") if is_number(raw) else raw
    if not isinstance(text, str):
        raise top.fail("sample", f'{shown(raw)} must be a share, as 0.1, or one with a number of windows, as "0.1:20"')
    try:
        read_sample(text)
    except InputError as error:
        raise top.fail("sample", f"{shown(raw)}: {error}") from None
    if replications > 1:
        raise top.fail("replications", "a sample's interval is from its windows; leave out one of them")
    if top.has("warmup"):
        raise top.fail("warmup", "each window of a sample has a warm-up of its own; leave out one of them")
    return text


def checked_profile(top: Table, key: str, profile: str) -> str:
    """A profile's name."""
    return top.located(key, partial(check_profile, profile))


def read_overrides(top: Table) -> dict[str, list[Value]]:
    """The table ``[set]``: dotted keys of the scenario, each with its values."""
    table = top.table("set", {})
    found: dict[str, list[Value]] = {}
    for key in table.values:
        raw = table.get(key)
        if isinstance(raw, dict):
            raise table.fail(key, f'write the dotted key in quotes, as "{key}.{next(iter(raw), "key")}" = [...]')
        values = raw if isinstance(raw, list) else [raw]
        if not values:
            raise table.fail(key, "an empty list leaves no points")
        for value in values:
            _check_value(table, key, value)
        _no_twins(table, key, values)
        found[key] = values
    return found


def _check_value(table: Table, key: str, value: object) -> None:
    """InputError unless a value can stand in a scenario and in a column."""
    if isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            _check_value(table, key, part)
    elif not isinstance(value, str | int | float):
        raise table.fail(
            key, f"{shown(value)} must be text in quotes, a number, true or false, or a list or table of these"
        )
    elif not isinstance(value, str) and not math.isfinite(value):
        raise table.fail(key, f"{shown(value)} must be a finite number")
