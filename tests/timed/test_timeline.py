"""The timeline of a window: it changes nothing else, and tells the same story as the other frames."""

from __future__ import annotations

from collections import defaultdict

import pytest

from scenarios.open import open_scenario
from sim.timed.paired import RunResult, run_once

TRACKS = {"mode", "lwp", "cr3", "lock", "interrupt", "runqueue", "tlb_misses"}


def run(name: str, window: tuple[int, int] | None) -> RunResult:
    scenario = open_scenario(name)
    return run_once(
        scenario.source(), "svs-netbsd9", pcid=None, cpus=scenario.cpus, costs=scenario.costs,
        window=window,
    )  # fmt: skip


def rows(result: RunResult) -> list[dict[str, object]]:
    frame = result.frames["timeline"]
    return [dict(zip(frame, values, strict=True)) for values in zip(*frame.values(), strict=True)]


@pytest.fixture(scope="module")
def windowed() -> RunResult:
    return run("mmap-storm", (2_000_000, 3_000_000))


def test_a_window_changes_nothing_else(windowed: RunResult) -> None:
    plain = run("mmap-storm", None)
    assert "timeline" not in plain.frames
    frames = {name: frame for name, frame in windowed.frames.items() if name != "timeline"}
    assert (plain.elapsed_cycles, plain.ledger, plain.counters, plain.frames) == (
        windowed.elapsed_cycles,
        windowed.ledger,
        windowed.counters,
        frames,
    )


def test_rows_lie_inside_the_window_in_order(windowed: RunResult) -> None:
    found = rows(windowed)
    assert {row["track"] for row in found} <= TRACKS
    assert all(2_000_000 <= row["time_cycles"] <= row["end_cycles"] <= 3_000_000 for row in found)
    times = [row["time_cycles"] for row in found]
    assert times == sorted(times)


def test_the_modes_of_a_cpu_fill_the_window(windowed: RunResult) -> None:
    modes = defaultdict(list)
    for row in rows(windowed):
        if row["track"] == "mode":
            modes[row["cpu"]].append((row["time_cycles"], row["end_cycles"]))
    assert sorted(modes) == [0, 1, 2, 3]
    for stretches in modes.values():
        assert stretches[0][0] == 2_000_000
        assert stretches[-1][1] == 3_000_000
        assert all(a[1] == b[0] for a, b in zip(stretches, stretches[1:], strict=False))


def test_every_shootdown_has_one_flow_from_ipi_over_handlers_to_acknowledgement(windowed: RunResult) -> None:
    flows = defaultdict(list)
    for row in rows(windowed):
        if row["flow"]:
            flows[row["flow"]].append(row)
    whole = [f for f in flows.values() if f[0]["name"].startswith("send") and f[-1]["name"] == "all acknowledged"]
    shootdowns = windowed.frames["shootdowns"]
    inside = [
        targets
        for begin, total, targets in zip(
            shootdowns["time_cycles"], shootdowns["total_cycles"], shootdowns["targets"], strict=True
        )
        if targets and begin >= 2_000_000 and begin + total < 3_000_000
    ]
    assert len(inside) == 62
    assert len(whole) >= len(inside)
    for flow in whole:
        sender = flow[0]["cpu"]
        assert flow[-1]["cpu"] == sender
        handlers = flow[1:-1]
        assert handlers
        assert all(h["name"] == "TLB shootdown" and h["cpu"] != sender for h in handlers)


def test_lock_holds_do_not_overlap(windowed: RunResult) -> None:
    held = defaultdict(list)
    for row in rows(windowed):
        if row["track"] == "lock" and not row["name"].startswith("wait "):
            held[row["name"]].append((row["time_cycles"], row["end_cycles"]))
    assert held
    for stretches in held.values():
        assert all(a[1] <= b[0] for a, b in zip(sorted(stretches), sorted(stretches)[1:], strict=False))
