"""``svs-sim inspect``: the page tables of a scenario at a moment, and what user mode can reach in them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli._output import console, print_json, show, table, working
from sim.cli._parser import add_command, cpu_count
from sim.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from analysis.inspect import Study
    from scenarios.scenario import Scenario
    from sim.cli._parser import Subparsers

DESCRIPTION = """
Runs SCENARIO under one profile up to a moment and shows the page tables of its CPUs, as user mode and as the kernel
see them; says which regions of the kernel user mode can reach under each profile, and what an NMI leaves readable.
"""


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        subparsers, "inspect", run, help="page tables at a moment, and what user mode reaches", description=DESCRIPTION
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="a shipped name, a TOML file, or an ftrace recording")
    parser.add_argument("--at", metavar="TIME", default="1ms", help="the moment, as in 2.5ms (default: 1ms)")
    parser.add_argument("--profile", metavar="P", help="design whose tables are shown (default: the scenario's)")
    parser.add_argument("--pcid", action=argparse.BooleanOptionalAction, help="use PCID where the profile can")
    parser.add_argument("--cpus", type=cpu_count, metavar="N", help="number of simulated CPUs")
    parser.add_argument("--costs", metavar="T", help="cost table: a shipped name or a TOML file")
    parser.add_argument("--cpu", type=int, action="append", metavar="N", help="CPU to show (may be given again; "
                        "default: 0 on the terminal, all in files)")  # fmt: skip
    parser.add_argument(
        "--compare", action=argparse.BooleanOptionalAction, default=True,
        help="also run all other profiles to that moment and compare what user mode reaches",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for inspect.json, tables.txt and pictures")


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from scenarios.open import open_scenario

    with working(f"reading {args.scenario}", quiet=args.quiet) as report:
        scenario = open_scenario(args.scenario, costs=args.costs, cpus=args.cpus, seed=args.seed, report=report)
    study = _studied(args, scenario)
    if args.json:
        from analysis.inspect import to_json

        print_json(to_json(study))
    elif not args.quiet:
        _print(args, study)
    return 0


def _studied(args: argparse.Namespace, scenario: Scenario) -> Study:
    """Look, and write what is asked for."""
    from analysis.folder import result_folder
    from analysis.inspect import KIND, write_study
    from sim.experiments.inspect import inspect_scenario

    def look() -> Study:
        with working("running up to the moment", quiet=args.quiet or args.json):
            return inspect_scenario(scenario, _moment(args.at, scenario), profile=args.profile, pcid=args.pcid,
                                    cpus=args.cpu, compare=args.compare)  # fmt: skip

    if args.out is None:
        return look()
    with result_folder(args.out, KIND) as stage:
        study = look()
        write_study(study, stage)
    return study


def _moment(text: str, scenario: Scenario) -> int:
    """Read ``--at`` as CPU cycles, at least one."""
    from sim.cli.run import read_time

    cycle = read_time(text, f"--at {text}", scenario.costs.frequency_hz)
    if not cycle:
        raise InputError(f"--at {text}: give a time after the start, as in 1.5ms")
    return cycle


def _print(args: argparse.Namespace, study: Study) -> None:
    """Trees, then the comparison."""
    from analysis.inspect import nmi_lines, study_text

    out = console()
    print(f"{study.caption}\n")
    print(study_text(study, args.cpu or [0]))
    show(out, _table(study))
    print("\nWhat an NMI leaves readable")
    for line in nmi_lines(study):
        print(f"  {line}")
    if args.out is not None:
        print(f"\nAll tables and pictures in {args.out}")


def _table(study: Study) -> Table:
    """Regions by profile."""
    from analysis.inspect import REGIONS

    most = study.reach.groupby(["region", "profile"])["user_pages"].max()
    profiles = list(dict.fromkeys(study.reach["profile"]))
    title = "What of the kernel user mode can reach, in pages of 4 KiB (the most of any CPU)"
    shown = table(title, "region", *profiles)
    for region in REGIONS:
        shown.add_row(region, *(f"{pages:,}" if (pages := most[region, profile]) else "-" for profile in profiles))
    return shown
