"""``svs-sim scenarios``: what ships."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sim.cli._output import console, print_json, show, table
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
    shown = table("", "name", "kind", "what it does", text=3)
    for entry in entries:
        shown.add_row(entry.name, entry.kind, entry.title)
    show(console(), shown)
    return 0
