"""The parser of the command line, and what the commands share in it."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from sim.cli._help import Help
from sim.errors import InputError, closest
from sim.inputs.shown import cut

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction["Parser"]

MOST_JOBS = 1024
# The order of --help; a command that is not named here comes after these.
ORDER = ("run", "record", "scenarios", "sweep", "check", "validate", "calibrate", "chart", "report", "compare",
         "export", "inspect", "completion")  # fmt: skip

# Options that change no result, and whether they take a value.
NOT_KEPT = {"--out": True, "--jobs": True, "--cluster": True, "--csv": False, "--json": False, "--quiet": False}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are :class:`InputError`, so that there is one way out.

    ``further`` makes what stands below the options, when help is asked for and not before.
    """

    further: Callable[[], str] | None = None

    @property
    def version(self) -> str:
        """What ``--version`` prints."""
        from sim.version import release

        return f"svs-sim {release()}"

    def format_help(self) -> str:
        """Return the help, with everything."""
        if self.further is not None:
            self.epilog = self.further()
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise InputError(f"{message}; see '{self.prog} --help'")


def add_command(
    subparsers: Subparsers, name: str, run: Callable[[argparse.Namespace], int], *, help: str, description: str
) -> Parser:
    """Add the command *name*, carried out by *run*, with the options that every command has.

    *help* is its line in the list of commands, *description* opens its own ``--help``.  Returns the parser, for the
    command's own arguments.
    """
    parser = subparsers.add_parser(name, help=help, description=description, allow_abbrev=False, formatter_class=Help)
    parser.set_defaults(run=run)
    common = parser.add_argument_group("options of every command")
    common.add_argument("--json", action="store_true", help="print one JSON object on standard output, nothing else")
    common.add_argument("--seed", type=seed, metavar="N", help="seed of all random streams (default: the scenario's)")
    common.add_argument("--quiet", action="store_true", help="no progress bar, no table")
    return parser


def seed(text: str) -> int:
    """Read a seed: a whole number, zero or more."""
    number = _whole(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"a seed is a whole number, zero or more and below 2^63, not '{cut(text)}'")
    return number


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = _whole(text)
    if not number:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, not '{cut(text)}'")
    return number


def _whole(text: str) -> int | None:
    """A whole number in digits, zero or more and below 2^63; None for any other text."""
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) >= 1 << 63:
        return None
    return int(text)


def jobs(text: str) -> int:
    """Read a number of processes."""
    count = positive(text)
    if count > MOST_JOBS:
        raise argparse.ArgumentTypeError(f"must be {MOST_JOBS} or less, not {count}")
    return count


def cpu_count(text: str) -> int:
    """Read a number of simulated CPUs."""
    from sim.timed.paired import MAX_CPUS

    count = positive(text)
    if count > MAX_CPUS:
        raise argparse.ArgumentTypeError(f"must be {MAX_CPUS} or less, not {count}")
    return count


def one_of(what: str, known: Iterable[str]) -> Callable[[str], str]:
    """Return a reader of one of the words *known*, which suggests the closest one for any other."""
    words = tuple(known)

    def read(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(
                f"unknown {what} '{text}' (one of {', '.join(words)}){closest(text, words)}"
            )
        return text

    return read


def commands() -> list[str]:
    """Return the names of the commands that exist: the modules beside this one without a leading underscore."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    found = [module.name for module in modules if not module.name.startswith("_")]
    return sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def parse(words: list[str]) -> argparse.Namespace | None:
    """Parse the command line; None after ``--help`` or ``--version``.  Raises InputError."""
    names = commands()
    command = next((word for word in words if not word.startswith("-")), None)
    if command is not None and command not in names:
        raise InputError(f"unknown command '{command}' (one of {', '.join(names)}){closest(command, names)}")
    parser, parsers = build(names)
    try:
        args, rest = parser.parse_known_args(words)
    except SystemExit:  # argparse leaves like this after --help and --version
        return None
    own = parsers[cast(str, command)] if rest else parser
    rest = _take_late_words(args, rest, own)
    if rest:
        raise InputError(f"unknown argument '{rest[0]}'{_closest_option(rest[0], own)}; see '{own.prog} --help'")
    args.typed = kept_words(words)
    return args


def _take_late_words(args: argparse.Namespace, rest: list[str], parser: Parser) -> list[str]:
    """Give words behind options to the argument that takes any number of them; what is left over."""
    several = [one for one in parser._actions if not one.option_strings and one.nargs in ("*", "+")]
    if not several or any(word.startswith("-") for word in rest):
        return rest
    name = several[-1].dest
    setattr(args, name, [*getattr(args, name), *rest])
    return []


def kept_words(words: Sequence[str]) -> str:
    """Return the command line as results keep it: without what changes no result, files by their names alone."""
    kept, rest = ["svs-sim"], iter(words)
    for word in rest:
        option, _, value = word.partition("=")
        if option in NOT_KEPT:
            if NOT_KEPT[option] and not value:
                next(rest, None)
        else:
            kept.append(Path(word).name if "/" in word and Path(word).exists() else word)
    return shlex.join(kept)


def build(names: list[str]) -> tuple[Parser, dict[str, Parser]]:
    """Return the whole parser, and the parsers of the commands *names* by name."""
    parser = Parser(
        formatter_class=Help,
        prog="svs-sim",
        description="Simulates NetBSD's Separate Virtual Space: what it costs, and whether it holds.",
        epilog="Exit status: 0 done, 1 violated (check), 2 bad input or usage, 3 budget ended first (check), "
        "4 a timed run came to a standstill.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name in names:
        importlib.import_module(f"sim.cli.{name}").register(subparsers)
    return parser, dict(subparsers.choices)


def _closest_option(word: str, parser: Parser) -> str:
    """Suggest the option of *parser* nearest to an unknown one."""
    return closest(word.partition("=")[0], re.findall(r"--[a-z][a-z-]+", parser.format_help()))
