"""What ``svs-sim check`` prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sim.cli._output import console, print_json, show, table
from sim.cli._say import MODEL_BUG, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.explore.check import Result
    from sim.explore.plants import Plant
    from sim.explore.request import Request


def say_where(plant: Plant) -> None:
    """Report on standard error where a plant is found."""
    print(
        f"svs-sim: planted bug {plant.name} is found with {plant.litmus} under {plant.profile}, memory {plant.memory}",
        file=sys.stderr,
    )


class Lines:
    """A table whose rows are printed as they come; names are never cut."""

    def __init__(self, requests: Sequence[Request]) -> None:
        from sim.explore.patches import names

        self._planted = any(request.patches for request in requests)
        rows = [self._names(request, names(request.patches)) for request in requests]
        heads = self._names(None, "planted")
        self._widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        self._head: tuple[str, ...] = (*heads, "verdict", "executions", "steps", "what")

    def _names(self, request: Request | None, planted: str) -> tuple[str, ...]:
        found = (request.litmus.name, request.profile, request.memory) if request else ("litmus", "profile", "memory")
        return (*found, planted) if self._planted else found

    def row(self, result: Result) -> None:
        """Print a row; the head before the first."""
        from sim.explore.patches import names

        counts = f"{result.executions}" + (f" (+{result.abandoned} cut short)" if result.abandoned else "")
        cells = self._names(result.request, names(result.request.patches))
        for row in (self._head, (*cells, result.verdict, counts, str(result.steps), _what(result))):
            if row:
                text = [cell.ljust(width) for cell, width in zip(row, [*self._widths, 10], strict=False)]
                print("  ".join([*text, row[-3].rjust(22), row[-2].rjust(9), row[-1]]).rstrip(), flush=True)
        self._head = ()


def print_examples(results: list[Result]) -> None:
    """Print each counterexample."""
    from sim.explore.counterexample.text import render

    for result in results:
        if result.counterexample is not None:
            print()
            print(render(result.counterexample), end="")


def say_crashed(results: Sequence[Result]) -> None:
    """Report on standard error what crashed: the traceback of each mistake once, and where it was made."""
    alike: dict[str, list[Result]] = {}
    for result in results:
        if result.verdict == "crashed":
            alike.setdefault(result.left_out, []).append(result)
    for first, *more in alike.values():
        request = first.request
        say(first.traceback, whole=True)
        others = f" and {len(more)} more" if more else ""
        say(f"crashed: {request.litmus.name}, {request.profile}, {request.memory}{others}: {first.left_out}")
    if any(not result.request.patches for results in alike.values() for result in results):
        say(MODEL_BUG)


def _what(result: Result) -> str:
    """What broke or was left out, and whether the program's file says so."""
    from sim.explore.mirror import expected

    request, example = result.request, result.counterexample
    exhausted = f"exhausted, {result.states:,} states" if result.states else "exhausted"
    if result.decided_under:
        exhausted = f"not explored: follows from {result.decided_under}"
    what = example.broken.invariant if example else result.left_out or exhausted
    name = example.litmus if example else request.litmus.name
    declared = () if request.patches else expected(request.litmus, request.profile, name)
    if declared and (example or result.verdict == "holds"):
        what += ", as expected" if example and what in declared else f" (expected: {', '.join(declared)})"
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
