"""How far samples are from the whole: ``python benchmarks/sampling.py [SAMPLE ...] [NAME ...]``.

Runs each shipped recording (or those named) whole and as samples (0.1:10 and 0.2:20, or those given, as ``--sample``
takes them), each with some seeds, which place the windows.  Prints overheads in percent of CPU time with the 95 %
interval of each sample, how many intervals hold the whole's overhead, and CPU time spent against that for the whole,
reading included.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from scenarios.catalogue import RECORDINGS
from scenarios.open import open_scenario
from scenarios.recordings.windows import read_sample
from sim.experiments.sampled import run_sample
from sim.timed.paired import PairedResult, run_paired

SAMPLES = ("0.1:10", "0.2:20")
SEEDS = range(3)
T = TypeVar("T")


def timed(function: Callable[[], T]) -> tuple[T, float]:
    """What a function returns, and its CPU time."""
    began = time.process_time()
    return function(), time.process_time() - began


def options(scenario: Any) -> dict[str, Any]:
    """What a scenario is run with."""
    return {"profile": scenario.profile, "baseline": scenario.baseline, "pcid": None, "cpus": None,
            "costs": scenario.costs, "seed": 0}  # fmt: skip


def whole(name: str) -> PairedResult:
    """A recording in one piece."""
    scenario = open_scenario(name)
    return run_paired(scenario.source, **options(scenario))


def sampled(name: str, sample: str, seed: int) -> dict[str, Any]:
    """What a sample of it says."""
    scenario = open_scenario(name, seed=seed, sample=read_sample(sample))
    return run_sample(scenario, options(scenario), jobs=1)[1]


def main(words: list[str]) -> None:
    """Compare what was asked for."""
    names = [word for word in words if word[0].isalpha()] or list(RECORDINGS)
    samples = [word for word in words if not word[0].isalpha()] or list(SAMPLES)
    for name in names:
        pair, all_s = timed(lambda name=name: whole(name))  # type: ignore[misc]
        wanted = 100 * (pair.profile.busy_cycles / pair.baseline.busy_cycles - 1)
        print(f"{name}: whole {wanted:.2f} %, {all_s:.1f} s", flush=True)
        for sample in samples:
            held, spent, shown = 0, 0.0, []
            for seed in SEEDS:
                found, seconds = timed(lambda seed=seed: sampled(name, sample, seed))  # type: ignore[misc] # noqa: B023
                busy = found["busy"]
                held += busy["low"] <= wanted <= busy["high"]
                spent += seconds / len(SEEDS)
                half = busy["high"] - busy["mean"]
                shown.append(f"{busy['mean']:.2f} ± {half:.2f}")
            print(f"  {sample}: {'; '.join(shown)}; {held} of {len(SEEDS)} hold it; {spent / all_s:.2f} of the time",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
