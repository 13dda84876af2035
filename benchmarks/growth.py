"""How runs grow: ``python benchmarks/growth.py [REPEATS] [PART ...]``.

* cpus: what one crossing more costs on 256 simulated CPUs, against 2, where eight threads work and where all CPUs do;
  what a run takes to begin and end is left out;
* length: CPU time and peak memory of a behaviour of ten thousand to ten million crossings, and of the
  beginnings of a recording, each ten times as long as the one before;
* reading: lines of a recording read a second, and lines made into programs;
* start: CPU time of commands that do next to nothing, against an interpreter that does nothing.

CPU time is that of the process; only ratios say anything on another machine.
"""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from crossings import beginning, crossings
from rates import rates

from scenarios.open import open_scenario
from scenarios.recordings import LineReader
from scenarios.recordings.survey import make_survey
from scenarios.recordings.tracer import make_tracer
from scenarios.recordings.workload import prepare

CPUS = (2, 256)
CALLS = 800_000  # of all threads together: so many that they weigh more than how a run of 256 CPUs begins
ITERATIONS = (5_000, 50_000, 500_000, 5_000_000)  # of a call: two crossings, baseline and profile together
LINES = (2_500, 25_000, 250_000)  # of redis
HZ = 3_000_000_000
COMMANDS = (["--help"], ["check", "install-against-load", "--quiet"], ["scenarios"])
ONE = """
import sys, time
sys.path.insert(0, "benchmarks")
from crossings import crossings
from scenarios.open import open_scenario
began = time.process_time()
iterations = int(sys.argv[2])
scenario = open_scenario(sys.argv[1], overrides={"group.0.iterations": iterations} if iterations else None)
count = crossings(scenario)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss may be the parent's
print(count, time.process_time() - began, int(peak.split()[1]) // 1024)
"""


def each_us(name: str, cpus: int, overrides: Callable[[int], dict[str, int]]) -> float:
    """CPU time of a crossing (us): how much more a longer run takes, for how many more of them."""
    measured = []
    for length in (1, 4):
        scenario = open_scenario(name, overrides=overrides(length))
        gc.collect()  # the machines of the runs before
        began = time.process_time()
        count = crossings(scenario, "fast", cpus)
        measured.append((count, time.process_time() - began))
    (few, short), (many, long) = measured
    return 1e6 * (long - short) / (many - few)


def show_cpus(repeats: int) -> None:
    """What a crossing costs where most CPUs sleep, and where all work."""
    kinds: dict[str, tuple[str, Callable[[int, int], dict[str, int]]]] = {
        "8 threads that share pages (thread-scaling)": (
            "thread-scaling", lambda cpus, length: {"group.0.iterations": 100 * length}
        ),
        "a process for each CPU (null-syscall)": (
            "null-syscall",
            lambda cpus, length: {"group.0.processes": cpus, "group.0.iterations": CALLS * length // cpus},
        ),
    }  # fmt: skip
    for says, (name, overrides) in kinds.items():
        few, many = (median(each_us(name, cpus, partial(overrides, cpus)) for _ in range(repeats)) for cpus in CPUS)
        print(f"{says}: {few:.1f} us a crossing on {CPUS[0]} CPUs, {many:.1f} us on {CPUS[1]}: {many / few:.2f} times",
              flush=True)  # fmt: skip


def one(name: str, iterations: int) -> tuple[int, float, int]:
    """Crossings, CPU seconds and peak memory (MiB) of opening and running a scenario in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", ONE, name, str(iterations)], capture_output=True, text=True, check=True
    )
    count, seconds, memory = done.stdout.split()
    return int(count), float(seconds), int(memory)


def show_length(folder: Path) -> None:
    """Time and memory by length."""
    recordings = [(f"redis, {lines:,} lines", beginning("redis", folder, lines), 0) for lines in LINES]
    behaviours = [(f"null-syscall, {n:,} calls", "null-syscall", n) for n in ITERATIONS]
    for group in (behaviours, recordings):
        before = None
        for says, name, iterations in group:
            count, seconds, memory = one(name, iterations)
            grown = "" if before is None else f", {seconds / before:.1f} times the time"
            print(f"{says}: {count:,} crossings, {seconds:.2f} s{grown}, {memory} MiB", flush=True)
            before = seconds


def show_reading(repeats: int, folder: Path) -> None:
    """Lines a second: read, surveyed, and made into programs."""
    path = Path(beginning("redis", folder, 100_000))

    def whole() -> int:
        survey = make_survey(path)
        prepare(survey, make_tracer(survey, None), HZ, 0)
        return survey.events

    read, made = rates([lambda: sum(1 for _ in LineReader(path)), whole], repeats)
    print(f"redis: {read:,.0f} lines read/s; {made:,.0f} lines/s read and made into programs")


def show_start(repeats: int) -> None:
    """CPU time of small commands."""

    def seconds(*words: str) -> float:
        found = []
        for _ in range(2 * repeats + 1):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        return median(found)

    nothing = seconds("-c", "pass")
    for words in COMMANDS:
        took = seconds("-m", "sim", *words)
        print(
            f"svs-sim {' '.join(words)}: {1e3 * took:.0f} ms, an interpreter that does nothing {1e3 * nothing:.0f} ms"
        )


def main() -> None:
    """Print the measurements."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    parts = sys.argv[2:] or ["cpus", "length", "reading", "start"]
    with tempfile.TemporaryDirectory() as holder:
        folder = Path(holder)
        for part in parts:
            if part == "cpus":
                show_cpus(repeats)
            elif part == "length":
                show_length(folder)
            elif part == "reading":
                show_reading(repeats, folder)
            elif part == "start":
                show_start(repeats)
            else:
                sys.exit(f"there is no part '{part}'")


if __name__ == "__main__":
    main()
