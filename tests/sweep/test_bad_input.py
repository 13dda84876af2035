"""Sweeps that cannot be run, and places that cannot be written, say so in one line."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sim.cli import main
from sim.errors import InputError
from sim.experiments.sweep import load_sweep, run_sweep
from tests.sweep.conftest import GRID

ROOT = Path(__file__).parent.parent.parent


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
