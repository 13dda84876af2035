"""``svs-sim scenarios``: what ships."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sim.cli._output import console, print_json
from sim.cli._parser import add_command

if TYPE_CHECKING:
    from sim.cli._parser import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    add_command(
        subparsers,
        "scenarios",
        run,
        help="list the scenarios and recordings that ship",
        description="Lists what ships and can be given by name to 'svs-sim run'.",
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from scenarios.catalogue import list_scenarios

    entries = list_scenarios()
    if args.json:
        print_json({"scenarios": [{"name": e.name, "kind": e.kind, "title": e.title} for e in entries]})
        return 0
    from rich import box
    from rich.table import Table

    table = Table("name", "kind", "what it does", box=box.SIMPLE_HEAD, pad_edge=False)
    for entry in entries:
        table.add_row(entry.name, entry.kind, entry.title)
    console().print(table)
    return 0
