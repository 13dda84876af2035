"""What ``svs-sim check`` prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sim.cli._output import console, print_json, show, table

if TYPE_CHECKING:
    from sim.explore.check import Result
    from sim.explore.plants import Plant


def say_where(plant: Plant) -> None:
    """Report on standard error where a plant is found."""
    print(
        f"svs-sim: planted bug {plant.name} is found with {plant.litmus} under {plant.profile}, memory {plant.memory}",
        file=sys.stderr,
    )


def print_results(results: list[Result]) -> None:
    """Print a table, then each counterexample."""
    from sim.explore.counterexample.text import render
    from sim.explore.patches import names

    changed = any(result.request.patches for result in results)
    columns = ["litmus", "profile", "memory", *(["planted"] if changed else []), "verdict"]
    shown = table("", *columns, "executions", "steps", "what", text=len(columns), remarks=1)
    for result in results:
        request = result.request
        counts = f"{result.executions}" + (f" (+{result.abandoned} cut short)" if result.abandoned else "")
        shown.add_row(
            request.litmus.name, request.profile, request.memory, *([names(request.patches)] if changed else []),
            result.verdict, counts, str(result.steps), _what(result),
        )  # fmt: skip
    show(console(), shown)
    for result in results:
        if result.counterexample is not None:
            print(render(result.counterexample))


def _what(result: Result) -> str:
    """What broke or was left out, and whether the program's file says so."""
    request, example = result.request, result.counterexample
    exhausted = f"exhausted, {result.states:,} states" if result.states else "exhausted"
    what = example.broken.invariant if example else result.left_out or exhausted
    expected = () if request.patches else request.litmus.violates.get(request.profile, ())
    if expected and (example or result.verdict == "holds"):
        what += ", as expected" if example and what in expected else f" (expected: {', '.join(expected)})"
    return what


def list_plants(*, as_json: bool) -> int:
    """List the planted bugs; returns the exit status."""
    from sim.explore.plants import plants

    columns = ("name", "breaks", "litmus", "says", "profile", "memory")
    return _list(as_json, "plants", [{key: getattr(plant, key) for key in columns} for plant in plants()])


def list_litmus(*, as_json: bool) -> int:
    """List the litmus programs that ship; returns the exit status."""
    from scenarios.litmus_reader import find, shipped

    return _list(as_json, "litmus", [{"name": name, "says": find(name).says} for name in shipped()])


def _list(as_json: bool, key: str, rows: list[dict[str, str]]) -> int:
    """Print rows as JSON or as a table."""
    if as_json:
        print_json({key: rows})
        return 0
    shown = table("", *rows[0], text=len(rows[0]))
    for row in rows:
        shown.add_row(*row.values())
    show(console(), shown)
    return 0
