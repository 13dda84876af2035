"""``svs-sim compare``: what differs between two results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.cli._output import console, print_json, show, table
from sim.cli._parser import add_command

if TYPE_CHECKING:
    from rich.console import Console

    from sim.cli._parser import Subparsers

HASH_LETTERS = 12
COUNTERS_SHOWN = 16
NAMES = {"overhead_percent": "CPU time added", "elapsed_percent": "elapsed time added"}
DESCRIPTION = """
Says what differs between two results: in set-up (versions, command lines, hashes of what was read), in the answer, and
by cause; or between two checks, in verdicts and in what was explored. A and B are folders of 'run' or of 'check', or
files with what their --json printed. Exit status: 0, whether they differ or not.
"""


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(subparsers, "compare", run, help="what differs between two results", description=DESCRIPTION)
    parser.add_argument("a", metavar="A", type=Path, help="a result")
    parser.add_argument("b", metavar="B", type=Path, help="another of the same kind")


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from analysis.compare import compare

    found = compare(args.a, args.b)
    if args.json:
        print_json(found)
    elif not args.quiet:
        out = console()
        _print_setup(out, found["set_up"])
        if found["kind"] == "run":
            _print_run(out, found)
        else:
            _print_checks(out, found)
    return 0


def _print_setup(out: Console, rows: list[dict[str, Any]]) -> None:
    """What was run."""
    if not rows:
        out.print("Set-up: the same")
        return
    shown = table("Set-up", "", "A", "B", text=3)
    for row in rows:
        shown.add_row(row["what"], *(_value(row["what"], row[side]) for side in ("a", "b")))
    show(out, shown)
    out.print()


def _value(what: str, value: object) -> str:
    """A value of the set-up on a line."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return str(value)[:HASH_LETTERS] if " " in what else str(value)


def _print_run(out: Console, found: dict[str, Any]) -> None:
    """Answers, causes, counters."""
    from analysis.overview import interval_text

    shown = table("Answer", "", "A", "B", "difference")
    for key, row in found["answer"].items():
        unit = "%" if key.endswith("_percent") else "s"
        name = NAMES.get(key, key.removesuffix("_s").replace("_", " ").replace("busy", "CPU time"))
        shown.add_row(name, *(_number(row[side], unit) for side in ("a", "b", "difference")))
        if key == "overhead_percent" and any(found["intervals"].values()):
            ends = (found["intervals"][side] for side in ("a", "b"))
            shown.add_row("95 % interval", *("-" if end is None else interval_text(end) for end in ends), "")
    show(out, shown)
    out.print()
    if not found["causes"]:
        out.print("Causes: all the same")
        return
    shown = table("What each cause adds to the baseline's CPU time", "cause", "A", "B", "difference")
    for row in found["causes"]:
        shown.add_row(row["cause"], *(_number(row["added_percent"][side], "%") for side in ("a", "b", "difference")))
    show(out, shown)
    if found["counters"]:
        out.print()
        shown = table("Counters that differ most", "counter", "A", "B", "difference")
        for row in found["counters"][:COUNTERS_SHOWN]:
            shown.add_row(row["counter"], f"{row['a']:,}", f"{row['b']:,}", f"{row['difference']:+,}")
        show(out, shown)


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{round(value, 3) + 0.0:+.3f} %" if unit == "%" else f"{value:.6f} s"


def _print_checks(out: Console, found: dict[str, Any]) -> None:
    """Explorations that differ."""
    counts = found["explorations"]
    out.print(f"Explorations: {counts['a']:,} in A, {counts['b']:,} in B, {len(found['differ']):,} differ")
    if not found["differ"]:
        return
    shown = table("", "litmus", "profile", "memory", "planted", "what", "A", "B", text=7)
    for row in found["differ"]:
        name = [row["litmus"], row["profile"], row["memory"], row["planted"] or "-"]
        if "only_in" in row:
            shown.add_row(*name, "verdict", *(row["verdict"] if row["only_in"] == side else "-" for side in ("a", "b")))
        for what, sides in row.get("changed", {}).items():
            shown.add_row(*name, what, str(sides["a"]), str(sides["b"]))
    show(out, shown)
