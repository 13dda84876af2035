"""The trace-event JSON against the rules of its format, and against the frames it is made of."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.export.lanes import Lanes
from sim.cli import main

REQUIRED = {
    "X": {"pid", "tid", "ts", "dur", "name", "cat"},
    "M": {"pid", "tid", "name", "args"},
    "C": {"pid", "ts", "name", "args"},
    "s": {"pid", "tid", "ts", "id", "name", "cat"},
    "t": {"pid", "tid", "ts", "id", "name", "cat"},
    "f": {"pid", "tid", "ts", "id", "name", "cat", "bp"},
}
Events = list[dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "result"
    assert main(["run", "mmap-storm", "--window", "1ms:1100us", "--out", str(out), "--quiet"]) == 0
    return out


@pytest.fixture(scope="module")
def events(folder: Path) -> Events:
    assert main(["export", str(folder), "--perfetto", "--quiet"]) == 0
    found: Events = json.loads((folder / "perfetto.json").read_text())["traceEvents"]
    return found


def test_every_event_has_the_keys_of_its_phase(events: Events) -> None:
    assert {e["ph"] for e in events} == set(REQUIRED)
    for event in events:
        assert set(event) == REQUIRED[event["ph"]] | {"ph"}


def test_processes_are_cpus_and_threads_tracks_named_and_ordered(events: Events) -> None:
    names = {(e["name"], e["pid"], e["tid"]): e["args"] for e in events if e["ph"] == "M"}
    cpus = sorted({e["pid"] for e in events})
    assert cpus == list(range(1, 9))  # loaders drop what is of process 0
    runs = ("baseline: none", "profile: svs-netbsd9")
    for pid in cpus:
        assert names["process_name", pid, 0] == {"name": f"CPU {(pid - 1) // 2} ({runs[(pid - 1) % 2]})"}
        assert names["process_sort_index", pid, 0] == {"sort_index": pid}
    threads = {(e["pid"], e["tid"]) for e in events if "tid" in e and e["tid"]}
    for cpu, tid in threads:
        assert names["thread_sort_index", cpu, tid] == {"sort_index": tid}
    tracks = {names["thread_name", *t]["name"] for t in threads}
    assert {"mode", "lwp", "cr3", "lock", "interrupt"} <= tracks


def test_slices_of_a_thread_nest(events: Events) -> None:
    threads = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            assert event["dur"] > 0
            threads[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for slices in threads.values():
        open_until: list[float] = []
        for begin, end in slices:
            while open_until and open_until[-1] <= begin + 1e-6:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-6
            open_until.append(end)


def test_arrows_go_from_ipi_to_handler_to_acknowledgement(events: Events, folder: Path) -> None:
    slices = {(e["pid"], e["tid"], e["ts"]): e["name"] for e in events if e["ph"] == "X"}
    arrows = defaultdict(list)
    for event in events:
        if event["ph"] in "stf":
            place = event["pid"], event["tid"], event["ts"]
            assert place in slices
            arrows[event["id"]].append((event["ph"], event["pid"], slices[place], event["ts"]))
    whole = 0
    for steps in arrows.values():
        assert [s[0] for s in steps] in (["s", "t", "f"], ["s", "f"])
        assert steps[0][2].startswith("send ")
        assert steps[1][2] in ("TLB shootdown", "reschedule")
        assert steps[0][1] != steps[1][1]
        times = [s[3] for s in steps]
        assert times == sorted(times)
        if len(steps) == 3:
            whole += 1
            assert (steps[2][1], steps[2][2]) == (steps[0][1], "all acknowledged")
    frame = pd.read_parquet(folder / "timeline.parquet").query("flow > 0")
    complete = frame.groupby(["run", "flow"]).filter(
        lambda g: g["name"].str.startswith("send").any() and (g["name"] == "all acknowledged").any()
    )
    assert whole == complete["name"].eq("TLB shootdown").sum() > 0


def test_counters_have_the_frames_values(events: Events, folder: Path) -> None:
    frame = pd.read_parquet(folder / "timeline.parquet").query("run == 'profile'")
    values = [e["args"]["value"] for e in events if e["ph"] == "C" and e["name"] == "TLB misses" and e["pid"] == 6]
    assert values == list(frame.query("track == 'tlb_misses' and cpu == 2")["value"])
    assert values == sorted(values)


def test_without_a_window_the_whole_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "result"
    assert main(["run", "ping-pong", "--out", str(out), "--quiet"]) == 0
    assert main(["export", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    events = json.loads((out / "perfetto.json").read_text())["traceEvents"]
    assert (told["timeline"], told["events"]) == (False, len(events))
    switches = pd.read_parquet(out / "switches.parquet")
    lwps = [e for e in events if e["ph"] == "X" and e["cat"] == "lwp"]
    assert len(lwps) == len(switches) + len(switches[["run", "cpu"]].drop_duplicates())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent"], "there is no folder"),
        (["empty"], "holds no result"),
        (["result", "--out", "no/where.json"], "there is no folder"),
        (["result", "--run", "basline"], "unknown run 'basline'"),
        (["result", "--out", "empty"], "give a file"),
        (["result", "--out", "/dev/null"], "no regular file"),
    ],
    ids=["absent", "no-result", "no-parent", "misspelt", "is-folder", "is-device"],
)
def test_bad_input_is_one_line(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "result").symlink_to(folder)
    before = sorted(folder.iterdir())
    assert main(["export", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert sorted(folder.iterdir()) == before


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=30))
def test_lanes_never_hold_slices_that_overlap_without_nesting(slices: list[tuple[int, int]]) -> None:
    lanes = Lanes()
    placed = defaultdict(list)
    for begin, length in sorted(slices, key=lambda s: (s[0], -s[1])):
        placed[lanes.place("track", begin, begin + length)].append((begin, begin + length))
    for lane in placed.values():
        for a in lane:
            for b in lane:
                apart = a[1] <= b[0] or b[1] <= a[0]
                inside = a[0] <= b[0] and b[1] <= a[1] or b[0] <= a[0] and a[1] <= b[1]
                assert apart or inside
