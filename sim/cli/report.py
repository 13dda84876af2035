"""``svs-sim report``: a result folder as one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli._output import print_json, working
from sim.cli._parser import add_command

if TYPE_CHECKING:
    from sim.cli._parser import Subparsers

DESCRIPTION = """
Writes one HTML page about a result: question, set-up, answer, charts, ledger, counters, validation, how to repeat it
and what was assumed. The page needs no network and no other file; it reads on a phone and prints.
"""


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(subparsers, "report", run, help="make one HTML page of a result", description=DESCRIPTION)
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a run, a sweep or a check")
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to write (default: DIR/report.html)")
    parser.add_argument("--validation", metavar="DIR", type=Path,
                        help="add the tables of a folder of 'svs-sim validate --out'")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from analysis.report import write_report

    with working("drawing", quiet=args.quiet or args.json):
        path = write_report(args.folder, out=args.out, validation=args.validation)
    if args.json:
        print_json({"report": str(path), "bytes": path.stat().st_size})
    elif not args.quiet:
        print(path)
    return 0
