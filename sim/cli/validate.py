"""``svs-sim validate``: published curves against predicted ones."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli._failed import tell_failed
from sim.cli._output import console, print_json, progress_bar, show, table
from sim.cli._parser import add_command, jobs
from sim.errors import InputError, ModelError, closest

if TYPE_CHECKING:
    from rich.console import Console

    from sim.cli._parser import Subparsers
    from sim.experiments.validation import Curve, Outcome

DESCRIPTION = """
Predicts published measurements from the cost tables alone, plus the stated baseline of each workload, and compares.
Errors are relative to the published overhead; a point that served as a workload's baseline is marked as fitted and is
no prediction.
"""


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        subparsers, "validate", run, help="compare predictions with published curves", description=DESCRIPTION
    )
    parser.add_argument("--curve", action="append", default=[], metavar="NAME", help="only this curve (a shipped name "
                        "or a TOML file); may be given several times")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list the shipped curves and run nothing")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for validation.json, .parquet and the chart")
    parser.add_argument("--without", action="append", default=[], metavar="PART", help="also predict without a part of "
                        "the model, and say what it buys; see below; may be given several times; 'all' for each of "
                        "them, which takes several times as long")  # fmt: skip
    parser.add_argument("--jobs", type=jobs, default=1, metavar="N", help="curves at a time (default: 1)")
    parser.further = further_help


def further_help() -> str:
    """What there is to be given with ``--without``."""
    from sim.experiments.validation import PARTS

    return "\n".join(["Parts of the model:", "", *(f"  {name}  {part.says}" for name, part in PARTS.items())])


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from sim.experiments.validation import select_curves, to_json

    curves = select_curves(args.curve)
    if args.list:
        rows = [{"curve": c.name, "figure": c.figure, "points": len(c.points), "title": c.title} for c in curves]
        if args.json:
            print_json({"curves": rows})
        else:
            for row in rows:
                print(f"{row['curve']:<22} {row['figure']:<18} {row['points']:>2} points  {row['title']}")
        return 0
    outcome = _validated(args, curves)
    if args.json:
        print_json(to_json(outcome, args.seed))
    elif not args.quiet:
        _print(console(), outcome)
    return tell_failed((f"{f['curve']} at {f['x']}", f["reason"], f["bug"]) for f in outcome.failures)


def _validated(args: argparse.Namespace, curves: list[Curve]) -> Outcome:
    """Predict, and write what is asked for."""
    from analysis.folder import result_folder
    from sim.experiments.validation import KIND, effects, validate, write_validation

    parts = _parts(args.without)

    def predict() -> Outcome:
        with progress_bar({"points": "published points"}, quiet=args.quiet or args.json) as bar:
            report = None if bar is None else lambda name, done, total: bar("points", done / total)
            outcome = validate(curves, seed=args.seed, jobs=args.jobs, progress=report)
        if not outcome.points:
            first = outcome.failures[0]
            raise (ModelError if first["bug"] else InputError)(first["reason"])
        return replace(outcome, effects=tuple(effects(outcome, parts, seed=args.seed, jobs=args.jobs)))

    if args.out is None:
        return predict()
    with result_folder(args.out, KIND) as stage:
        outcome = predict()
        write_validation(outcome, stage, args.seed)
    return outcome


def _parts(names: list[str]) -> list[str]:
    """The parts that are asked for.  Raises InputError."""
    from sim.experiments.validation import PARTS

    for name in names:
        if name not in PARTS and name != "all":
            raise InputError(f"--without: there is no part '{name}'; there are {', '.join(PARTS)}, and all"
                             f"{closest(name, PARTS)}")  # fmt: skip
    return list(PARTS) if "all" in names else list(dict.fromkeys(names))


def _print_effects(out: Console, outcome: Outcome) -> None:
    """What each part buys."""
    columns = ("part", "curve", "informative", "median error", "without it")
    shown = table("What parts buy", *columns, text=2)
    for row in outcome.effects:
        errors = (f"{100 * row[key]:.1f} %" for key in ("with", "without"))
        shown.add_row(row["part"], row["curve"], str(row["points"]), *errors)
    show(out, shown)
    out.print("")


def _print(out: Console, outcome: Outcome) -> None:
    """A table a curve, then the summary."""

    from analysis.units import number_text
    from sim.experiments.validation import kind_of

    for prediction in outcome.predictions:
        curve = prediction.curve
        about = "; ".join(filter(None, (curve.figure, curve.unit)))
        columns = (curve.x_label, "published", "predicted", "error", "null model", "error", "")
        shown = table(f"{curve.title} ({about})", *columns, remarks=1)
        for row in (r for r in outcome.points if r["curve"] == curve.name):
            errors = ["" if row["fitted"] else f"{100 * row[key]:+.1f} %" for key in ("error", "null_error")]
            own, null = number_text(row["predicted"]), number_text(row["null_predicted"])
            mark = kind_of(row).replace("informative", "")
            shown.add_row(str(row["x"]), number_text(row["published"], 6), own, errors[0], null, errors[1], mark)
        for failure in (f for f in outcome.failures if f["curve"] == curve.name):
            shown.add_row(str(failure["x"]), number_text(failure["published"], 6), "", "", "", "", "failed")
        show(out, shown)
        for why in dict.fromkeys(r["explained"] for r in outcome.points if r["curve"] == curve.name and r["explained"]):
            out.print(f"  {why}")
        out.print("")
    if outcome.effects:
        _print_effects(out, outcome)
    _print_constants(out, outcome)
    _print_summary(out, outcome)


def _print_constants(out: Console, outcome: Outcome) -> None:
    """Every constant: once for all tables that agree on it."""
    from sim.experiments.validation import CONSTANT_COLUMNS, constants_once

    shown = table("Constants behind the predictions", *CONSTANT_COLUMNS, text=len(CONSTANT_COLUMNS))
    for row in constants_once(point["costs"] for point in outcome.points):
        shown.add_row(*row)
    show(out, shown)
    out.print("")


def _print_summary(out: Console, outcome: Outcome) -> None:
    """The last lines."""
    from analysis.units import counted
    from sim.experiments.validation import skill

    summary = outcome.summary
    if not summary["predicted_points"]:
        out.print("All points are fitted; nothing was predicted.")
        return
    out.print(
        f"{counted(summary['predicted_points'], 'point')} predicted, {summary['fitted_points']} fitted; curves bring "
        f"{counted(summary['fitted_values'], 'value')} of their own. Absolute error: median "
        f"{100 * summary['median_absolute_error']:.1f} %, worst {100 * summary['worst_absolute_error']:.0f} % "
        f"({summary['worst_point']})."
    )
    for kind, says in (("implied", "given by the null model within 10 %"), ("informative", "not given by it")):
        found = summary["kinds"][kind]
        if found["points"]:
            out.print(
                f"{kind.capitalize()} ({says}): {counted(found['points'], 'point')}, median error "
                f"{100 * found['median_absolute_error']:.1f} %, null model "
                f"{100 * found['null_median_absolute_error']:.1f} %."
            )
    found_skill = skill(outcome.points)
    if found_skill is not None:
        out.print(f"Skill on the informative points: {found_skill:.2f}.")
    missing = summary["above_40_percent_unexplained"]
    if missing:
        out.print(f"Above 40 % and not explained: {', '.join(missing)}.")
