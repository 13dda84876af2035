"""Parallel efficiency of a sweep, measured in one run: ``python benchmarks/sweep.py [ROUNDS] [POINTS]``.

The same sweep of equally long, CPU-bound points (about 1.5 s each; how much work that is, is measured first) is run
with ``--jobs 1`` and with ``--jobs 2``, in turns, each into a fresh folder and with everything that the command does:
start, imports, cache, result.

* efficiency: time with one job / (2 x time with two), of the quickest run of each;
* the same from CPU time: what two jobs spend more than one is imports and handing over.  It says little about waiting,
  but it holds on a busy machine.

The results have to be the same bytes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sim.experiments.sweep import load_sweep
from sim.experiments.sweep.contents import file_hash
from sim.experiments.sweep.point import Job, run_job
from sim.version import version

SECONDS = 1.5
TRIAL = 300
SWEEP = """
title = "equally long points"
scenarios = ["ping-pong"]
profiles = ["svs-netbsd9"]
replications = {points}
[set]
"group.0.iterations" = {iterations}
"group.1.iterations" = {iterations}
"""


def write(folder: Path, points: int, iterations: int) -> Path:
    """The sweep's file."""
    path = folder / "equal.toml"
    path.write_text(SWEEP.format(points=points, iterations=iterations), encoding="utf-8")
    return path


def iterations_for(folder: Path) -> int:
    """How many iterations take a point about SECONDS of CPU time here."""
    sweep = load_sweep(write(folder, 1, TRIAL))
    (point,) = sweep.points
    paths = {name: str(sweep.files[name]) for name in point.files}
    job = Job(point, paths, {name: file_hash(Path(path)) for name, path in paths.items()}, version())
    took = []
    for _ in range(3):  # the first also imports
        began = time.process_time()
        assert run_job(job).row is not None
        took.append(time.process_time() - began)
    return round(TRIAL * SECONDS / min(took))


def timed(sweep: Path, jobs: int, out: Path) -> tuple[float, float, bytes]:
    """Seconds and CPU seconds that the command takes, and its result."""
    before = os.times()
    command = [sys.executable, "-m", "sim", "sweep", str(sweep), "--out", str(out), "--jobs", str(jobs), "--quiet"]
    subprocess.run(command, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return after.elapsed - before.elapsed, cpu, (out / "points.parquet").read_bytes()


def main() -> None:
    """Print the two ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    points = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    if (os.cpu_count() or 1) < 2:
        print("one CPU: the efficiency below says nothing", file=sys.stderr)
    wall: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[int, list[float]] = {1: [], 2: []}
    results = set()
    with tempfile.TemporaryDirectory() as holder:
        folder = Path(holder)
        sweep = write(folder, points, iterations_for(folder))
        for number in range(rounds):
            for jobs in (1, 2):
                seconds, spent, result = timed(sweep, jobs, folder / f"{number}-{jobs}")
                wall[jobs].append(seconds)
                cpu[jobs].append(spent)
                results.add(result)
    assert len(results) == 1, "one and two jobs gave different results"
    one, two = min(wall[1]), min(wall[2])
    print(f"{points} points: {one:.1f} s with one job, {two:.1f} s with two: efficiency {one / (2 * two):.3f}")
    one, two = min(cpu[1]), min(cpu[2])
    print(f"CPU time: {one:.1f} s with one job, {two:.1f} s with two: ratio {one / two:.3f}")


if __name__ == "__main__":
    main()
