"""Sweeps: the same bytes however they are run, killed, damaged or spread; bad input."""

from __future__ import annotations

import json
import os
import resource
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
from sim.errors import InputError, KernelAssertion
from sim.experiments.sweep import execute, load_sweep, run_sweep
from sim.experiments.sweep import point as point_module
from sim.experiments.sweep.point import Job, run_job
from sim.version import version
from tests.test_workers import heeding

ROOT = Path(__file__).parent.parent.parent
GRID = """
title = "small"
seed = 3
replications = 2
scenarios = ["ping-pong"]
profiles = ["svs-netbsd8", "svs-netbsd9"]
cpus = [1, 2]
[set]
"group.0.iterations" = [20, 40]
"group.1.iterations" = 40
"""
POINTS = 16


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(GRID)
    return path


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


def test_what_decides_a_point_is_its_key(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_sweep(load_sweep(grid), out)
    again = run_sweep(load_sweep(grid), out)
    assert (again.computed, again.cached) == (0, POINTS)
    other = run_sweep(load_sweep(grid, seed=4), out)
    assert (other.computed, other.cached) == (POINTS, 0)


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


OWN_COSTS = """
[machine]
cpus = 1
costs = "own.toml"

[[group]]
name = "g"
iterations = 5
burst = "1 us"
"""


def own_costs(folder: Path, cr3_write: int) -> Path:
    """A scenario with a cost table of its own beside it, and a sweep of it."""
    shipped = (ROOT / "sim" / "timed" / "costs_data" / "skylake-client.toml").read_text().splitlines()
    lines = [line if not line.startswith("cr3_write ") else
             f'cr3_write = {{ value = {cr3_write}, unit = "cycles", source = "assumed", sure = "assumed" }}'
             for line in shipped]  # fmt: skip
    assert lines != shipped
    (folder / "own.toml").write_text("\n".join(lines))
    (folder / "mine.toml").write_text(OWN_COSTS)
    path = folder / "sweep.toml"
    path.write_text('scenarios = ["mine.toml"]\nprofiles = ["svs-netbsd8"]\n')
    return path


def test_a_scenarios_own_cost_table_is_part_of_its_points(tmp_path: Path) -> None:
    first = run_sweep(load_sweep(own_costs(tmp_path, 200)), tmp_path / "out")
    second = run_sweep(load_sweep(own_costs(tmp_path, 2000)), tmp_path / "out")
    assert (first.computed, second.computed, second.cached) == (1, 1, 0)
    assert first.frame["profile_busy_cycles"].item() < second.frame["profile_busy_cycles"].item()


def test_a_file_that_changes_meanwhile_fails_its_point(tmp_path: Path) -> None:
    sweep = load_sweep(own_costs(tmp_path, 200))
    point = sweep.points[0]
    paths = {name: str(sweep.files[name]) for name in point.files}
    done = run_job(Job(point, paths, dict.fromkeys(paths, "another hash"), version()))
    assert done.row is None
    assert "mine.toml was changed while the sweep ran" in done.failure


def test_lists_and_tables_are_values_too(tmp_path: Path) -> None:
    path = tmp_path / "draws.toml"
    path.write_text(
        'scenarios = ["null-syscall"]\nprofiles = ["svs-netbsd9"]\n[set]\n"group.0.iterations" = 20\n'
        '"machine.cpus" = [1, 2]\n'
        '"group.0.burst" = ["1 us", { dist = "exponential", mean = "1 us" }]\n'
    )
    outcome = run_sweep(load_sweep(path), tmp_path / "out")
    assert not outcome.failures
    assert outcome.frame["cpus"].tolist() == [1, 1, 2, 2]
    drawn = '{"dist": "exponential", "mean": "1 us"}'
    assert outcome.frame["set.group.0.burst"].tolist() == ["1 us", drawn] * 2


def test_files_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    path = own_costs(tmp_path, 200)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.toml").write_text(OWN_COSTS.replace("iterations = 5", "iterations = 6"))
    (tmp_path / "b" / "own.toml").write_text((tmp_path / "own.toml").read_text())
    path.write_text('scenarios = ["mine.toml", "b/mine.toml"]\nprofiles = ["svs-netbsd8"]\n')
    frame = run_sweep(load_sweep(path), tmp_path / "out").frame
    assert frame["scenario"].tolist() == ["mine.toml", "b/mine.toml"]
    assert frame["costs"].nunique() == 1


def test_options_and_a_clock_follow_a_cost_tables_name(tmp_path: Path) -> None:
    """The sweep's own list, and the scenario's own table: each runs as it would run alone."""
    path = own_costs(tmp_path, 200)
    mine = tmp_path / "mine.toml"
    mine.write_text(
        OWN_COSTS.replace('"own.toml"', '"own.toml+nested@2GHz"').replace("iterations = 5", "iterations = 50")
    )
    alone = run_sweep(load_sweep(path), tmp_path / "out").frame
    assert alone["costs"].tolist() == ["skylake-client+nested@2GHz"]
    path.write_text(path.read_text() + 'costs = ["own.toml", "own.toml+nested@2GHz", "haswell+nested"]\n')
    frame = run_sweep(load_sweep(path), tmp_path / "out").frame
    assert frame["costs"].tolist() == ["skylake-client", "skylake-client+nested@2GHz", "haswell+nested"]
    busy = frame["profile_busy_cycles"].tolist()
    assert busy[1] == alone["profile_busy_cycles"].item() != busy[0]
    path.write_text(path.read_text().replace("own.toml+nested", "own.toml+nestd"))
    with pytest.raises(InputError, match="no option 'nestd'"):
        load_sweep(path)


class Deadly:
    """A job that takes its process with it, once pickled into one."""

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
            yield number, Deadly() if number == 5 else job

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

    monkeypatch.setattr(point_module, "run_paired", broken)
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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 3", "sed = 3", "unknown key 'sed'"),
        ("seed = 3", 'seed = "3"', "must be a whole number"),
        ("replications = 2", "replications = 0", "must be 1 or more"),
        ('["ping-pong"]', '["ping-pnog"]', "ping-pong"),
        ('["ping-pong"]', "[]", "must be a list"),
        ('"svs-netbsd9"]', '"svs-netbds9"]', "svs-netbsd9"),
        ("[1, 2]", "[1, 1]", "names 1 twice"),
        ("[1, 2]", "[0, 2]", "must be 1 or more"),
        ("[set]", '[set]\nx = {a = 1}', "write the dotted key in quotes"),
        ("seed = 3", 'seed = 3\nwarmup = "3 parsec"', "unknown unit 'parsec'"),
        ("seed = 3", 'seed = 3\ncosts = ["no-such-table"]', "no-such-table"),
        ("seed = 3", 'seed = 3\nwarmup = "3 cycles"', "must be a time"),
        ("scenarios", "scenario", "did you mean 'scenarios'"),
        ("[1, 2]", "[1, 300]", "256 or less"),
        ("replications = 2", "replications = 2000000000000", "16,000,000,000,000 points"),
        ("[20, 40]", "[20, 40, 20]", "names 20 twice"),
        ("[20, 40]", "[]", "empty list"),
        ("[20, 40]", "[nan]", "must be a finite number"),
        ("[20, 40]", "[99999999999999999999]", "must be between"),
        ("[20, 40]", "[1979-05-27]", "must be text"),
        ("group.0.iterations", "group.0.iterationz", "did you mean 'iterations'"),
        ("group.0.iterations", "group.7.iterations", "there is no '7'"),
        ("[20, 40]", "[-1, -2]", "cannot be run with any of these values"),
        ('"group.1.iterations" = 40', "seed = [1, 2]", "replications"),
        ('"group.1.iterations" = 40', 'profile = ["pti"]', "profiles = [...]"),
        ('"group.1.iterations" = 40', '"machine.cpus" = [1, 2]', "says the same"),
        ('["ping-pong"]', '["dd-512"]', "'dd-512' is a recording"),
        ("title", "title =", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_with_its_place(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    grid.write_text(GRID.replace(old, new, 1))
    assert main(["sweep", str(grid), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent.toml", "--out", "out"], "no file 'absent.toml'"),
        (["small.toml", "--out", "small.toml"], "is a file"),
        (["small.toml", "--out", "full"], "holds files but no earlier sweep"),
        pytest.param(
            ["small.toml", "--out", "out", "--cluster", "tcp://127.0.0.1:9"],
            "no Dask scheduler answers",
            marks=pytest.mark.cluster,
        ),
        pytest.param(["small.toml", "--out", "out", "--cluster", "nonsense"], "nonsense", marks=pytest.mark.cluster),
        (["small.toml", "--out", "out", "--jobs", "2", "--cluster", "tcp://x:1"], "give one of them"),
        (["small.toml", "--out", "out", "--jobs", "0"], "0"),
    ],
)
def test_wrong_words_are_told(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("do not touch")
    assert main(["sweep", *words, "--quiet"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1]
    assert not (tmp_path / "out" / "summary.json").exists()


def test_a_cluster_without_dask_says_what_to_install(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["sweep", str(grid), "--out", str(tmp_path / "out"), "--cluster", "tcp://127.0.0.1:9"]) == 2
    assert capsys.readouterr().err == "svs-sim: error: --cluster needs Dask: install 'svs-sim[cluster]'\n"


def test_a_full_disk_leaves_nothing_half_written(grid: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: the result does not fit."""
    out = tmp_path / "out"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))

    done = subprocess.run(
        [sys.executable, "-m", "sim", "sweep", str(grid), "--out", str(out), "--quiet"],
        cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=limit,  # noqa: PLW1509
    )  # fmt: skip
    assert done.returncode == 2
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / "summary.json").exists()
    assert not list(out.glob("*.partial"))


def test_an_unwritable_place_is_told_before_anything_runs(grid: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        run_sweep(load_sweep(grid), Path("/proc/nowhere/out"))
