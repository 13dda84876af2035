"""Outputs that are closed, full or of few letters, and errors not foreseen: never the status of "violated"."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import sim.cli
from sim.cli import main

ROOT = Path(__file__).parents[2]
SIM = f"{sys.executable} -m sim"


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of bash from the project's folder."""
    env = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(["bash", "-c", command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("redirection", "status"),
    [
        (">&-", 0),
        ("<&- >&- 2>&-", 0),
        (">/dev/full", 2),
        ("2>/dev/full", 0),
        (">/dev/full 2>/dev/full", 2),
    ],
)
def test_outputs_that_take_nothing(redirection: str, status: int) -> None:
    done = shell(f"{SIM} scenarios {redirection}")
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", ">&- 2>&-"])
def test_a_complaint_that_nobody_hears(redirection: str) -> None:
    assert shell(f"{SIM} run no-such-scenario --out none {redirection}").returncode == 2


def test_an_output_of_ascii_alone() -> None:
    done = shell(f"{SIM} scenarios", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "null-syscall" in done.stdout


def test_what_a_closed_output_prints_ends_up_in_no_file(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[[group]]\nname = "a"\niterations = 3\n')
    done = shell(f"{SIM} run {tmp_path / 'own.toml'} --out {tmp_path / 'r'} --json >&- 2>&-")
    assert done.returncode == 0
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["conserved"]


@pytest.mark.parametrize(
    "error",
    [RecursionError("deep"), UnicodeEncodeError("ascii", "\u00b5", 0, 1, "no"), OverflowError("1e400"), KeyError("x")],
)
def test_what_nobody_foresaw_ends_with_70_and_a_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def dispatch(words: list[str]) -> int:
        raise error

    monkeypatch.setattr(sim.cli, "_dispatch", dispatch)
    assert main(["check"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_no_memory_is_one_line_and_70() -> None:
    program = (
        "import resource, sys; from sim.cli import main; import sim.cli\n"
        "def dispatch(words): return len(bytearray(1 << 40))\n"
        "sim.cli._dispatch = dispatch\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33)); sys.exit(main(['run']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (70, "svs-sim: error: out of memory; nothing was written\n")


@pytest.mark.parametrize(
    "words",
    [
        ["run", "null-syscall", "--out", "x", "--seed", "9" * 5000],
        ["run", "null-syscall", "--out", "x", "--cpus", "\u00b2"],
        ["run", "null-syscall", "--out", "x", "--window", f"1ms:{'9' * 5000}s"],
        ["run", "x" * 5000, "--out", "x"],
        ["run", "a\0b", "--out", "x"],
        ["inspect", "null-syscall", "--at", "9" * 400 + "s"],
        ["inspect", "null-syscall", "--at", "1ms", "--cpu", "9" * 5000],
        ["check", "--budget", "9" * 5000],
        ["check", "--preemptions", "9" * 5000],
        ["check", "must-fault", "--jobs", "9" * 5000],
        ["check", "--replay", "svs1-" + "9" * 5000],
        ["run", "null-syscall", "--costs", f"haswell@{'9' * 400}GHz", "--out", "x"],
    ],
)
def test_arguments_of_any_length(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert len(said) < 1100
    assert not list(tmp_path.iterdir())
