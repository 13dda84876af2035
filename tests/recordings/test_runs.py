"""Recordings of disorderly programs run to the end, under every design, with the model's assertions on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from scenarios.open import open_scenario
from sim.timed.paired import run_paired
from tests.recordings.traces import IDLE, Event, enter, fault, ftrace, leave, switch, write

THREADS, CPUS = 12, 4


def threads(seed: int) -> list[Event]:
    """Threads of one process, there from the beginning: calls that point at pages far apart, faults, exits at once."""
    draw = random.Random(seed)
    who = [("many", 1000 + n) for n in range(THREADS)]
    on: list[tuple[str, int]] = who[:CPUS]
    waiting = who[CPUS:]
    events = [switch(0, cpu, IDLE, "R", task, tgid=1000) for cpu, task in enumerate(on)]
    at = 1
    for _ in range(400):
        cpu = draw.randrange(CPUS)
        task, kind = on[cpu], draw.random()
        at += 1
        if kind < 0.4:
            page = draw.randrange(1, 200) << 39 | draw.randrange(512) << 30
            events += [enter(at, cpu, *task, 1, f"1, {page:x}, 8", tgid=1000), leave(at + 1, cpu, *task, 1, tgid=1000)]
            at += 1
        elif kind < 0.8:
            events.append(fault(at, cpu, *task, draw.randrange(1, 200) << 39 | draw.randrange(64) << 12, tgid=1000))
        else:
            on[cpu] = waiting.pop(0)
            waiting.append(task)
            events.append(switch(at, cpu, task, "R", on[cpu], tgid=1000))
    for cpu in range(CPUS):  # all that are left exit in the same microsecond, one after the other on each CPU
        for n, task in enumerate([on[cpu], *waiting[cpu::CPUS]]):
            following = [*waiting[cpu::CPUS], IDLE][n]
            events.append(switch(at + 1 + n, cpu, task, "X", following, tgid=1000))
    return sorted(events, key=lambda e: e.at)


@pytest.mark.parametrize("profile", ["svs-2018-02", "svs-netbsd8", "svs-netbsd9", "svs-netbsd10", "pti"])
@pytest.mark.parametrize(("seed", "cpus"), [(5, 8), (14, 8), (5, 1)])
def test_threads_that_share_everything_and_exit_at_once(tmp_path: Path, profile: str, seed: int, cpus: int) -> None:
    """With these seeds, pages that were there before are touched while another CPU changes or copies the tables."""
    events = threads(seed)
    scenario = open_scenario(write(tmp_path / "t.ftrace", ftrace(events)), cpus=cpus)
    pair = run_paired(scenario.source, profile=profile, baseline="none", pcid=None, cpus=scenario.cpus,
                      costs=scenario.costs, seed=0)  # fmt: skip
    for result in (pair.baseline, pair.profile):
        assert result.conserved
        assert result.assumptions["blocked_at_end"] == 0
        assert result.counters["exits"] == THREADS
        assert result.counters["faults"] >= sum(e.name == "page_fault_user" for e in events)
        assert result.counters["pmap_remove_all"] == 1
