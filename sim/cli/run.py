"""``svs-sim run``: a scenario or recording under a baseline and under a profile."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli._output import console, print_json, progress_bar, working
from sim.cli._parser import Parser, add_command, cpu_count, jobs, one_of
from sim.errors import InputError
from sim.inputs.shown import cut, escaped
from sim.inputs.units import PER_SECOND, split

if TYPE_CHECKING:
    from scenarios.recordings.windows import Sample
    from sim.cli._parser import Subparsers

MOST_SECONDS = 1_000_000
NS = 1_000_000_000
DESCRIPTION = """
Runs SCENARIO twice with the same seed, under a baseline and under a profile, prints what the profile adds and to which
cause it is charged, and writes summary.json, the frames (Parquet) and a chart into DIR.
"""


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        subparsers, "run", run, help="run a scenario with and without isolation", description=DESCRIPTION
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="a shipped name, a TOML file, or an ftrace recording")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the result")
    add_overrides(parser)
    parser.add_argument("--engine", type=one_of("engine", ("fast", "plain")), default="fast", metavar="fast|plain",
                        help="both give the same numbers; plain is the slow reference (default: fast)")  # fmt: skip
    parser.add_argument("--window", metavar="START:END", help="record a timeline of that stretch, as in 1ms:3ms "
                        "(default: no timeline)")  # fmt: skip
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--comm", metavar="NAME", help="of a recording: whose cost it is about, by the command's name")
    whose.add_argument("--pid", metavar="N", type=process_number, help="the same by process, with its descendants")
    parser.add_argument("--repeat", metavar="N", type=int,
                        help="runs in all, with what a recording cannot know drawn anew, for intervals (default: 1 for "
                        "a behaviour, up to 5 for a recording, as its length allows)")  # fmt: skip
    parser.add_argument("--sample", metavar="SHARE[:WINDOWS]", help="of a long recording: run so much of it, as in "
                        "0.1 or 0.1:20, in evenly spread windows, and estimate all (default: all of it)")  # fmt: skip
    parser.add_argument("--jobs", type=jobs, metavar="N",
                        help="processes: baseline and profile side by side, then repeats (default: as many as there "
                        "are processors)")  # fmt: skip
    parser.add_argument("--untraced-cpu", metavar="T", help="CPU time of the program without a tracer, as in 1.2s")


def add_overrides(parser: Parser) -> None:
    """Add the options that override what a scenario says of its machine and designs."""
    parser.add_argument(
        "--profile", type=design_name, metavar="P", help="design to study, see below (default: the scenario's)"
    )
    parser.add_argument("--baseline", type=design_name, metavar="P",
                        help="design to compare with (default: the scenario's, mostly none)")  # fmt: skip
    parser.add_argument(
        "--pcid", action=argparse.BooleanOptionalAction,
        help="use PCID where the profile can (default: yes, if the scenario does not say no)",
    )  # fmt: skip
    parser.add_argument(
        "--cpus", type=cpu_count, metavar="N",
        help="simulated CPUs (default: the scenario's, or as many as show up in a recording)",
    )  # fmt: skip
    parser.add_argument(
        "--costs", metavar="T", help="cost table (default: the scenario's): a TOML file or a name; see below"
    )
    parser.add_argument("--csv", action="store_true", help="write the frames as CSV, too")
    parser.further = further_help


def further_help() -> str:
    """What there is to be given with ``--profile`` and ``--costs``, and the defaults of recordings."""
    from scenarios.open import DEFAULT_PROFILE
    from sim.kernel.designs import PROFILES
    from sim.kernel.designs.variations import VARIATIONS
    from sim.timed.costs import DEFAULT, SHIPPED, load_costs

    lines = ["Profiles:", *(f"  {profile.name}  {profile.says}" for profile in PROFILES.values()), ""]
    lines.append("Variations, after a profile and a plus sign, as in pti+no-global:")
    for name, variation in VARIATIONS.items():
        only = f" (only {variation.only})" if variation.only else ""
        lines.append(f"  {name}  {variation.says}{only}")
    lines += ["  max-pages-N  a shootdown of more than N pages flushes everything", "", "Cost tables:"]
    lines += [f"  {name}  at {load_costs(name).frequency_hz / 1e9:g} GHz" for name in SHIPPED]
    lines.append(f"  {SHIPPED[0]}@2.4GHz  the same at another clock, as any of them")
    given = f"--profile {DEFAULT_PROFILE} --baseline none --costs {DEFAULT}"
    return "\n".join([*lines, "", f"A recording is run with {given} unless other values are given."])


def design_name(text: str) -> str:
    """Read a profile, perhaps with variations after plus signs."""
    from sim.kernel.designs import PROFILES
    from sim.timed.paired import check_profile

    one_of("profile", PROFILES)(text.partition("+")[0])
    return check_profile(text)


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from scenarios.open import open_scenario
    from scenarios.recordings.whose import Whose
    from sim.experiments.repeats import check_repeats, usual_repeats
    from sim.experiments.runs import run_scenario
    from sim.workers import processors

    with working(f"reading {args.scenario}", quiet=args.quiet) as report:
        untraced = read_untraced(args.untraced_cpu)
        sample = None if args.sample is None else asked_sample(args)
        scenario = open_scenario(args.scenario, costs=args.costs, cpus=args.cpus, seed=args.seed,
                                 whose=Whose(args.comm if args.comm is None else escaped(args.comm), args.pid),
                                 untraced_cpu_s=untraced, sample=sample, report=report)  # fmt: skip
    usual = 1 if sample else usual_repeats(scenario.events)
    repeats = usual if args.repeat is None else check_repeats(args.repeat)
    window = None if args.window is None else parse_window(args.window, scenario.costs.frequency_hz)
    stages = {"baseline": args.baseline or scenario.baseline, "profile": args.profile or scenario.profile}
    with progress_bar(stages, quiet=args.quiet) as progress:
        summary = run_scenario(
            scenario, args.out, profile=args.profile, baseline=args.baseline, pcid=args.pcid, engine=args.engine,
            window=window, progress=progress, command=args.typed, csv=args.csv, repeats=repeats,
            jobs=args.jobs or processors(),
        ).summary  # fmt: skip
    if args.json:
        print_json(summary)
    elif not args.quiet:
        from sim.cli._run_table import print_summary

        out = console()
        print_summary(out, summary)
        place = escaped(str(args.out))
        out.print(f"\nResult in {place}, picture in {place}/chart.png", soft_wrap=True)
    return 0


def asked_sample(args: argparse.Namespace) -> Sample:
    """Read ``--sample``.  Raises InputError if another option excludes it."""
    from scenarios.recordings.windows import read_sample

    for option, value, why in (("--window", args.window, "a timeline is of a whole run"),
                               ("--repeat", args.repeat, "a sample's interval is from its windows")):  # fmt: skip
        if value is not None:
            raise InputError(f"--sample and {option}: {why}; give one of them")
    try:
        return read_sample(args.sample)
    except InputError as error:
        raise InputError(f"--sample {cut(args.sample)}: {error}") from None


def read_untraced(text: str | None) -> float | None:
    """Read ``--untraced-cpu``, in seconds; None if it was not given.  Raises InputError."""
    if text is None:
        return None
    nanoseconds = read_time(text, "--untraced-cpu", NS)
    if not nanoseconds:
        raise InputError("--untraced-cpu: no program takes no time; give more than 0")
    return nanoseconds / NS


def process_number(text: str) -> int:
    """Read a process's number."""
    if not text.isdigit() or not int(text):
        raise InputError(f"--pid {text}: give the number of a process, 1 or more")
    return int(text)


def parse_window(text: str, frequency_hz: int) -> tuple[int, int]:
    """Read ``START:END``, two times with units, as CPU cycles.  Raises InputError."""
    parts = text.split(":")
    if len(parts) != 2:
        raise InputError(f"--window {text}: give two times with units, START:END, as in 1ms:3ms")
    start, end = (read_time(part, f"--window {text}", frequency_hz) for part in parts)
    if start >= end:
        raise InputError(f"--window {text}: the end must come after the start")
    return start, end


def read_time(text: str, option: str, frequency_hz: int) -> int:
    """Read a time with its unit, given with *option*, as CPU cycles.  Raises InputError."""
    number, unit = (0, "s") if text.strip() == "0" else split(text) or (-1, "")
    if number < 0 or unit not in PER_SECOND:
        raise InputError(f"{option}: '{text}' is no time; write a number and s, ms, us or ns, as in 1.5ms")
    if number > MOST_SECONDS * PER_SECOND[unit]:
        raise InputError(f"{option}: '{text}' must be {MOST_SECONDS} s or less")
    return round(number * frequency_hz / PER_SECOND[unit])
