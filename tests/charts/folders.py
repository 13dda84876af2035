"""Small results of every kind to draw from; made once a session."""

from __future__ import annotations

from pathlib import Path

from scenarios.open import open_scenario
from sim.cli import main
from sim.experiments.runs import run_scenario
from sim.experiments.sweep import load_sweep, run_sweep

SWEEP = """
title = "a storm on a few CPUs"
seed = 7
replications = 2
scenarios = ["mmap-storm"]
profiles = ["svs-netbsd8", "svs-netbsd9"]
cpus = [2, 3]

[set]
"group.0.burst" = ["2 us", "500 ns", "100 us"]
"group.0.iterations" = 5
"""


def make_run(folder: Path) -> Path:
    """A paired run with a window, on three CPUs, with shootdowns and waits for locks."""
    scenario = open_scenario("mmap-storm", cpus=3, seed=5, overrides={"group.0.iterations": 30})
    window = tuple(scenario.costs.frequency_hz // 1_000_000 * micro for micro in (300, 315))
    run_scenario(scenario, folder, profile="svs-netbsd9", window=(window[0], window[1]))
    return folder


def make_sweep(folder: Path) -> Path:
    """A sweep over CPUs and bursts; times written in three units."""
    file = folder.with_suffix(".toml")
    file.write_text(SWEEP, encoding="utf-8")
    outcome = run_sweep(load_sweep(file), folder)
    assert not outcome.failures
    return folder


def make_check(folder: Path) -> Path:
    """Explorations: one that holds under two profiles, and one of a planted bug."""
    words = ["check", "remove-page", "protect-page", "--budget", "200", "--quiet"]
    assert main([*words, "--out", str(folder)]) == 0
    return folder
