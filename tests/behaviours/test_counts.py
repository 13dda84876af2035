"""Exact event counts of the shipped scenarios under svs-netbsd9 (long ones cut by an override)."""

from __future__ import annotations

import pytest

from scenarios.catalogue import list_scenarios
from scenarios.open import open_scenario
from sim.timed.paired import run_once

NAMES = ("syscalls", "faults", "interrupts", "context_switches", "TLB shootdown", "svs_pmap_sync")
# Events of a run in the order of NAMES.  By hand for null-syscall: 20,000 calls and exit; 2 text pages, stack, 2 data
# pages; for yielder: each of 4 LWPs yields 100 times and exits.
EXPECTED = {
    "disable-at-runtime": (16006, 28, 3, 14, 0, 24),
    "fork-exec": (349, 1617, 28, 100, 0, 390),
    "interrupts": (1, 35, 1075, 3, 0, 6),
    "kernel-threads": (1909, 627, 3165, 5585, 307, 606),
    "mixed-server": (2557, 787, 798, 1196, 0, 26),
    "null-syscall": (20001, 5, 0, 3, 0, 6),
    "thread-scaling": (1922, 1343, 2269, 24, 324, 354),
    "working-set": (101, 0, 2, 3, 0, 3),
}
SHORTER = {
    "context-switch": ({"group.0.iterations": 100}, {"syscalls": 404, "faults": 16, "svs_pmap_sync": 14}),
    "mmap-storm": ({"group.0.iterations": 20}, {"mmap": 80, "syscalls": 164}),
    "ping-pong": ({"group.0.iterations": 100, "group.1.iterations": 100}, {"syscalls": 202, "faults": 14}),
}


def counters(name, overrides=None):
    scenario = open_scenario(name, overrides=overrides)
    return run_once(
        scenario.source(), "svs-netbsd9", pcid=None, cpus=scenario.cpus, costs=scenario.costs,
    ).counters  # fmt: skip


def test_every_shipped_scenario_is_counted():
    assert {e.name for e in list_scenarios() if e.kind == "behaviour"} == {*EXPECTED, *SHORTER}


@pytest.mark.parametrize("name", EXPECTED)
def test_counts(name):
    found = counters(name)
    assert tuple(found.get(key, 0) for key in NAMES) == EXPECTED[name]


@pytest.mark.parametrize("name", SHORTER)
def test_counts_of_shortened_scenarios(name):
    overrides, expected = SHORTER[name]
    found = counters(name, overrides)
    assert {key: found.get(key, 0) for key in expected} == expected
