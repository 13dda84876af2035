"""``svs-sim export``: a result in another tool's format."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli._output import print_json
from sim.cli._parser import add_command, one_of
from sim.errors import InputError

if TYPE_CHECKING:
    from sim.cli._parser import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        subparsers, "export", run, help="write a run for Perfetto or chrome://tracing",
        description="Writes both runs of a result folder as trace-event JSON: one process a CPU, tracks for mode, LWP, "
        "CR3, locks and interrupts, arrows along IPIs. All of it needs 'svs-sim run --window'; without a window there "
        "are LWPs, shootdowns and counters of the whole run.",
    )  # fmt: skip
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a run")
    parser.add_argument("--perfetto", action="store_true", help="as trace-event JSON (default, the only format)")
    parser.add_argument("--run", dest="which", default="both", type=one_of("run", ("baseline", "profile", "both")),
                        metavar="RUN", help="baseline, profile or both (default)")  # fmt: skip
    parser.add_argument("--out", metavar="FILE", type=Path, help="file to write (default: DIR/perfetto.json)")


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from analysis.export import write_perfetto
    from analysis.files import whole_file
    from analysis.results import read_result

    read_result(args.folder)  # says best what is wrong with a folder
    out = args.out or args.folder / "perfetto.json"
    if args.out is not None and args.out.is_dir():
        raise InputError(f"--out {args.out}: this is a folder; give a file")
    if out.exists() and not out.is_file():
        raise InputError(f"--out {out}: this is no regular file; it would be replaced")
    with whole_file(out) as file:
        text = io.TextIOWrapper(file, encoding="utf-8")
        count = write_perfetto(args.folder, text, args.which)
        text.flush()
        text.detach()
    _tell(args, out, count)
    return 0


def _tell(args: argparse.Namespace, out: Path, count: int) -> None:
    """Print what was written."""
    windowed = (args.folder / "timeline.parquet").is_file()
    if args.json:
        print_json({"file": str(out), "events": count, "timeline": windowed})
    elif not args.quiet:
        print(f"{count} events in {out}; open it in https://ui.perfetto.dev")
        if not windowed:
            hint = "svs-sim: no timeline there: modes, CR3, locks and IPIs need 'svs-sim run --window 1ms:3ms'"
            print(hint, file=sys.stderr)
