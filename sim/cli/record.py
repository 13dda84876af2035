"""``svs-sim record``: record a program on this Linux machine."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli._output import print_json
from sim.cli._parser import add_command
from sim.errors import InputError, closest

if TYPE_CHECKING:
    from sim.cli._parser import Subparsers
    from sim.record import Outcome

SUFFIX = ".ftrace.gz"
DESCRIPTION = """
Runs COMMAND once (or N times) without tracing and notes what it takes, then once more with the kernel's tracing on, and
writes what happened as ftrace text for 'svs-sim run'. Recorded are switches and interrupts of the whole machine, system
calls and page faults of the command and its descendants. Needs Linux on x86-64 and root; tracing that somebody else has
set up is left alone. Exit status: the command's.
"""


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        subparsers, "record", run, help="record a program for 'run' (Linux, as root)", description=DESCRIPTION
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path,
        help=f"file to write, packed if called *.gz (default: the command's name and {SUFFIX})",
    )  # fmt: skip
    parser.add_argument("--untraced", metavar="N", type=run_count, default=1,
                        help="run the command N times without tracing before (default: 1)")  # fmt: skip
    parser.add_argument("words", metavar="-- COMMAND", nargs=argparse.REMAINDER, help="what to run, with its arguments")


def run_count(text: str) -> int:
    """Read a number of runs, which may be none."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more, not '{text}'")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from sim.record import Plan, record
    from sim.record.signals import Ended, raised_as_interrupt

    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise InputError("no command to record; write it after '--', as in: svs-sim record -- make -j2")
    if words[0].startswith("-"):
        options = ("--out", "--untraced", "--quiet", "--json")
        raise InputError(f"unknown argument '{words[0]}'{closest(words[0], options)}; see 'svs-sim record --help'")
    plan = Plan(words, _target(args.out, words), args.untraced, stdout=2 if args.json else None)
    try:
        with raised_as_interrupt():
            outcome = record(plan, (lambda _: None) if args.quiet or args.json else _say)
    except Ended as signal:
        _say("interrupted; nothing was written")
        return 128 + signal.number
    _tell(args, outcome)
    return outcome.status


def _target(out: Path | None, words: list[str]) -> Path:
    """The file to write; without ``--out`` one that does not exist yet."""
    if out is None:
        stem = Path(words[0]).name
        names = (Path(f"{stem}{'' if n == 1 else f'-{n}'}{SUFFIX}") for n in range(1, sys.maxsize))
        return next(name for name in names if not name.exists())
    if out.is_dir():
        raise InputError(f"--out {out}: this is a folder; give a file")
    if out.exists() and not out.is_file():
        raise InputError(f"--out {out}: this is no regular file; it would be replaced")
    if out.suffix == ".toml":
        raise InputError(f"--out {out}: 'svs-sim run' reads *.toml as behaviours; give the file another name")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder '{out.parent}'")
    return out


def _tell(args: argparse.Namespace, outcome: Outcome) -> None:
    """Print what was recorded and what to type next."""
    if args.json:
        print_json({"recording": str(outcome.path), "header": outcome.header, "status": outcome.status})
        return
    if outcome.interrupted:
        _say("interrupted: the recording holds what came before")
    elif outcome.status:
        _say(f"the command ended with status {outcome.status}")
    if outcome.lost:
        _say(f"warning: {outcome.lost:,} events were lost, more than the buffers could hold; record a shorter run")
    if not args.quiet:
        result = shlex.quote(
            f"{outcome.path.name.removesuffix('.gz').removesuffix('.ftrace').removesuffix('.txt')}-svs"
        )
        _say(f"recorded in {outcome.path}; go on with: svs-sim run {shlex.quote(str(outcome.path))} --out {result}")


def _say(text: str) -> None:
    """Print a line on standard error: standard output is the command's."""
    print(f"svs-sim: {text}", file=sys.stderr, flush=True)
