"""``svs-sim check``: explore litmus programs."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli._check_replay import replay
from sim.cli._output import print_json, progress_bar
from sim.cli._parser import add_command, jobs, one_of
from sim.cli._say import MODEL_BROKEN, say
from sim.errors import InputError, closest
from sim.signals import status_of

if TYPE_CHECKING:
    from sim.cli._parser import Subparsers
    from sim.explore.check import Result
    from sim.explore.explorer import Budget
    from sim.explore.patches import Patch
    from sim.explore.plants import Plant
    from sim.explore.request import Request

Cell = tuple[str, str, str]  # litmus program, profile, memory model
PROFILE, MEMORY = "svs-netbsd10", "tso"
_BUDGET = re.compile(r"([0-9]{1,15})(s|steps|states)?")


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        subparsers,
        "check",
        run,
        help="explore litmus programs: does the synchronisation hold?",
        description="Runs litmus programs through all orders in which CPUs, interrupts and store buffers can act, and "
        "judges named invariants. Exit status: 0 all hold, 1 one is violated, 3 a budget ended first, 70 one crashed.",
    )
    parser.add_argument(
        "litmus", nargs="*", metavar="LITMUS", help="shipped names or TOML files (default: all shipped)"
    )
    _add_kernel(parser)
    _add_search(parser)
    parser.add_argument("--replay", metavar="TOKEN", help="follow the schedule of a token (LITMUS only for own files)")
    parser.add_argument("--jobs", type=jobs, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write results, explorations.parquet, and each counterexample as text, picture and page",
    )
    parser.add_argument("--csv", action="store_true", help="with --out: write explorations.csv, too")
    parser.add_argument("--list-plants", action="store_true", help="list the planted bugs")
    parser.add_argument("--list", action="store_true", help="list the litmus programs that ship")


def _add_kernel(parser: argparse.ArgumentParser) -> None:
    """Add what says which kernel is checked."""
    from sim.explore import MEMORIES

    parser.add_argument(
        "--profile",
        metavar="P",
        help=f"design to check, or 'all' that isolate (default: {PROFILE})",
    )
    parser.add_argument(
        "--memory",
        type=one_of("memory model", (*MEMORIES, "both")),
        metavar="M",
        help=f"sc (no store buffers), tso or both (default: {MEMORY})",
    )
    parser.add_argument(
        "--plant",
        type=_plant,
        action="append",
        dest="changes",
        metavar="BUG",
        help="plant a bug of the catalogue; without LITMUS, --profile or --memory, where it is found",
    )
    parser.add_argument(
        "--patch",
        type=_patch,
        action="append",
        dest="changes",
        metavar="DIFF",
        help="check the kernel with a unified diff of sim/kernel or sim/hardware; the tree stays as it is. --patch and "
        "--plant may be repeated and combined, and are applied in this order",
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    """Add what says how orders are searched, and how long."""
    from sim.explore import EXECUTIONS, STATES, STATES_OF_MORE, STRATEGIES

    parser.add_argument(
        "--strategy",
        type=one_of("strategy", STRATEGIES),
        default="auto",
        metavar="S",
        help="auto (default: dpor, then states where that does not exhaust), dpor, states, exhaustive, pct or random",
    )
    parser.add_argument(
        "--budget",
        type=budget,
        default=None,
        metavar="N",
        help="for each litmus: N executions, Nsteps, Nstates, or Ns seconds (default: for auto and states "
        f"{STATES}states with two CPUs, {STATES_OF_MORE}states with more, else {EXECUTIONS})",
    )
    parser.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="explore each program in every assignment of its roles to CPUs (default), or only as it is written",
    )
    parser.add_argument(
        "--inclusion",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="with --memory both: where a large program holds under tso it does under sc, which is not explored "
        "(default), or explore all",
    )
    parser.add_argument("--preemptions", type=int, metavar="N", help="at most N preemptions an execution")
    parser.add_argument("--determinism", action="store_true", help="run every execution twice and compare")


def budget(text: str) -> Budget:
    """Read a budget."""
    from sim.explore.explorer import Budget

    match = _BUDGET.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(
            f"a budget is like 2000 (executions), 50000steps, 50000states or 30s, not '{text}'"
        )
    number = int(match[1])
    if match[2] == "s":
        return Budget(seconds=float(number), clock=time.perf_counter)
    if match[2] == "steps":
        return Budget(steps=number, clock=time.perf_counter)
    if match[2] == "states":
        return Budget(states=number, clock=time.perf_counter)
    return Budget(executions=number, clock=time.perf_counter)


def _plant(name: str) -> Plant:
    """Read the name of a planted bug."""
    from sim.explore.plants import find

    return find(name)


def _patch(file: str) -> Patch:
    """Read a patch."""
    from sim.explore.patches import read

    return read(Path(file))


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from sim.cli import _check_output as output

    if args.preemptions is not None and args.preemptions < 0:
        raise InputError(f"--preemptions: {args.preemptions} is negative")
    if args.list_plants:
        return output.list_plants(as_json=args.json)
    if args.list:
        return output.list_litmus(as_json=args.json)
    plants, patches = _changes(args)
    if args.replay is not None:
        return replay(args, patches)
    cells = list(_cells(args, plants, patches))
    if plants and not (args.quiet or (args.litmus and args.profile and args.memory)):
        for plant in plants:
            output.say_where(plant)
    requests = [_request(args, patches, cell) for cell in cells]
    if args.out is None:
        return _report(args, len(requests), *_explore(args, requests, None))
    from analysis.checks import CELLS, KIND, write_checks
    from analysis.folder import result_folder
    from analysis.tables import write_csv

    with result_folder(args.out, KIND) as stage:
        results, stopped = _explore(args, requests, args.out / CELLS)
        if stopped is not None and not results:
            raise stopped
        write_checks(stage, results, args.typed, asked=len(requests))
        if args.csv:
            write_csv(stage)
    return _report(args, len(requests), results, stopped)


def _changes(args: argparse.Namespace) -> tuple[list[Plant], tuple[Patch, ...]]:
    """The planted bugs, and all patches, theirs included, in the order of the command line."""
    from sim.explore.plants import Plant

    given = args.changes or []
    plants = [change for change in given if isinstance(change, Plant)]
    return plants, tuple(change.patch if isinstance(change, Plant) else change for change in given)


def _cells(args: argparse.Namespace, plants: list[Plant], patches: tuple[Patch, ...]) -> Iterator[Cell]:
    """What is to be checked, each once; InputError if the patches don't make a kernel that can be."""
    from scenarios.litmus_reader import shipped
    from sim.explore import MEMORIES
    from sim.explore.patches.kernel import patched

    with patched(patches) as kernel:  # what is wrong with a patch is reported before anything runs
        profiles = {**{name: (name,) for name in kernel.profiles}, "all": kernel.isolating}
    found = [(plant.litmus, args.profile or plant.profile, args.memory or plant.memory) for plant in plants]
    found = found or [(name, args.profile or PROFILE, args.memory or MEMORY) for name in args.litmus or shipped()]
    if args.litmus:
        found = [(name, profile, memory) for name in args.litmus for _, profile, memory in found]
    for _, profile, _ in found:
        if profile not in profiles:  # of the patched kernel, which may have designs of its own
            raise InputError(
                f"--profile: unknown profile '{profile}' (one of {', '.join(profiles)}){closest(profile, profiles)}"
            )
    cells = (
        (name, each, kind)
        for name, profile, memory in found
        for each in profiles[profile]
        for kind in (MEMORIES if memory == "both" else (memory,))
    )
    yield from dict.fromkeys(cells)


def _request(args: argparse.Namespace, patches: tuple[Patch, ...], cell: Cell) -> Request:
    """What the command line asks for in one cell."""
    from scenarios.litmus_reader import find
    from sim.explore.request import Request
    from sim.explore.search import default_budget

    name, profile, memory = cell
    litmus = find(name)
    return Request(
        litmus,
        profile,
        memory,
        patches,
        args.strategy,
        args.budget or replace(default_budget(args.strategy, litmus.cpus), clock=time.perf_counter),
        args.seed if args.seed is not None else 1,
        preemptions=args.preemptions,
        deterministic=args.determinism,
        mirror=args.mirror,
    )


def _explore(
    args: argparse.Namespace, requests: list[Request], kept: Path | None
) -> tuple[list[Result], KeyboardInterrupt | None]:
    """Check everything, and print each verdict as it comes; the results in order, and what stopped it if not all."""
    from sim.cli._check_output import Lines
    from sim.experiments.checks import explored

    lines = None if args.quiet or args.json else Lines(requests)
    found: dict[int, Result] = {}
    stopped = None
    quiet = args.quiet or args.json or sys.stdout.isatty()  # there the lines show how far it is
    with progress_bar({"check": "exploring"}, quiet=quiet) as progress:
        try:
            for number, result in explored(requests, args.jobs, kept, inclusion=args.inclusion):
                found[number] = result
                if lines is not None:
                    lines.row(result)
                if progress is not None:
                    progress("check", len(found) / len(requests))
        except KeyboardInterrupt as signal:  # what there is, is worth keeping
            stopped = signal
    return [found[number] for number in sorted(found)], stopped


def _report(args: argparse.Namespace, asked: int, results: list[Result], stopped: KeyboardInterrupt | None) -> int:
    """Print the results; returns the exit status."""
    from sim.cli._check_output import print_examples, say_crashed

    if args.json:
        from analysis.checks import as_json

        print_json({"results": [as_json(result) for result in results]})
    elif not args.quiet:
        print_examples(results)
    if stopped is not None:
        say(f"interrupted; {len(results)} of {asked} were explored")
        return status_of(stopped)
    verdicts = {result.verdict for result in results}
    if "crashed" in verdicts:
        say_crashed(results)
        return MODEL_BROKEN
    return 1 if "violated" in verdicts else 3 if "incomplete" in verdicts else 0
