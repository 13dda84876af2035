"""Sweeps: the same bytes however they are run, killed, damaged or spread."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sim.cli import main
from sim.errors import KernelAssertion
from sim.experiments.sweep import execute, load_sweep, run_sweep
from sim.experiments.sweep import pairs as pairs_module
from sim.experiments.sweep.point import Job
from tests.sweep.conftest import GRID, POINTS
from tests.test_workers import heeding

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    path = folder / "small.toml"
    path.write_text(GRID)
    run_sweep(load_sweep(path), folder / "out")
    return files(folder / "out")


def files(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in ("points.parquet", "summary.json")}


def test_one_line_of_pandas_reads_parameters_and_numbers(grid: Path, tmp_path: Path) -> None:
    run_sweep(load_sweep(grid), tmp_path / "out")
    frame = pd.read_parquet(tmp_path / "out" / "points.parquet")
    assert len(frame) == POINTS
    assert frame["conserved"].all()
    assert sorted(frame["set.group.0.iterations"].unique()) == [20, 40]
    # Common random numbers: profiles share the seeds of the replications.
    assert frame.groupby("replication")["seed"].nunique().tolist() == [1, 1]
    assert frame["seed"].nunique() == 2


@pytest.mark.parametrize("whole_group", [True, False], ids=["group", "parent"])
def test_killed_three_times_it_ends_with_the_same_bytes(
    grid: Path, tmp_path: Path, undisturbed: dict[str, bytes], whole_group: bool
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sim", "sweep", str(grid), "--out", str(out), "--jobs", "2", "--quiet"]
    kept = 0
    for _ in range(3):
        process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list((out / ".cache").glob("*.json"))) < kept + 3:
            time.sleep(0.01)
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        kept = len(list((out / ".cache").glob("*.json")))
        assert not (out / "summary.json").exists() or kept == POINTS
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["cached"] >= min(kept, POINTS) > 3
    assert told["computed"] + told["cached"] == POINTS
    run_sweep(load_sweep(grid), out)  # all from the cache; only the command line is not kept this time
    assert files(out) == undisturbed


def test_a_damaged_entry_is_found_and_computed_again(grid: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    out = tmp_path / "out"
    run_sweep(load_sweep(grid), out)
    entries = sorted((out / ".cache").glob("*.json"))
    entries[0].write_bytes(entries[0].read_bytes().replace(b"1", b"2", 1))
    entries[1].write_bytes(entries[1].read_bytes()[:-20])
    entries[2].write_bytes(b"\xff\xfe\0")
    entries[3].unlink()
    # Whole, but another point's; empty; a checksum without a row.
    entries[4].write_bytes(entries[5].read_bytes())
    entries[6].write_bytes(b"")
    entries[7].write_bytes(b"[]")
    outcome = run_sweep(load_sweep(grid), out, jobs=2)
    assert (outcome.computed, outcome.cached, outcome.damaged) == (7, POINTS - 7, 6)
    assert files(out) == undisturbed


def test_a_failing_point_is_reported_and_the_others_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(GRID.replace("[20, 40]", "[20, -1]"))
    assert main(["sweep", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert said.count("point failed") == POINTS // 2
    assert "set.group.0.iterations = -1" in said
    assert len(pd.read_parquet(tmp_path / "out" / "points.parquet")) == POINTS // 2
    failed = json.loads((tmp_path / "out" / "summary.json").read_text())["failed"]
    assert len(failed) == POINTS // 2


def test_warm_up_is_left_out(tmp_path: Path) -> None:
    """A working set that has to be faulted in is cheap once it is there; too long a warm-up leaves nothing."""
    path = tmp_path / "warm.toml"
    lines = (
        '{}\nscenarios = ["null-syscall"]\nprofiles = ["svs-netbsd8"]\n'
        '[set]\n"group.0.iterations" = 1500\n"group.0.burst" = "20 us"\n"group.0.working_set" = "1000 pages"\n'
    )
    path.write_text(lines.format('warmup = "10 ms"'))
    (row,) = run_sweep(load_sweep(path), tmp_path / "out").frame.to_dict("records")
    assert row["warmup_ns"] == 10_000_000
    path.write_text(lines.format(""))
    (whole,) = run_sweep(load_sweep(path), tmp_path / "whole").frame.to_dict("records")
    assert whole["overhead_percent"] == row["overhead_percent"]
    assert 0 < row["steady_overhead_percent"] != whole["steady_overhead_percent"]
    path.write_text(lines.format('warmup = "10 s"'))
    outcome = run_sweep(load_sweep(path), tmp_path / "cold")
    assert [f.reason.startswith("warmup: after 10000 ms") for f in outcome.failures] == [True]


class Deadly:
    """A job that takes its process with it, once pickled into one."""

    def __init__(self, job: Job) -> None:
        self.point, self.baseline = job.point, job.baseline

    def __reduce__(self) -> tuple[Any, ...]:
        return _end, ()


def _end() -> None:
    os._exit(9)


def test_a_point_that_kills_its_process_does_not_stop_the_others(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, bytes]
) -> None:
    sweep = load_sweep(grid)
    real = execute._jobs

    def jobs(*args: Any) -> Iterator[tuple[int, Any]]:
        for number, job in real(*args):
            yield number, Deadly(job) if number == 5 else job

    monkeypatch.setattr(execute, "_jobs", jobs)
    outcome = run_sweep(sweep, tmp_path / "out", jobs=2)
    assert [failure.parameters for failure in outcome.failures] == [sweep.points[5].parameters()]
    assert "killed" in outcome.failures[0].reason
    assert outcome.computed == POINTS - 1
    monkeypatch.undo()
    assert run_sweep(sweep, tmp_path / "out").computed == 1
    assert files(tmp_path / "out") == undisturbed


def test_a_broken_model_is_told_as_such(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KernelAssertion("curlwp is mine")

    monkeypatch.setattr(pairs_module, "run_once", broken)
    assert main(["sweep", str(grid), "--out", str(tmp_path / "out"), "--quiet"]) == 70
    said = capsys.readouterr().err
    assert said.count("KernelAssertion: curlwp is mine") == POINTS
    assert "this is a bug of svs-sim" in said


def test_what_another_result_was_drawn_from_goes(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_sweep(load_sweep(grid), out)
    (out / "charts").mkdir()
    (out / "charts" / "ledger.png").write_text("of seed 3")
    run_sweep(load_sweep(grid), out)
    assert (out / "charts" / "ledger.png").exists()
    run_sweep(load_sweep(grid, seed=4), out)
    assert not (out / "charts").exists()


def test_an_interrupt_keeps_what_is_done(grid: Path, tmp_path: Path) -> None:
    """As from a terminal: all processes of the group get it."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sim", "sweep", str(grid), "--out", str(out), "--jobs", "2", "--quiet"]
    process = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True, preexec_fn=heeding
    )
    while process.poll() is None and not list((out / ".cache").glob("*.json")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "svs-sim: interrupted; finished points are kept: the same command goes on there\n"
    assert not (out / "summary.json").exists()
