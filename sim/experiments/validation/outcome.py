"""All curves together: rows, summary, files."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.folder import Kind
from analysis.units import number_text
from sim.experiments.failed import Failed
from sim.experiments.validation.accounting import (
    CONSTANT_COLUMNS,
    IMPLIED,
    by_kind,
    constants,
    constants_once,
    kind_of,
    skill,
)
from sim.experiments.validation.curves import OFFSET, Curve, Fit
from sim.experiments.validation.predict import Prediction
from sim.timed.cost_options import split_name

MARKER = "validation.json"
KIND = Kind(
    ("points", "curves", "summary"),
    ("constants.csv", "effects.csv", "validation.csv", "validation.parquet", "validation.png", "validation.svg"),
    MARKER,
)  # fmt: skip
LARGE = 0.4
NOTABLE = 0.15
PLACES = 6


@dataclass(frozen=True, slots=True)
class Outcome:
    """Predictions of all curves, in order; *effects* are rows of :func:`~sim.experiments.validation.parts.effects`."""

    predictions: tuple[Prediction, ...]
    effects: tuple[dict[str, Any], ...] = ()

    @property
    def points(self) -> list[dict[str, Any]]:
        """One object a point that could be run; ``docs/validation.rst`` describes the keys."""
        return [row for prediction in self.predictions for row in _rows(prediction)]

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The points that could not be run: ``curve``, ``x``, ``published``, ``reason``, whether it is a ``bug``."""
        return [
            {"curve": prediction.curve.name, "x": point.x, "published": point.published, **predicted._asdict()}
            for prediction in self.predictions
            for point, predicted in zip(prediction.curve.points, prediction.predicted, strict=True)
            if isinstance(predicted, Failed)
        ]

    @property
    def summary(self) -> dict[str, Any]:
        """Errors by kind of point, the worst, how many large ones are explained, and how many values curves bring."""
        points = self.points
        rows = [row for row in points if not row["fitted"]]
        large = [row for row in rows if abs(row["error"]) > LARGE]
        worst = max(rows, key=lambda row: abs(row["error"]), default=None)
        return {
            "predicted_points": len(rows),
            "fitted_points": len(points) - len(rows),
            "failed_points": len(self.failures),
            "fitted_values": sum(len(prediction.fits) for prediction in self.predictions),
            "median_absolute_error": statistics.median(abs(row["error"]) for row in rows) if rows else None,
            "kinds": by_kind(points),
            "worst_absolute_error": abs(worst["error"]) if worst else None,
            "worst_point": f"{worst['curve']} at {worst['x']}" if worst else None,
            "curves": [_spread(prediction) for prediction in self.predictions],
            "above_40_percent": len(large),
            "above_40_percent_unexplained": [f"{r['curve']} at {r['x']}" for r in large if not r["explained"]],
        }


def _spread(prediction: Prediction) -> dict[str, Any]:
    """How far one curve's predicted points are off."""
    errors = [abs(row["error"]) for row in _rows(prediction) if not row["fitted"]]
    return {
        "curve": prediction.curve.name,
        "predicted_points": len(errors),
        "median_absolute_error": statistics.median(errors) if errors else None,
        "worst_absolute_error": max(errors, default=None),
    }


def _rows(prediction: Prediction) -> Iterator[dict[str, Any]]:
    """The points of one curve."""
    curve = prediction.curve
    for place, (point, predicted, null) in enumerate(
        zip(curve.points, prediction.predicted, prediction.null, strict=True)
    ):
        if isinstance(predicted, Failed):
            continue
        overhead = abs(point.published - point.reference)
        error, null_error = (predicted - point.published) / overhead, (null - point.published) / overhead
        fitted = curve.fitted(place)
        yield {
            "curve": curve.name,
            "figure": point.figure,
            "x": point.x,
            "quantity": point.quantity,
            "unit": curve.unit,
            "published": point.published,
            "reference": point.reference,
            "predicted": round(predicted, PLACES),
            "error": round(error, PLACES),
            "null_predicted": round(null, PLACES),
            "null_error": round(null_error, PLACES),
            "fitted": fitted,
            "informative": not fitted and abs(null_error) > IMPLIED,
            "profile": point.conditions.profile,
            "baseline": point.conditions.baseline,
            "costs": point.conditions.costs,
            "source": curve.source,
            "sure": curve.sure,
            "explained": point.why or (curve.explained if abs(error) > NOTABLE and not fitted else ""),
        }


def to_json(outcome: Outcome, seed: int | None) -> dict[str, Any]:
    """Return the content of ``validation.json``."""
    return {
        "points": outcome.points,
        "failed": outcome.failures,
        "curves": [_about(prediction.curve) for prediction in outcome.predictions],
        "summary": outcome.summary,
        "skill": skill(outcome.points),
        "constants": constants(point["costs"] for point in outcome.points),
        "effects": list(outcome.effects),
        "seed": seed,
        "fits": [
            _fit(prediction.curve, fit, value)
            for prediction in outcome.predictions
            if prediction.fits
            for fit, value in zip(prediction.curve.fits, prediction.fits, strict=True)
        ],
    }


def _about(curve: Curve) -> dict[str, Any]:
    """What a chart needs to know of a curve."""
    return {
        "curve": curve.name,
        "title": curve.title,
        "figure": curve.figure,
        "x_label": curve.x_label,
        "logarithmic": curve.logarithmic,
        "quantity": curve.quantity,
        "unit": curve.unit,
        "source": curve.source,
        "explained": curve.explained,
    }


def _fit(curve: Curve, fit: Fit, value: float) -> dict[str, Any]:
    """What was taken from a point."""
    return {
        "curve": curve.name,
        "key": fit.key,
        "at": curve.points[fit.at].x,
        "per_x": fit.per_x,
        "value": round(value, PLACES),
        "unit": curve.unit if fit.key == OFFSET else "cycles",
        "from": "published baseline" if fit.baseline_ns is not None else "published point",
        "why": fit.why,
    }


def to_csv(outcome: Outcome) -> str:
    """Return the points as comma-separated values for people: a line a point, errors in percent."""
    rows = []
    for row in outcome.points:
        published, predicted, null = number_text(row["published"], 6), *map(number_text, _values(row))
        errors = ["" if row["fitted"] else f"{100 * row[key]:+.1f} %" for key in ("error", "null_error")]
        rows.append([row["curve"], row["figure"], row["x"], row["unit"], published, predicted, errors[0], null,
                     errors[1], kind_of(row)])  # fmt: skip
    return _csv(("curve", "figure", "at", "unit", "published", "predicted", "error", "null model", "null error",
                 "kind"), rows)  # fmt: skip


def effects_csv(outcome: Outcome) -> str:
    """Return what parts of the model buy as comma-separated values for people: a line a part and curve."""
    rows = ([row["part"], row["curve"], row["points"], *(f"{100 * row[key]:.1f} %" for key in ("with", "without"))]
            for row in outcome.effects)  # fmt: skip
    return _csv(("part", "curve", "informative points", "median error with", "without"), rows)


def constants_csv(outcome: Outcome) -> str:
    """Return every constant behind the predictions as comma-separated values for people."""
    return _csv(CONSTANT_COLUMNS, constants_once(point["costs"] for point in outcome.points))


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def _values(row: dict[str, Any]) -> tuple[float, float]:
    """The simulator's prediction of a point, and the null model's."""
    return row["predicted"], row["null_predicted"]


def write_validation(outcome: Outcome, stage: Path, seed: int | None) -> None:
    """Write ``validation.json``, the points as Parquet and CSV, and the chart into *stage*, a folder being filled."""
    import pyarrow as pa
    from pyarrow import parquet

    from analysis.charts.validation import df_validation, plot_validation
    from analysis.pictures import save_figure

    content = to_json(outcome, seed)
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    (stage / MARKER).write_text(text + "\n", encoding="utf-8")
    (stage / "validation.csv").write_text(to_csv(outcome), encoding="utf-8")
    (stage / "constants.csv").write_text(constants_csv(outcome), encoding="utf-8")
    if outcome.effects:
        (stage / "effects.csv").write_text(effects_csv(outcome), encoding="utf-8")
    rows = [{**row, "x": str(row["x"])} for row in outcome.points]
    table = pa.table({key: [row[key] for row in rows] for key in rows[0]})
    with (stage / "validation.parquet").open("wb") as stream:
        parquet.write_table(table, stream, compression="zstd", version="2.6", store_schema=False)
    save_figure(plot_validation(df_validation(content), _caption(content)), stage / "validation")


def _caption(content: dict[str, Any]) -> str:
    """What the picture stands on."""
    summary, seed = content["summary"], content["seed"]
    seeds = "the scenarios' own seeds" if seed is None else f"seed {seed}"
    costs = ", ".join(sorted({split_name(point["costs"])[0] for point in content["points"]}))
    kind = summary["kinds"]["informative"]
    found = ""
    if kind["points"]:
        own, null = (100 * kind[key] for key in ("median_absolute_error", "null_median_absolute_error"))
        found = f", {kind['points']} of them informative (median error {own:.1f} %, null model {null:.1f} %)"
    points = f"{summary['predicted_points']} points predicted, {summary['fitted_points']} fitted"
    points += f", {summary['failed_points']} failed" if summary["failed_points"] else ""
    return f"{points}{found}; cost tables {costs}; {seeds}; sources in {MARKER}"
