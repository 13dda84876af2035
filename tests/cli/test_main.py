"""The command line: exit statuses, and what is said where."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import sim.cli
from sim.cli import main
from sim.cli._parser import ORDER, commands
from sim.errors import InputError, KernelAssertion

ROOT = Path(__file__).parents[2]


def test_every_command_has_help_and_a_place_in_the_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"run", "scenarios"} <= set(commands()) <= set(ORDER)
    for words in (["--help"], *([name, "--help"] for name in commands())):
        assert main(words) == 0
        shown = capsys.readouterr()
        assert "usage: svs-sim" in shown.out
        assert shown.err == ""


def test_every_command_has_the_common_options(capsys: pytest.CaptureFixture[str]) -> None:
    for name in commands():
        main([name, "--help"])
        text = capsys.readouterr().out
        assert [option for option in ("--json", "--seed", "--quiet") if option not in text] == [], name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: COMMAND"),
        (["rn"], "unknown command 'rn' .*did you mean 'run'"),
        (["run"], "required: SCENARIO, --out"),
        (["run", "null-syscall"], "required: --out"),
        (["run", "null-syscall", "--out", "x", "--profle", "pti"], "'--profle'; did you mean '--profile'"),
        (["run", "null-syscall", "--out", "x", "--profile", "svs-netbsd11"], "'svs-netbsd11' .*did you mean 'svs-"),
        (["run", "null-syscall", "--out", "x", "--cpus", "0"], "1 or more, not '0'"),
        (["run", "null-syscall", "--out", "x", "--cpus", "two"], "1 or more, not 'two'"),
        (["run", "null-syscall", "--out", "x", "--cpus", "100000"], "256"),
        (["run", "null-syscall", "--out", "x", "--seed", "-1"], "seed"),
        (["run", "null-syscall", "--out", "x", "--engine", "quick"], "unknown engine 'quick'"),
        (["run", "null-syscall", "--out", "x", "--costs", "haswel"], "did you mean 'haswell'"),
        (["run", "null-sycall", "--out", "x"], "did you mean 'null-syscall'"),
        (["run", "null-syscall", "--out", "x", "--window", "5"], "START:END"),
        (["run", "null-syscall", "--out", "x", "--window", "1ms:2"], "'2' is no time"),
        (["run", "dd-512", "--out", "x", "--untraced-cpu", "0"], "give more than 0"),
        (["run", "null-syscall", "--out", "x", "--window", "2ms:1ms"], "end must come after"),
        (["run", "null-syscall", "extra", "--out", "x"], "unknown argument 'extra'"),
    ],
)  # fmt: skip
def test_bad_usage_is_one_line_on_stderr_and_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("svs-sim: error: ")
    assert shown.err.count("\n") == 1
    assert re.search(message, shown.err), shown.err
    assert list(tmp_path.iterdir()) == []


def raising(error: BaseException) -> Callable[[list[str]], int]:
    def dispatch(words: list[str]) -> int:
        raise error

    return dispatch


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (InputError("scenario.toml: no"), 2, "error: scenario.toml: no"),
        (OSError(28, "No space left on device", "out/ledger.parquet"), 2, "out/ledger.parquet: No space left"),
        (OSError("odd"), 2, "error: odd"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KernelAssertion("pm_cpus is empty"), 70, "the model contradicts itself"),
    ],
)
def test_statuses(
    error: BaseException,
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sim.cli, "_dispatch", raising(error))
    assert main(["run"]) == status
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.out == ""
    assert ("Traceback" in shown.err) == (status == 70)


def test_a_bug_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sim.cli, "_dispatch", raising(ZeroDivisionError("a bug")))
    assert main(["run"]) == 70
    assert "ZeroDivisionError: a bug" in capsys.readouterr().err


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m sim scenarios | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 141)  # 0 if all was written before the reader went
    assert done.stderr == ""


HEAVY = ("dask", "jinja2", "matplotlib", "networkx", "numpy", "pandas", "pyarrow", "rich", "scipy", "simpy", "unidiff")


def loaded(program: str) -> list[str]:
    """Which heavy libraries, and packages of ours below the commands, are there after *program* has run."""
    names = (*HEAVY, "analysis", "scenarios", "sim.explore.driver", "sim.kernel", "sim.timed")
    shown = f"{program}\nimport sys\nprint(*(name for name in {names} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


@pytest.mark.parametrize(
    ("words", "used"),
    [
        (["--help"], []),
        (["--version"], []),
        (["check", "install-against-load", "--quiet"], ["scenarios", "sim.explore.driver", "sim.kernel"]),
        (["scenarios"], ["rich", "scenarios"]),
    ],
)
def test_a_command_loads_what_it_uses(words: list[str], used: list[str]) -> None:
    assert loaded(f"from sim.cli import main\nmain({words})") == used


def test_a_run_loads_what_it_writes_with_when_it_has_something_to_write() -> None:
    """So does the process of its own that the profile's run may have."""
    ran = ["analysis", "scenarios", "sim.kernel", "sim.timed"]
    run = (
        "from sim.experiments.runs import run_scenario; from scenarios.open import open_scenario\n"
        "scenario = open_scenario('interrupts', overrides={'group.0.iterations': 1})\n"
    )
    assert loaded(run) == ["simpy", *ran]
    pair = "run_paired(scenario.source, profile='svs-netbsd9', baseline='none', pcid=None, cpus=1, costs=scenario.costs"
    assert loaded(f"{run}from sim.timed.paired import run_paired; {pair}, seed=0)") == ["simpy", *ran]
    assert loaded("import sim.experiments.side_by_side, scenarios.recordings") == ["simpy", *ran[1:]]


def test_nothing_is_heard_of_caches_of_matplotlib() -> None:
    program = "from sim.cli import main; main(['--version']); import matplotlib; matplotlib.get_cachedir()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True,
        env={"MPLCONFIGDIR": "/dev/null/no-folder"},
    )  # fmt: skip
    assert done.stderr == ""
