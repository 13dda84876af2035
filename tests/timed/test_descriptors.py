"""What the CPU reads by itself at a delivery: through the TLB, where global pages survive what flushes the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.behaviours import load_behaviour
from sim.timed.paired import RunResult, run_paired

FAULTS = """
title = "pages of a fresh mapping, one by one"

[machine]
cpus = 1
costs = "skylake-client"

[[group]]
name = "toucher"
iterations = 200
burst = "1 us"
working_set = "400 pages"
pages_per_burst = 1
locality = "sequential"
"""


def faults(folder: Path, profile: str, options: str = "", engine: str = "fast") -> RunResult:
    """Run 200 faults without PCID."""
    path = folder / "faults.toml"
    path.write_text(FAULTS.replace("skylake-client", f"skylake-client{options}"), encoding="utf-8")
    scenario = load_behaviour(path)
    return run_paired(scenario.source, profile=profile, baseline="none", pcid=False, cpus=1, costs=scenario.costs,
                      seed=0, engine=engine).profile  # fmt: skip


def walks(run: RunResult) -> int:
    return run.counters["page walks, kernel"]


@pytest.mark.parametrize(
    ("profile", "least", "most"),
    [
        # Each crossing flushes: IDT and TSS are walked for at each delivery, the GDT at each return, which leaves it
        # there for the next delivery; 1.18 keeps them global.
        ("svs-netbsd9+no-global", 3 * 200, 3 * 220),
        ("svs-netbsd9", 0, 20),
        ("none", 0, 20),
    ],
)
def test_descriptors_are_walked_for_unless_they_are_global(tmp_path: Path, profile: str, least: int, most: int) -> None:
    assert least <= walks(faults(tmp_path, profile)) - walks(faults(tmp_path, profile, "+no-descriptors")) <= most


def test_both_engines_read_them(tmp_path: Path) -> None:
    fast, plain = (faults(tmp_path, "svs-netbsd8", engine=engine) for engine in ("fast", "plain"))
    assert (fast.elapsed_cycles, fast.ledger, fast.counters) == (plain.elapsed_cycles, plain.ledger, plain.counters)
    assert fast.conserved
