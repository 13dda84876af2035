"""``svs-sim sweep``: a grid of paired runs, resumable."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli._failed import tell_failed
from sim.cli._output import console, print_json, progress_bar
from sim.cli._parser import add_command, jobs
from sim.cli._say import say
from sim.errors import InputError
from sim.signals import status_of

if TYPE_CHECKING:
    from sim.cli._parser import Subparsers
    from sim.experiments.sweep import Failure, Sweep, SweepOutcome


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        subparsers, "sweep", run, help="run a grid of scenarios, profiles and machines",
        description="Runs every point of a grid and writes points.parquet and summary.json into DIR. Finished points "
        "are kept there: the same command after a kill goes on where it was. Exit status: 0 all points done, 2 bad "
        "input or points that failed (the others are in the result), 70 points at which the model contradicts itself.",
    )  # fmt: skip
    parser.add_argument("sweep", metavar="SWEEP", help="a TOML file, or the name of a shipped sweep")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the result and the cache")
    parser.add_argument("--jobs", type=jobs, default=1, metavar="N", help="local processes (default: 1)")
    parser.add_argument("--csv", action="store_true", help="write points.csv, too")
    parser.add_argument("--cluster", metavar="ADDRESS", help="a Dask scheduler, as tcp://host:8786 (extra 'cluster')")


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from analysis.tables import write_csv
    from analysis.units import counted
    from sim.experiments.sweep import load_sweep, run_sweep

    if args.cluster is not None and args.jobs != 1:
        raise InputError("--jobs is for local processes and --cluster for a cluster; give one of them")
    sweep = load_sweep(args.sweep, seed=args.seed)
    text = f"sweep {sweep.name}, {counted(len(sweep.points), 'point')}"
    with progress_bar({"sweep": text}, quiet=args.quiet or args.json) as bar:
        report = None if bar is None else lambda done, total: bar("sweep", done / total)
        try:
            outcome = run_sweep(sweep, args.out, jobs=args.jobs, cluster=args.cluster, progress=report,
                                command=args.typed)  # fmt: skip
        except KeyboardInterrupt as error:
            say("interrupted; finished points are kept: the same command goes on there")
            return status_of(error)
    if args.csv:
        write_csv(args.out)
    _tell(args, sweep, outcome)
    return tell_failed((_which(failure), failure.reason, failure.bug) for failure in outcome.failures)


def _which(failure: Failure) -> str:
    """Name a point by its parameters."""
    return ", ".join(f"{key} = {value}" for key, value in failure.parameters.items() if value is not None)


def _tell(args: argparse.Namespace, sweep: Sweep, outcome: SweepOutcome) -> None:
    """Print what was done."""
    from analysis.units import counted

    counts = {"computed": outcome.computed, "cached": outcome.cached, "damaged": outcome.damaged,
              "failed": len(outcome.failures)}  # fmt: skip
    if args.json:
        print_json(
            {
                "sample": sweep.sample,
                **counts,
                "points": len(outcome.frame),
                "results": str(args.out / "points.parquet"),
            }
        )
    elif not args.quiet:
        out = console()
        if sweep.sample is not None:
            from analysis.sampling import samples_text

            out.print(samples_text(sweep.sample, outcome.frame), style="bold yellow")
        out.print(f"{counted(len(outcome.frame), 'point')}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
        if len(outcome.frame):
            out.print(f"Result in {args.out / 'points.parquet'}; 'svs-sim chart {args.out}' draws it", soft_wrap=True)
