"""Recordings of one program and of several, and what runs of them say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scenarios.open import open_scenario
from sim.cli import main
from sim.timed.paired import PairedResult, run_paired
from tests.recordings.traces import A, B, C, Event, call, enter, fork, leave, switch, wakeup

HEADER = "# svs-sim: comm = alpha\n# svs-sim: pid = 10\n"


def two_programs() -> list[Event]:
    """alpha (10) makes calls and forks beta (11), which executes "prog" and makes some; gamma (12) is company."""
    mine = [e for at in range(0, 400, 20) for e in call(at, at + 5, 0, *A, 0)]
    child = [enter(400, 0, *A, 57), fork(402, 0, A, B), wakeup(403, 0, A, B, new=True), leave(405, 0, *A, 57, 11),
             switch(410, 0, A, "R", B), leave(411, 0, *B, 57),
             Event(420, 0, "prog", 11, "sched_process_exec", "filename=/prog pid=11 old_pid=11"),
             *[e for at in range(430, 500, 10) for e in call(at, at + 4, 0, "prog", 11, 1)],
             switch(500, 0, ("prog", 11), "X", A), *call(510, 515, 0, *A, 3), enter(520, 0, *A, 231)]  # fmt: skip
    other = [e for at in range(0, 500, 10) for e in call(at, at + 2, 1, *C, 39)]
    return sorted([*mine, *child, *other], key=lambda e: e.at)


def steady(calls: int) -> list[Event]:
    """alpha on CPU 0: 5 us in each call, 15 us between them."""
    return [e for at in range(0, 20 * calls, 20) for e in call(at, at + 5, 0, *A, 0)]


def pair_of(path: Path, **options: Any) -> PairedResult:
    scenario = open_scenario(path, **options)
    return run_paired(scenario.source, profile="svs-netbsd9", baseline="none", pcid=None, cpus=scenario.cpus,
                      costs=scenario.costs, seed=0)  # fmt: skip


def summary_of(path: Path, *options: str) -> dict[str, Any]:
    out = path.parent / "out"
    assert main(["run", str(path), "--out", str(out), "--quiet", *options]) == 0
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return found
