"""``svs-sim calibrate``: a cost table from measurements on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli._output import console, print_json, progress_bar, show, table
from sim.cli._parser import add_command, positive

if TYPE_CHECKING:
    from sim.cli._parser import Subparsers
    from sim.experiments.calibrate import Calibration

DESCRIPTION = """
Measures on this machine what a program without privileges can (x86-64 Linux with a C compiler): clock rate, locked
update, loads by cache level, TLB misses, line transfers between CPUs, null call, page fault, switch through pipes,
munmap beside a running thread. Writes a cost table for 'svs-sim run --costs FILE' that says where each figure comes
from and what could not be measured. Takes a minute; stop whatever else is running.
"""


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(subparsers, "calibrate", run, help="measure a cost table on this machine",
                         description=DESCRIPTION)  # fmt: skip
    parser.add_argument("--out", required=True, metavar="FILE", type=Path, help="cost table to write (TOML)")
    parser.add_argument("--base", default=None, metavar="T", help="cost table for what cannot be measured: a shipped "
                        "name or a TOML file (default: skylake-client)")  # fmt: skip
    parser.add_argument("--repeats", type=positive, default=None, metavar="N", help="samples of each quantity "
                        "(default: 15)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from analysis.files import write_whole
    from sim.experiments.calibrate import calibrate, look_at_machine, measure
    from sim.experiments.calibrate.probe import REPEATS
    from sim.timed.costs import DEFAULT, load_costs

    base = load_costs(args.base or DEFAULT)
    with progress_bar({"probe": "measuring"}, quiet=args.quiet or args.json) as bar:
        report = None if bar is None else lambda done: bar("probe", done)
        samples = measure(args.repeats or REPEATS, report)
    made = calibrate(samples, look_at_machine(samples.lines()), base)
    write_whole(args.out, made.text.encode())
    if args.json:
        print_json(_as_json(made, args.out))
    elif not args.quiet:
        _print(made, args.out)
    return 0


def _as_json(made: Calibration, out: Path) -> dict[str, object]:
    """The result as one object: samples in ns, costs in cycles."""
    return {
        "file": str(out),
        "frequency_hz": made.frequency_hz,
        "samples": {name: {"value": v, "low": low, "high": high} for name, (v, low, high) in made.measured.items()},
        "costs": {name: {"cycles": cycles, "note": note} for name, (cycles, note) in made.figures.items()},
        "unmeasured": made.unmeasured,
        "base": made.base.name,
    }


def _print(made: Calibration, out: Path) -> None:
    """The costs that are this machine's, and what could not be measured."""
    screen = console()
    screen.print(f"{made.machine.model} at {made.frequency_hz / 1e9:.3g} GHz")
    shown = table("", "cost", "cycles", "base", "how", remarks=1)
    before = ""
    for name, (cycles, note) in made.figures.items():
        shown.add_row(name, f"{cycles:,}", f"{made.base.figures[name]['cycles']:,}", "" if note == before else note)
        before = note
    show(screen, shown)
    for line in made.unmeasured:
        screen.print(f"Not measured: {line}")
    screen.print(f"Try it: svs-sim run cc-build --costs {out} --out out/calibrated", soft_wrap=True)
