"""What the model takes for the operations that the probe measured, and costs chosen so that both agree.

A null call, a page fault, a round trip through pipes and a munmap beside a running thread are sums of many costs, of
which a program can measure only the whole.  The part that software contributes is chosen so that the model, run without
isolation, takes as long as the machine did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from importlib.resources import as_file
from statistics import mean

from scenarios.behaviours import load_behaviour
from sim.errors import InputError
from sim.timed.costs import CostTable
from sim.timed.paired import RunResult, run_once

FEW, MANY = 100, 300  # iterations of the two runs whose difference leaves start and end out


def _run(table: CostTable, name: str, overrides: Mapping[str, object]) -> RunResult:
    """One run without isolation."""
    with as_file(resources.files(__package__).joinpath("workloads", f"{name}.toml")) as path:
        scenario = load_behaviour(path, costs=None, cpus=None, seed=None, overrides=dict(overrides))
    return run_once(scenario.source(), "none", pcid=None, cpus=scenario.cpus, costs=table)


def _an_iteration(table: CostTable, name: str, *keys: str) -> float:
    """Busy cycles of one iteration, from two runs that differ in how many they make."""
    few, many = (_run(table, name, dict.fromkeys(keys, n)).busy_cycles for n in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def null_call(table: CostTable) -> float:
    """Cycles of a system call that does nothing."""
    return _an_iteration(table, "null-call", "group.0.iterations")


def pipe_round_trip(table: CostTable) -> float:
    """Cycles of a byte there and back between two processes on one CPU."""
    return _an_iteration(table, "pipe", "group.0.iterations", "group.1.iterations")


def page_fault(table: CostTable) -> float:
    """Cycles of a fault on a fresh page; the same run with the pages there is taken off."""
    absent, present = (
        _run(table, "page-fault", {"group.0.resident": resident}).busy_cycles for resident in (False, True)
    )
    return (absent - present) / 2048


def shootdown(table: CostTable) -> float:
    """Cycles that a remote target adds to a shootdown, for the initiator."""
    frame = _run(table, "unmap", {}).frames["shootdowns"]
    remote: list[int] = []
    local: list[int] = []
    for targets, total in zip(frame["targets"], frame["total_cycles"], strict=True):
        assert isinstance(total, int)
        (remote if targets else local).append(total)
    if not remote:
        raise InputError("calibrate: the model sent no shootdown for a munmap beside a thread")
    return mean(remote) - (mean(local) if local else 0)


def solve(
    table: CostTable, names: tuple[str, ...], takes: Callable[[CostTable], float], wanted: float
) -> tuple[dict[str, int], float]:
    """Scale the costs *names* so that the model takes *wanted* cycles; what it takes is affine in them.

    Returns the costs and what the model takes with them, which is more than *wanted* where even zero is too much.
    """
    base = {name: table.figures[name]["cycles"] or 1 for name in names}
    least, once = takes(table.with_cycles(dict.fromkeys(names, 0))), takes(table.with_cycles(base))
    if once <= least:
        raise InputError(f"calibrate: {', '.join(names)} do not show in what is measured for them")
    scale = max(0.0, (wanted - least) / (once - least))
    costs = {name: round(value * scale) for name, value in base.items()}
    return costs, takes(table.with_cycles(costs))
