"""``svs-sim completion``: what a shell needs to complete this command's words."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli._output import print_json
from sim.cli._parser import Parser, add_command, build, commands, one_of

if TYPE_CHECKING:
    from sim.cli._parser import Subparsers

SHELLS = ("bash", "zsh", "fish")
DESCRIPTION = """
Prints a script that makes SHELL complete commands, options, files, and names of profiles, cost tables, litmus programs
and planted bugs. Put it where the shell looks for such scripts:

  bash  svs-sim completion bash > ~/.local/share/bash-completion/completions/svs-sim
  zsh  svs-sim completion zsh > a folder of $fpath, as _svs-sim
  fish  svs-sim completion fish > ~/.config/fish/completions/svs-sim.fish
"""


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        subparsers, "completion", run, help="print a script for a shell's completion", description=DESCRIPTION
    )
    parser.add_argument("shell", metavar="SHELL", type=one_of("shell", SHELLS), help=", ".join(SHELLS))


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    script = completion_script(args.shell)
    if args.json:
        print_json({"shell": args.shell, "script": script})
    elif not args.quiet:
        print(script)
    return 0


def completion_script(shell: str) -> str:
    """Return the script for one of :data:`SHELLS`."""
    import shtab

    parser, parsers = build(commands())
    known = _known()
    for command in parsers.values():
        _add_words(command, known)
    return str(shtab.complete(parser, shell))


def _add_words(parser: Parser, known: dict[str, tuple[str, ...]]) -> None:
    """Say what each argument takes: only here, because the readers of arguments suggest the closest word themselves."""
    import shtab

    for action in parser._actions:
        name = action.option_strings[0] if action.option_strings else action.dest
        if name in known:
            action.choices = known[name]
        elif action.type is Path or action.dest in ("scenario", "sweep"):
            place = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE
            action.complete = place  # type: ignore[attr-defined]


def _known() -> dict[str, tuple[str, ...]]:
    """The words that an argument takes, by its option or its name."""
    from scenarios.litmus_reader import shipped
    from sim.explore import MEMORIES, STRATEGIES
    from sim.explore.plants import plants
    from sim.kernel.designs import PROFILES
    from sim.timed.costs import SHIPPED

    words: dict[str, Iterable[str]] = {
        "--profile": PROFILES,
        "--baseline": PROFILES,
        "--costs": SHIPPED,
        "litmus": shipped(),
        "--memory": (*MEMORIES, "both"),
        "--strategy": STRATEGIES,
        "--plant": (plant.name for plant in plants()),
        "--engine": ("fast", "plain"),
        "--run": ("baseline", "profile", "both"),
        "shell": SHELLS,
    }
    return {name: tuple(those) for name, those in words.items()}
