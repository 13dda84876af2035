#!/usr/bin/env python3
"""Do both engines give the same numbers?  Runs recordings under all profiles by both, and compares all that they say.

.venv/bin/python tools/equality.py [--lines N] [--cpus N,...] [--profiles P,...] [--jobs N] [NAME or FILE ...]

Each recording (all that ship, or those named; with --lines its first N lines) runs with and without PCID, on 2, 8 and
64 CPUs, under each profile, or those named: the baseline 'none' first, then each of the others with what the baseline
took out of recorded durations.  Ledger, counters, frames and counts of rules must be the same to the value and its
type.  Prints one line for each machine, and all differences; exit status 1 if there is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scenarios.catalogue import RECORDINGS, resolve  # noqa: E402
from scenarios.open import open_scenario  # noqa: E402
from scenarios.recordings.source import blocks  # noqa: E402
from scenarios.scenario import Scenario  # noqa: E402
from sim.kernel.designs import PROFILES  # noqa: E402
from sim.timed.amounts import Amounts  # noqa: E402
from sim.timed.paired import RunResult, check_profile, run_once  # noqa: E402
from sim.workers import Workers  # noqa: E402

BASELINE = "none"
SHOWN = 4  # differences of a run


class Machine(NamedTuple):
    """What all profiles of a recording are run on: *pcid* None means on where the profile has it."""

    path: str
    pcid: bool | None
    cpus: int
    among: tuple[str, ...] = tuple(PROFILES)

    def __str__(self) -> str:
        """Name it in a line of the output."""
        return f"{Path(self.path).name}, {self.cpus} CPUs, {'without' if self.pcid is False else 'with'} PCID"


def beginning(name: str, lines: int, folder: Path) -> Path:
    """A file with the first *lines* of a recording; the recording itself if that is 0."""
    path = resolve(name)
    if not lines:
        return path
    kept: list[str] = []
    for block, _ in blocks(path):
        kept += block
        if len(kept) >= lines:
            break
    cut = folder / f"{path.name.split('.')[0]}.ftrace"
    cut.write_text("\n".join(kept[:lines]) + "\n", encoding="utf-8")
    return cut


def profiles(machine: Machine) -> list[str]:
    """The profiles that differ on such a machine: those without PCID are not run twice."""
    among = [name for name in machine.among if name != BASELINE]
    return [name for name in among if machine.pcid is False or PROFILES[name.partition("+")[0]].pcid]


def results(scenario: Scenario, machine: Machine, engine: str) -> dict[str, RunResult]:
    """The runs of all profiles on a machine, by one engine."""
    paid = Amounts()
    options: dict[str, Any] = {"pcid": machine.pcid, "cpus": machine.cpus, "costs": scenario.costs, "engine": engine}
    found = {BASELINE: run_once(scenario.source(), BASELINE, **options, deductions=paid)}
    for profile in profiles(machine):
        found[profile] = run_once(scenario.source(), profile, **options, replay=paid.reader())
    return found


def differences(one: RunResult, other: RunResult) -> Iterator[str]:
    """What is not the same in two results, in words; 1, 1.0 and True are not the same."""
    for field in fields(RunResult):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "frames":
            yield from _frames(a, b)
        elif isinstance(a, dict):
            yield from (f"{field.name}: {key}: {a.get(key)} and {b.get(key)}"
                        for key in sorted({*a, *b}) if repr(a.get(key)) != repr(b.get(key)))  # fmt: skip
        elif repr(a) != repr(b):
            yield f"{field.name}: {a} and {b}"


def _frames(one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    """The first row of each frame that differs."""
    for name in sorted({*one, *other}):
        if name not in one or name not in other:
            yield f"frame {name}: there is only one"
            continue
        rows = [[repr(row) for row in zip(*frame[name].values(), strict=True)] for frame in (one, other)]
        if list(one[name]) != list(other[name]) or len(rows[0]) != len(rows[1]):
            yield f"frame {name}: {len(rows[0])} rows of {list(one[name])} and {len(rows[1])} of {list(other[name])}"
        at = next((at for at, (a, b) in enumerate(zip(*rows, strict=False)) if a != b), None)
        if at is not None:
            yield f"frame {name}, row {at}: {rows[0][at]} and {rows[1][at]}"


def compare(machine: Machine) -> list[str]:
    """Run everything on a machine by both engines; return what differs."""
    scenario = open_scenario(machine.path, cpus=machine.cpus)
    fast, plain = (results(scenario, machine, engine) for engine in ("fast", "plain"))
    found = []
    for profile, run in fast.items():
        wrong = list(differences(run, plain[profile]))
        found += [f"  {profile}, fast and plain: {what}" for what in wrong[:SHOWN]]
        found += [f"  {profile}: {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
    return found


def main(words: list[str]) -> int:
    """Compare what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="recordings: those that ship, or files (default: all)")
    parser.add_argument("--lines", type=int, default=0, metavar="N", help="so many lines of each (default: all)")
    parser.add_argument("--cpus", default="2,8,64", metavar="N,...", help="simulated CPUs (default: 2,8,64)")
    parser.add_argument("--profiles", default=",".join(PROFILES), metavar="P,...", help="profiles (default: all)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default: 1)")
    args = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder, Workers(args.jobs) as workers:
        paths = [str(beginning(name, args.lines, Path(folder))) for name in args.names or RECORDINGS]
        cpus = [int(number) for number in args.cpus.split(",")]
        among = tuple(check_profile(name) for name in args.profiles.split(","))
        machines = [Machine(path, pcid, n, among) for n, path, pcid in product(cpus, paths, (None, False))]
        bad = 0
        for machine, wrong in zip(machines, workers.map(compare, machines), strict=True):
            bad += bool(wrong)
            runs = 2 + 2 * len(profiles(machine))
            print(f"{machine}: {runs} runs, {'the same' if not wrong else 'DIFFERENT'}", *wrong, sep="\n", flush=True)
    print(f"{len(machines)} machines, {bad} with differences")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
