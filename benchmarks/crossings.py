"""Speed of runs as a user has them, as ratios in one run.

``python benchmarks/crossings.py [REPEATS] [NAME ...] [--lines N]``

Kernel crossings (system calls, faults, interrupts) a second of baseline and profile together, against bare SimPy
timeouts a second, for behaviours and for the beginnings of recordings (``--lines 0``: all of them); the plain engine
on the same.

Only ratios say anything on another machine.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from functools import partial
from itertools import islice
from pathlib import Path

from rates import rates
from timed import timeouts

from scenarios.catalogue import list_scenarios
from scenarios.open import open_scenario
from scenarios.scenario import Scenario
from sim.timed.paired import PairedResult, run_paired

NAMES = ("null-syscall", "context-switch", "mmap-storm", "redis", "dd-512", "cc-build", "pgbench-select")
LINES = 12_000  # of each recording
CROSSINGS = ("syscalls", "faults", "interrupts", "made-up calls")


def beginning(name: str, folder: Path, lines: int = LINES) -> str:
    """A behaviour's name, or a file with the first *lines* (0: all) of a recording."""
    (entry,) = (entry for entry in list_scenarios() if entry.name == name)
    if entry.kind == "behaviour":
        return name
    path = folder / f"{name}-{lines}.ftrace"
    with gzip.open(entry.path, "rt", encoding="utf-8") as file:
        path.write_text("".join(islice(file, lines or None)), encoding="utf-8")
    return str(path)


def pair(scenario: Scenario, engine: str = "fast", cpus: int | None = None) -> PairedResult:
    """Baseline and profile."""
    return run_paired(scenario.source, profile=scenario.profile, baseline=scenario.baseline, pcid=scenario.pcid,
                      cpus=cpus or scenario.cpus, costs=scenario.costs, seed=scenario.seed, engine=engine)  # fmt: skip


def crossings(scenario: Scenario, engine: str = "fast", cpus: int | None = None) -> int:
    """Run the pair; how often the kernel was entered."""
    done = pair(scenario, engine, cpus)
    return sum(run.counters.get(name, 0) for run in (done.baseline, done.profile) for name in CROSSINGS)


def show(name: str, repeats: int, folder: Path, lines: int) -> None:
    """Crossings a second of one scenario, in both engines."""
    scenario = open_scenario(beginning(name, folder, lines))
    bare, fast, plain = rates([timeouts, partial(crossings, scenario), partial(crossings, scenario, "plain")], repeats)
    print(f"{name}: {fast:,.0f} crossings/s, bare timeouts {bare:,.0f}/s: ratio {fast / bare:.4f}; "
          f"fast against plain: {fast / plain:.2f}")  # fmt: skip


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repeats", type=int, nargs="?", default=3)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--lines", type=int, default=LINES, help="of each recording; 0 for all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as holder:
        folder = Path(holder)
        for name in given.names:
            show(name, given.repeats, folder, given.lines)


if __name__ == "__main__":
    main()
