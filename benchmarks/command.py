"""A whole command here and in another checkout, in turns: ``python benchmarks/command.py TREE [REPEATS] [NAME ...]``.

``git worktree add TREE COMMIT`` makes one.  Runs ``svs-sim run NAME`` there and here, with reading, both runs and
writing, and prints medians of elapsed and CPU time (s), and their ratios.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent.parent
NAMES = ("redis", "cc-build", "pgbench-select")


def seconds(tree: Path, name: str, out: Path) -> tuple[float, float]:
    """Elapsed and CPU time of one command in a tree."""
    command = [sys.executable, "-m", "sim", "run", name, "--out", str(out), "--quiet"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, check=True)
    elapsed, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print the measurements."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    other = Path(sys.argv[1]).resolve()
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as holder:
        for name in sys.argv[3:] or NAMES:
            found: dict[Path, list[tuple[float, float]]] = {other: [], HERE: []}
            for _ in range(repeats):
                for tree, mine in found.items():
                    mine.append(seconds(tree, name, Path(holder) / tree.name / name))
            (there, there_cpu), (here, here_cpu) = ([median(times) for times in zip(*mine, strict=True)]
                                                    for mine in found.values())  # fmt: skip
            elapsed = f"{there:.2f} s there, {here:.2f} s here, ratio {there / here:.1f}"
            cpu = f"CPU time {there_cpu:.2f} and {here_cpu:.2f} s, ratio {there_cpu / here_cpu:.1f}"
            print(f"run {name}: {elapsed}; {cpu}", flush=True)


if __name__ == "__main__":
    main()
