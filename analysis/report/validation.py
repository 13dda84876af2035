"""What the report says of the model's trustworthiness: published against predicted values."""

from __future__ import annotations

import statistics
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

from analysis.report.blocks import Block, Facts, Section, Text, grid
from analysis.units import number_text
from sim.errors import InputError
from sim.inputs.json import read_json
from sim.version import code_version

NAME = "validation.json"
LARGE = 0.4
KEYS = ("curve", "x", "published", "predicted", "error", "fitted", "null_error", "informative", "source")


def load_validation(result: Path, given: Path | None) -> tuple[dict[str, Any], str] | None:
    """Return the validation to show, with where it is from.

    *given* is the folder of ``svs-sim validate --out``; without it, a ``validation.json`` in the *result* folder is
    taken, then the one that ships.  None if there is none.  Raises InputError.
    """
    if given is not None:
        file = given / NAME
        if not file.is_file():
            raise InputError(f"'{given}' has no {NAME}; 'svs-sim validate --out {given}' writes it")
        return _read(file), str(given)
    if (result / NAME).is_file():
        return _read(result / NAME), NAME
    shipped = resources.files("analysis.report") / NAME
    if shipped.is_file():
        data = _read(Path(str(shipped)))
        same = data.get("code") == code_version()
        return data, "as it ships" if same else "as it ships, made before the latest change of the model or a scenario"
    return None


def _read(file: Path) -> dict[str, Any]:
    """Read and check one file."""
    found = read_json(file)
    points = found.get("points")
    if not isinstance(points, list) or not all(isinstance(p, dict) and all(k in p for k in KEYS) for p in points):
        raise InputError(
            f"'{file}' is no result of 'svs-sim validate': 'points' must be objects with {', '.join(KEYS)}"
        )
    return found


def validation_section(found: tuple[dict[str, Any], str] | None, *, tables: bool) -> Section:
    """Make the section: what the validation comes to and, if asked for, its tables."""
    section = Section("validation", "How far to trust the model")
    if found is None:
        section.blocks.append(
            Text("No validation was given. Run 'svs-sim validate --out out/validation' and make the report again with "
                 "'--validation out/validation'.")
        )  # fmt: skip
        return section
    data, where = found
    points = data["points"]
    predicted = [abs(p["error"]) for p in points if not p["fitted"]]
    informative = [p for p in points if p["informative"]]
    section.blocks.append(
        Text("Published measurements, predicted from the cost table and a stated baseline of each workload. Errors are "
             f"relative to the published overhead; fitted points are no predictions and are not counted ({where}).")
    )  # fmt: skip
    if predicted:
        section.blocks.append(
            Text(f"{len(predicted)} points predicted: median absolute error {100 * statistics.median(predicted):.1f} "
                 f"%, worst {100 * max(predicted):.0f} %; {sum(error <= LARGE for error in predicted)} of them within "
                 f"{100 * LARGE:.0f} %.", strong=True)
        )  # fmt: skip
    if informative:
        error, null = (statistics.median(abs(p[key]) for p in informative) for key in ("error", "null_error"))
        section.blocks.append(
            Text("A null model of five constants, with the same fits and no simulation, is within 10 % of "
                 f"{len(predicted) - len(informative)} of these points; those are implied. On the other "
                 f"{len(informative)} the simulator's median error is {100 * error:.1f} %, the null model's "
                 f"{100 * null:.1f} %: a skill of {1 - error / null:.2f}.", strong=True)
        )  # fmt: skip
    if failed := data.get("failed"):
        places = ", ".join(f"{p['curve']} at {p['x']}" for p in failed)
        section.blocks.append(Text(f"{len(failed)} points could not be run: {places}."))
    section.blocks += _tables(points) if tables else [
        Text("'svs-sim validate' shows the points and why some miss; a report made with '--validation DIR' holds them.")
    ]  # fmt: skip
    return section


def _tables(points: list[dict[str, Any]]) -> list[Block]:
    """A line a curve, then every point."""
    curves = list(dict.fromkeys(p["curve"] for p in points))
    lines = []
    for curve in curves:
        own = [p for p in points if p["curve"] == curve]
        errors = [abs(p["error"]) for p in own if not p["fitted"]]
        worst = f"{100 * max(errors):.1f} %" if errors else "-"
        middle = f"{100 * statistics.median(errors):.1f} %" if errors else "-"
        lines.append((curve, len(errors), len(own) - len(errors), middle, worst, own[0]["source"]))
    columns = ("curve", "predicted", "fitted", "median error", "worst error", "source")
    every = [
        (p["curve"], p["x"], number_text(p["published"], 6), number_text(p["predicted"]),
         "fitted" if p["fitted"] else f"{100 * p['error']:+.1f} %",
         "" if p["fitted"] else f"{100 * p['null_error']:+.1f} %" + ("" if p["informative"] else ", implied"),
         p.get("unit", ""))
        for p in points
    ]  # fmt: skip
    headings = ("curve", "x", "published", "predicted", "error", "null model's error", "unit")
    return [
        grid(columns, lines, caption="Curves", remarks=1),
        grid(headings, every, caption="Points", remarks=1),
        *_remarks(points),
    ]


def _remarks(points: list[dict[str, Any]]) -> list[Block]:
    """What the points' curves say of misses, each remark once, with the points that it is about."""
    about: dict[tuple[str, str], list[str]] = {}
    for p in points:
        if p.get("explained"):
            about.setdefault((p["curve"], str(p["explained"])), []).append(str(p["x"]))
    sizes = Counter(p["curve"] for p in points)
    rows = []
    for (curve, remark), places in about.items():
        at = "" if len(places) == sizes[curve] else f" at {', '.join(places)}"
        rows.append((f"{curve}{at}", remark))
    return [Text("Why points miss, and what was calibrated:", strong=True), Facts(tuple(rows))] if rows else []
