"""How the benchmarks measure rates."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median


def rates(runs: list[Callable[[], int]], repeats: int) -> list[float]:
    """Medians of how many per second of CPU time; the runs take turns, so that a busy machine slows all of them."""
    found: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, mine in zip(runs, found, strict=True):
            began = time.process_time()
            count = run()
            mine.append(count / (time.process_time() - began))
    return [median(mine) for mine in found]
