"""``svs-sim run`` from the words to the folder."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.results import read_result
from sim.cli import main
from sim.cli.run import parse_window
from sim.errors import InputError
from tests.results.pairs import make_pair

ROOT = Path(__file__).parents[2]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Replace the simulation by a made-up result; returns the list of the keyword arguments it was called with."""
    import sim.timed.paired
    import sim.workers

    calls: list[dict[str, object]] = []

    def run_paired(source: object, **options: object) -> object:
        calls.append(options)
        return make_pair()

    monkeypatch.setattr(sim.timed.paired, "run_paired", run_paired)
    monkeypatch.setattr(sim.workers, "processors", lambda: 1)
    return calls


def test_the_folder_and_the_table(
    quick: list[dict[str, object]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "null-syscall", "--out", str(tmp_path / "r")]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "takes 25.0 % more CPU time than none" in shown.out
    assert "entry/exit CR3" in shown.out
    assert "+1.01 %" in shown.out  # recorded 990 cycles, replayed in 1000
    assert max(map(len, shown.out.splitlines())) <= max(80, len(str(tmp_path)) * 2 + 60)
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == [
        "calls.parquet", "chart.png", "chart.svg", "counters.parquet", "ledger.parquet", "locks.parquet",
        "shootdowns.parquet", "summary.json", "switches.parquet", "tasks.parquet",
    ]  # fmt: skip
    assert read_result(tmp_path / "r").summary["scenario"] == "null-syscall"


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits(
    quick: list[dict[str, object]],
    columns: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(tmp_path)
    assert main(["run", "null-syscall", "--out", "r"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert not [line for line in lines if "…" in line]


def test_json_is_the_summary_and_nothing_else(
    quick: list[dict[str, object]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "null-syscall", "--json", "--out", str(tmp_path / "r")]) == 0
    shown = capsys.readouterr()
    assert shown.out == (tmp_path / "r" / "summary.json").read_text(encoding="utf-8")
    assert json.loads(shown.out)["overhead_percent"] == 25.0
    assert shown.err == ""


def test_quiet_says_nothing(quick: list[dict[str, object]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "null-syscall", "--quiet", "--out", str(tmp_path / "r")]) == 0
    assert capsys.readouterr() == ("", "")


def test_options_reach_the_run(quick: list[dict[str, object]], tmp_path: Path) -> None:
    words = "--profile pti --baseline svs-netbsd8 --no-pcid --cpus 3 --costs haswell --seed 9 --engine plain --quiet"
    assert main(["run", "null-syscall", "--out", str(tmp_path / "r"), "--window", "100ns:200ns", *words.split()]) == 0
    (call,) = quick
    hz = call["costs"].frequency_hz  # type: ignore[attr-defined]
    wanted = {"profile": "pti", "baseline": "svs-netbsd8", "pcid": False, "cpus": 3, "seed": 9, "engine": "plain",
              "window": (hz // 10**7, 2 * hz // 10**7)}  # fmt: skip
    assert {key: call[key] for key in wanted} == wanted
    assert call["costs"].name == "haswell"  # type: ignore[attr-defined]


def test_a_window_after_the_end_is_refused(
    quick: list[dict[str, object]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "null-syscall", "--out", str(tmp_path / "r"), "--window", "1s:2s"]) == 2
    assert "after the start, but the run ends at" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_name_with_a_line_break_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "no\nsuch\x1b[31m", "--out", str(tmp_path / "r")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_bad_input_with_json_leaves_stdout_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "no-such-thing", "--json", "--out", str(tmp_path / "r")]) == 2
    assert capsys.readouterr().out == ""


def test_a_foreign_folder_is_refused_before_the_run(
    quick: list[dict[str, object]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("")
    assert main(["run", "null-syscall", "--out", str(tmp_path)]) == 2
    assert "holds files but no earlier result" in capsys.readouterr().err
    assert quick == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A limit on file sizes stands for the disk: the picture does not fit, the frames do."""
    program = (
        "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from sim.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    limit = 20_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", program, "run", "null-syscall", "--out", str(tmp_path / "r")],
        cwd=ROOT, preexec_fn=limited, capture_output=True, text=True, check=False,
        env={**os.environ, "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(Path.home() / ".cache/matplotlib"))},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_the_real_thing_is_the_same_under_any_hash_seed(tmp_path: Path) -> None:
    folders = []
    for seed in ("1", "2"):
        out = tmp_path / seed
        command = [sys.executable, "-m", "sim", "run", "context-switch", "--quiet", "--out", str(out)]
        subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        folders.append({file.name: file.read_bytes() for file in out.iterdir()})
    assert json.loads(folders[0]["summary.json"])["conserved"] is True
    assert folders[0] == folders[1]


@pytest.mark.parametrize(
    ("text", "cycles"),
    [("0:1s", (0, 4_000)), ("1ms:2.5ms", (4, 10)), ("250us:1ms", (1, 4)), ("0s:1000000ns", (0, 4))],
)
def test_windows(text: str, cycles: tuple[int, int]) -> None:
    assert parse_window(text, 4_000) == cycles


@pytest.mark.parametrize("text", ["", ":", "1ms", "1ms:", "1:2", "-1ms:2ms", "1ms:2ms:3ms", "1ms:1ms", "a:b"])
def test_bad_windows(text: str) -> None:
    with pytest.raises(InputError, match="--window"):
        parse_window(text, 4_000)


def test_scenarios_lists_what_run_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["scenarios"]
    assert {"cc-build", "null-syscall"} <= {entry["name"] for entry in entries}
    assert all(entry["title"] and entry["kind"] in ("behaviour", "recording") for entry in entries)
    assert main(["scenarios"]) == 0
    assert all(entry["name"] in capsys.readouterr().out for entry in entries[:1])
