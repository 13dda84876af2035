"""Idle time costs neither time nor memory, and both engines agree on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.open import open_scenario
from sim.kernel.designs import make_design
from sim.kernel.program import LwpSpec, Mark, Part, Sleep, Syscall, User, Workload
from sim.timed.amounts import Amounts
from sim.timed.costs import load_costs
from sim.timed.machine import TimedMachine
from sim.timed.paired import run_once, run_paired

from tests.recordings.traces import IDLE, call, ftrace, leave, enter, switch, wakeup, write  # isort: skip

COSTS = load_costs("haswell")
SECOND = COSTS.frequency_hz


def machine(seconds: float, *, fast: bool, cpus: int = 2, draw: int = 0, profile: str = "svs-netbsd9") -> TimedMachine:
    """One LWP computes, sleeps so long, and computes again; another one sleeps half as long and then does."""
    sleeps = [int(seconds * SECOND) + 12_345, int(seconds * SECOND) // 2 + 777]
    lwps = [
        LwpSpec(f"a{n}", iter([User(1_000), Syscall("sleep", 500, (Sleep(cycles),)), User(9_000)]), f"g{n}")
        for n, cycles in enumerate(sleeps)
    ]
    workload = Workload("sleepers", cpus, lwps, draw=draw, idle_exits=[1_000, 2_000, 5_000])
    return TimedMachine(workload, make_design(profile), COSTS, cpus, Amounts(), fast=fast)


@pytest.mark.parametrize(
    ("seconds", "cpus", "draw", "profile"),
    [(11, 2, 0, "svs-netbsd9"), (9.37, 1, 0, "none"), (10, 3, 1, "pti"), (3, 2, 0, "svs-2018-02")],
)
def test_both_engines_agree(seconds: float, cpus: int, draw: int, profile: str) -> None:
    fast, plain = (machine(seconds, fast=f, cpus=cpus, draw=draw, profile=profile) for f in (True, False))
    assert fast.run() == plain.run()
    assert fast.recorder.counters == plain.recorder.counters
    assert [a.cycles for a in fast.accounts] == [a.cycles for a in plain.accounts]
    assert fast.kernel.ticks == plain.kernel.ticks
    assert fast.frames() == plain.frames()


def test_a_thousand_idle_seconds_cost_no_more_than_ten() -> None:
    short, long = machine(20, fast=True), machine(2_000, fast=True)
    short.run()
    assert long.run() > 2_000 * SECOND
    assert long.env.events_scheduled < 1.3 * short.env.events_scheduled
    assert len(long.frames()["ledger"]["cpu"]) < 1.3 * len(short.frames()["ledger"]["cpu"])
    assert long.recorder.counters["timer interrupts"] == pytest.approx(2 * 200_000, rel=0.01)
    assert all(account.total == long.env.cycle for account in long.accounts)


def test_idle_seconds_are_a_row_of_the_frames() -> None:
    run = machine(30, fast=True, cpus=1)
    run.run()
    frame = run.frames()["ledger"]
    idle = [cycles for cause, cycles in zip(frame["cause"], frame["cycles"], strict=True) if cause == "idle"]
    assert max(idle) > 10 * SECOND  # type: ignore[type-var]
    tasks = run.frames()["tasks"]
    assert sum(tasks["cycles"]) == run.env.cycle  # type: ignore[arg-type]


def test_idle_seconds_count_in_a_part_of_a_run_too() -> None:
    def counters(engine: str) -> dict[str, int]:
        sleep = Syscall("sleep", 500, (Sleep(9 * SECOND),))
        program = [User(1_000), Mark(0, False), sleep, User(9_000), Mark(0, True), User(9_000)]
        workload = Workload("part", 2, [LwpSpec("a", iter(program), "a")], part=Part(0, False, 0, [], [], {}))
        return run_once(workload, "svs-netbsd9", pcid=None, cpus=2, costs=COSTS, engine=engine).counters

    fast = counters("fast")
    assert fast == counters("plain")
    assert fast["timer interrupts"] == pytest.approx(2 * 900, rel=0.01)


def test_a_recording_that_sleeps_for_minutes(tmp_path: Path) -> None:
    alpha = ("alpha", 10)
    events = [enter(0, 0, *alpha, 35), switch(5, 0, alpha, "S", IDLE),
              wakeup(1_000_000_000, 0, IDLE, alpha, flags="dNh2."), switch(1_000_000_005, 0, IDLE, "R", alpha),
              leave(1_000_000_010, 0, *alpha, 35), *call(1_000_000_020, 1_000_000_025, 0, *alpha, 39)]  # fmt: skip
    scenario = open_scenario(write(tmp_path / "t", ftrace(events)))
    pair = run_paired(scenario.source, profile="svs-netbsd9", baseline="none", pcid=None, cpus=1, costs=scenario.costs,
                      seed=0)  # fmt: skip
    assert pair.baseline.conserved
    assert pair.baseline.elapsed_cycles == pytest.approx(1_000 * scenario.costs.frequency_hz, rel=1e-6)
