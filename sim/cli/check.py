"""``svs-sim check``: explore litmus programs."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.cli._output import console, print_json, progress_bar, show, table
from sim.cli._parser import add_command, jobs, one_of
from sim.errors import InputError
from sim.workers import Workers

if TYPE_CHECKING:
    from sim.cli._parser import Subparsers
    from sim.explore.check import Request, Result
    from sim.explore.explorer import Budget

DEFAULT_BUDGET = "2000"
_BUDGET = re.compile(r"([0-9]{1,15})(s|steps)?")


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    from sim.explore import MEMORIES, STRATEGIES
    from sim.kernel.designs import PROFILES

    parser = add_command(
        subparsers,
        "check",
        run,
        help="explore litmus programs: does the synchronisation hold?",
        description="Runs litmus programs through all orders in which CPUs, interrupts and store buffers can act, and "
        "judges named invariants. Exit status: 0 all hold, 1 one is violated, 3 a budget ended first.",
    )
    parser.add_argument(
        "litmus", nargs="*", metavar="LITMUS", help="shipped names or TOML files (default: all shipped)"
    )
    parser.add_argument(
        "--profile",
        type=one_of("profile", (*PROFILES, "all")),
        metavar="P",
        help="design to check, or 'all' that isolate (default: svs-netbsd10)",
    )
    parser.add_argument(
        "--memory",
        type=one_of("memory model", (*MEMORIES, "both")),
        metavar="M",
        help="sc (no store buffers), tso or both (default: tso)",
    )
    parser.add_argument("--plant", metavar="BUG", help="plant a bug; without LITMUS, where the catalogue says it shows")
    parser.add_argument(
        "--strategy",
        type=one_of("strategy", STRATEGIES),
        default="dpor",
        metavar="S",
        help="dpor (default), exhaustive, pct or random",
    )
    parser.add_argument(
        "--budget",
        type=budget,
        default=None,
        metavar="N",
        help=f"for each litmus: N executions, Nsteps, or Ns seconds (default: {DEFAULT_BUDGET})",
    )
    parser.add_argument("--preemptions", type=int, metavar="N", help="at most N preemptions an execution")
    parser.add_argument("--replay", metavar="TOKEN", help="follow the schedule of a token (LITMUS only for own files)")
    parser.add_argument("--determinism", action="store_true", help="run every execution twice and compare")
    parser.add_argument("--jobs", type=jobs, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write results, explorations.parquet, and each counterexample as text, picture and page",
    )
    parser.add_argument("--list-plants", action="store_true", help="list the planted bugs")
    parser.add_argument("--list", action="store_true", help="list the litmus programs that ship")


def budget(text: str) -> Budget:
    """Read a budget."""
    from sim.explore.explorer import Budget

    match = _BUDGET.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"a budget is like 2000 (executions), 50000steps or 30s, not '{text}'")
    number = int(match[1])
    if match[2] == "s":
        return Budget(seconds=float(number), clock=time.perf_counter)
    if match[2] == "steps":
        return Budget(steps=number, clock=time.perf_counter)
    return Budget(executions=number, clock=time.perf_counter)


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    if args.preemptions is not None and args.preemptions < 0:
        raise InputError(f"--preemptions: {args.preemptions} is negative")
    if args.list_plants:
        return _list_plants(args)
    if args.list:
        return _list(args)
    if args.replay is not None:
        return _replay(args)
    requests = list(_requests(args))
    if args.out is None:
        return _report(args, _explore(args, requests))
    from analysis.checks import OWNED, write_checks
    from analysis.folder import result_folder

    with result_folder(args.out, OWNED) as stage:
        results = _explore(args, requests)
        write_checks(stage, results, args.typed)
    return _report(args, results)


def _requests(args: argparse.Namespace) -> Iterator[Request]:
    """What the command line asks for, one by one."""
    from scenarios.litmus_reader import find, shipped
    from sim.explore import MEMORIES
    from sim.explore.check import Request
    from sim.explore.plants import find as find_plant
    from sim.kernel.designs import isolating

    plant = find_plant(args.plant) if args.plant else None
    names = args.litmus or ([plant.litmus] if plant else shipped())
    profile = args.profile or (plant.profile if plant else "svs-netbsd10")
    memory = args.memory or (plant.memory if plant else "tso")
    limit = args.budget or budget(DEFAULT_BUDGET)
    for name in names:
        litmus = find(name)
        for each in isolating() if profile == "all" else (profile,):
            for kind in MEMORIES if memory == "both" else (memory,):
                yield Request(
                    litmus,
                    each,
                    kind,
                    plant,
                    args.strategy,
                    limit,
                    args.seed if args.seed is not None else 1,
                    preemptions=args.preemptions,
                    deterministic=args.determinism,
                )


def _explore(args: argparse.Namespace, requests: list[Request]) -> list[Result]:
    """Check everything, in order, in one or more processes."""
    results: list[Result] = []
    with progress_bar({"check": "exploring"}, quiet=args.quiet or args.json) as progress:
        for result in _checked(requests, min(args.jobs, len(requests))):
            results.append(result)
            if progress is not None:
                progress("check", len(results) / len(requests))
    return results


def _checked(requests: list[Request], jobs: int) -> Iterator[Result]:
    """Results in the order of the requests."""
    from sim.explore.check import check

    if jobs == 1:
        yield from map(check, requests)
        return
    with Workers(jobs) as pool:
        yield from pool.map(check, requests)


def _report(args: argparse.Namespace, results: list[Result]) -> int:
    """Print the results; returns the exit status."""
    if args.json:
        from analysis.checks import as_json

        print_json({"results": [as_json(result) for result in results]})
    elif not args.quiet:
        _print(results)
    verdicts = {result.verdict for result in results}
    return 1 if "violated" in verdicts else 3 if "incomplete" in verdicts else 0


def _print(results: list[Result]) -> None:
    """A table, then each counterexample."""
    from sim.explore.counterexample.text import render

    columns = ("litmus", "profile", "memory", "verdict", "executions", "steps", "what")
    shown = table("", *columns, text=4, remarks=1)
    for result in results:
        request, example = result.request, result.counterexample
        what = example.broken.invariant if example else result.left_out or "exhausted"
        expected = None if request.plant else request.litmus.violates.get(request.profile)
        if expected and (example or result.verdict == "holds"):
            what += ", as expected" if example and what == expected else f" (expected: {expected})"
        counts = f"{result.executions}" + (f" (+{result.abandoned} cut short)" if result.abandoned else "")
        shown.add_row(
            request.litmus.name, request.profile, request.memory, result.verdict, counts, str(result.steps), what
        )
    show(console(), shown)
    for result in results:
        if result.counterexample is not None:
            print(render(result.counterexample))


def _replay(args: argparse.Namespace) -> int:
    """Follow a token."""
    from scenarios.litmus_reader import find
    from sim.explore import MEMORIES
    from sim.explore.check import Request, fingerprint, replayed
    from sim.explore.counterexample.text import render
    from sim.explore.counterexample.token import decode
    from sim.explore.plants import find as find_plant
    from sim.kernel.designs import PROFILES

    token = decode(args.replay)
    if len(args.litmus) > 1:
        raise InputError("--replay takes one litmus program at most")
    litmus = find(args.litmus[0] if args.litmus else token.litmus)
    if fingerprint(litmus) != token.digest:
        raise InputError(
            f"replay token: made for another version of litmus program '{token.litmus}' than {litmus.where}"
        )
    if token.profile not in PROFILES or token.memory not in MEMORIES:
        raise InputError(f"replay token: unknown profile '{token.profile}' or memory model '{token.memory}'")
    plant = find_plant(token.planted) if token.planted else None
    example = replayed(Request(litmus, token.profile, token.memory, plant), token.choices)
    if args.json:
        found: dict[str, Any] = {
            "litmus": litmus.name,
            "profile": token.profile,
            "memory": token.memory,
            "planted": token.planted or None,
            "verdict": "violated" if example else "holds",
            "steps": len(token.choices),
        }
        if example is not None:
            found |= {
                "invariant": example.broken.invariant,
                "reason": example.broken.reason,
                "token": example.token,
                "trace": [{"cpu": s.cpu, "actor": s.actor, "did": list(s.lines)} for s in example.steps],
            }
        print_json({"results": [found]})
    elif not args.quiet:
        print(render(example) if example else "the schedule of this token breaks nothing any more")
    return 1 if example else 0


def _list_plants(args: argparse.Namespace) -> int:
    """List the planted bugs."""
    from sim.explore.plants import plants

    found = [
        {"name": p.name, "breaks": p.breaks, "litmus": p.litmus, "says": p.says, "profile": p.profile} for p in plants()
    ]
    return _list_rows(args, "plants", found)


def _list(args: argparse.Namespace) -> int:
    """List the litmus programs."""
    from scenarios.litmus_reader import find, shipped

    found = [{"name": name, "says": find(name).says} for name in shipped()]
    return _list_rows(args, "litmus", found)


def _list_rows(args: argparse.Namespace, key: str, rows: list[dict[str, str]]) -> int:
    """Print rows as JSON or as a table."""
    if args.json:
        print_json({key: rows})
        return 0
    shown = table("", *rows[0], text=len(rows[0]))
    for row in rows:
        shown.add_row(*row.values())
    show(console(), shown)
    return 0
