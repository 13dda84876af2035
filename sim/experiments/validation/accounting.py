"""What a validation is worth: which points the null model gives as well, and every constant behind the predictions."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from sim.experiments.validation.null import CONSTANTS
from sim.timed.cost_options import split_name
from sim.timed.costs import load_costs

IMPLIED = 0.10
CONSTANT_COLUMNS = ("constant", "value", "unit", "source", "sure", "chosen on", "tables")
Row = dict[str, Any]


def kind_of(row: Row) -> str:
    """Return ``fitted``, ``implied`` (the null model is within 10 % of the published point) or ``informative``."""
    if row["fitted"]:
        return "fitted"
    return "informative" if row["informative"] else "implied"


def medians(rows: Iterable[Row]) -> dict[str, Any]:
    """Return the number of points and the median absolute errors, the simulator's and the null model's."""
    chosen = list(rows)
    return {
        "points": len(chosen),
        "median_absolute_error": _median(abs(row["error"]) for row in chosen),
        "null_median_absolute_error": _median(abs(row["null_error"]) for row in chosen),
    }


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None


def by_kind(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return :func:`medians` of all predicted points, and of the implied and informative ones among them."""
    predicted = [row for row in rows if not row["fitted"]]
    return {
        "predicted": medians(predicted),
        "implied": medians(row for row in predicted if not row["informative"]),
        "informative": medians(row for row in predicted if row["informative"]),
    }


def skill(rows: Sequence[Row]) -> float | None:
    """Return 1 - (median error of the simulator / of the null model) on informative points; None without any."""
    found = by_kind(rows)["informative"]
    if not found["points"]:
        return None
    return float(1 - found["median_absolute_error"] / found["null_median_absolute_error"])


def constants(tables: Iterable[str]) -> list[Row]:
    """Return every constant of these cost tables, then those of the null model.

    Keys: table, name, value, unit, source, sure, tuned_on (ids of the figures on which the value was chosen).
    """
    rows = [row for name in sorted(set(tables)) for row in _of_table(name)]
    for name, entry in CONSTANTS.items():
        rows.append(_row("null model", name, entry.value, entry.unit, entry.source, "READ-1", [entry.source]))
    return rows


def constants_once(tables: Iterable[str]) -> list[list[str]]:
    """Return every constant once for all tables that agree on it, as text.

    Columns: ``CONSTANT_COLUMNS``.
    """
    rows: dict[tuple[str, ...], list[str]] = {}
    for row in constants(tables):
        key = (row["name"], str(row["value"]), row["unit"], row["source"], row["sure"], ", ".join(row["tuned_on"]))
        name = split_name(row["table"])[0]
        if name not in rows.setdefault(key, []):
            rows[key].append(name)
    return [[*cells, ", ".join(names)] for cells, names in sorted(rows.items())]


def _of_table(name: str) -> list[Row]:
    """One table's constants: its clock, its costs, the shapes of its TLB."""
    table = load_costs(name)
    rows = [_row(name, "frequency_hz", table.frequency_hz, "Hz", *table.clock)]
    for key, entry in table.figures.items():
        tuned = list(entry.get("tuned_on", []))
        rows.append(_row(name, key, entry["value"], entry["unit"], entry["source"], entry["sure"], tuned))
    for key, entry in table.shapes.items():
        value = {part: n for part, n in entry.items() if part not in ("source", "sure", "tuned_on", "note")}
        text = " ".join(f"{part} {n}" for part, n in value.items())
        unit = "KiB" if "kib" in entry else "entries"
        tuned = list(entry.get("tuned_on", []))
        rows.append(_row(name, key, text, unit, entry.get("source", ""), entry.get("sure", "assumed"), tuned))
    return rows


def _row(table: str, name: str, value: object, unit: str, source: str, sure: str, tuned: Sequence[str] = ()) -> Row:
    return {"table": table, "name": name, "value": value, "unit": unit, "source": source, "sure": sure,
            "tuned_on": list(tuned)}  # fmt: skip
