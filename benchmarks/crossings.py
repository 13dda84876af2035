"""Speed of runs as a user has them, as ratios in one run: ``python benchmarks/crossings.py [REPEATS] [NAME ...]``.

* kernel crossings (system calls, faults, interrupts) a second of baseline and profile together, against bare SimPy
  timeouts a second, for behaviours and for the beginnings of recordings; the plain engine on the same;
* growth: what a crossing costs on 256 CPUs, against 2;
* lines of a recording read a second, and events read back a second from where they are kept;
* peak memory of a recording's beginning, and of one ten times as long;
* start-up: CPU time of ``--help``, against an interpreter that does nothing.

Only ratios say anything on another machine.
"""

from __future__ import annotations

import gzip
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

from rates import rates
from timed import timeouts

from scenarios.catalogue import list_scenarios
from scenarios.open import open_scenario
from scenarios.recordings import LineReader
from scenarios.recordings.survey import make_survey
from scenarios.scenario import Scenario
from sim.timed.paired import PairedResult, run_paired

NAMES = ("null-syscall", "context-switch", "mmap-storm", "redis", "dd-512", "cc-build", "pgbench-select")
LINES = 12_000  # of each recording
CROSSINGS = ("syscalls", "faults", "interrupts", "made-up calls")
PEAK = """
import resource, sys
sys.path.insert(0, "benchmarks")
from crossings import pair
from scenarios.open import open_scenario
pair(open_scenario(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def beginning(name: str, folder: Path, lines: int = LINES) -> str:
    """A behaviour's name, or a file with the first *lines* of a recording."""
    (entry,) = (entry for entry in list_scenarios() if entry.name == name)
    if entry.kind == "behaviour":
        return name
    path = folder / f"{name}-{lines}.ftrace"
    with gzip.open(entry.path, "rt", encoding="utf-8") as file:
        path.write_text("".join(islice(file, lines)), encoding="utf-8")
    return str(path)


def pair(scenario: Scenario, engine: str = "fast", cpus: int | None = None) -> PairedResult:
    """Baseline and profile."""
    return run_paired(scenario.source, profile=scenario.profile, baseline=scenario.baseline, pcid=scenario.pcid,
                      cpus=cpus or scenario.cpus, costs=scenario.costs, seed=scenario.seed, engine=engine)  # fmt: skip


def crossings(scenario: Scenario, engine: str = "fast", cpus: int | None = None) -> int:
    """Run the pair; how often the kernel was entered."""
    done = pair(scenario, engine, cpus)
    return sum(run.counters.get(name, 0) for run in (done.baseline, done.profile) for name in CROSSINGS)


def show(name: str, repeats: int, folder: Path) -> None:
    """Crossings a second of one scenario, in both engines."""
    scenario = open_scenario(beginning(name, folder))
    bare, fast, plain = rates([timeouts, partial(crossings, scenario), partial(crossings, scenario, "plain")], repeats)
    print(f"{name}: {fast:,.0f} crossings/s, bare timeouts {bare:,.0f}/s: ratio {fast / bare:.4f}; "
          f"fast against plain: {fast / plain:.2f}")  # fmt: skip


def show_growth(repeats: int) -> None:
    """What a crossing costs on many CPUs."""
    scenario = open_scenario("thread-scaling")
    few, many = rates([partial(crossings, scenario, "fast", cpus) for cpus in (2, 256)], repeats)
    print(f"thread-scaling: a crossing on 256 CPUs costs {few / many:.2f} times that on 2")


def show_reading(repeats: int, folder: Path) -> None:
    """Lines read a second, and events read back."""
    path = Path(beginning("redis", folder, 10 * LINES))
    kept = make_survey(path).lines
    runs: list[Callable[[], int]] = [lambda: sum(1 for _ in LineReader(path)), lambda: sum(1 for _ in kept)]
    read, back = rates(runs, repeats)
    print(f"redis: {read:,.0f} lines read/s, {back:,.0f} kept events read back/s")


def show_memory(folder: Path) -> None:
    """Peak memory by length."""
    short, long = (
        int(subprocess.run([sys.executable, "-c", PEAK, beginning("redis", folder, lines)], capture_output=True,
                           text=True, check=True).stdout) // 1024
        for lines in (LINES, 10 * LINES)
    )  # fmt: skip
    print(f"redis: peak memory {short} MiB for {LINES:,} lines, {long} MiB for {10 * LINES:,}")


def cpu_seconds(*words: str) -> float:
    """CPU time of a child, the best of five."""
    found = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(found)


def main() -> None:
    """Print the measurements."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as holder:
        folder = Path(holder)
        for name in sys.argv[2:] or NAMES:
            show(name, repeats, folder)
        if sys.argv[2:]:
            return
        show_growth(repeats)
        show_reading(repeats, folder)
        show_memory(folder)
    nothing, answer = cpu_seconds("-c", "pass"), cpu_seconds("-m", "sim", "--help")
    print(f"svs-sim --help: {answer / nothing:.1f} times the CPU time of an interpreter that does nothing")


if __name__ == "__main__":
    main()
