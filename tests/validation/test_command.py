"""``svs-sim validate`` from the words to the files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from scenarios.scenario import Scenario
from sim.cli import main
from sim.experiments.validation.curves import Conditions
from sim.experiments.validation.predict import simulated
from sim.timed.paired import PairedResult
from tests.validation.invented import CURVE, write

KEYS = {"curve", "x", "published", "predicted", "error", "fitted", "null_error", "informative", "source"}


def test_json_has_the_points_and_nothing_else_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--curve", str(write(tmp_path)), "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    content = json.loads(shown.out)
    assert [point["predicted"] for point in content["points"]] == [1000.0, 1237.0, 1948.0]
    assert all(point.keys() >= KEYS for point in content["points"])
    assert content["summary"]["predicted_points"] == 2
    assert content["skill"] == 0
    assert {row["table"] for row in content["constants"]} == {"haswell", "null model"}
    assert content["summary"]["worst_point"] == "invented at 5"
    assert [(fit["value"], fit["unit"]) for fit in content["fits"]] == [(1000.0 - 239, "cycles")]


def test_the_table_says_what_was_fitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--curve", str(write(tmp_path))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "an invented curve (none; cycles)" in lines[0]
    rows = [line.split() for line in lines if line.split()[:1] in (["1"], ["2"])]
    assert rows[0] == ["1", "1000", "1000", "1000", "fitted"]
    assert rows[1] == ["2", "1250", "1237", "-1.0", "%", "1237", "-1.0", "%", "implied"]
    text = " ".join(" ".join(lines).split())
    assert "2 points predicted, 1 fitted; curves bring 1 value of their own." in text
    assert "Absolute error: median 11.4 %, worst 22 %" in text
    assert "Informative (not given by it): 1 point, median error 21.8 %, null model 21.8 %." in text
    assert "Skill on the informative points: 0.00." in text
    assert any(line.split()[:3] == ["cr3_write", "205", "cycles"] and "X1 PCID" in line for line in lines)


def test_a_large_miss_without_explanation_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curve = CURVE.replace("published = 1600", "published = 600")
    assert main(["validate", "--curve", str(write(tmp_path, curve))]) == 0
    assert "Above 40 % and not explained: invented at 5." in capsys.readouterr().out
    explained = curve.replace("published = 600", 'published = 600\nwhy = "nobody measured it"')
    assert main(["validate", "--curve", str(write(tmp_path, explained))]) == 0
    shown = capsys.readouterr().out
    assert "not explained" not in shown
    assert "nobody measured it" in shown


def test_the_folder_is_the_same_whatever_the_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["validate", "--curve", str(write(tmp_path)), "--curve", "getppid", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    assert main([*words, "--out", str(tmp_path / "two"), "--jobs", "2"]) == 0
    assert capsys.readouterr() == ("", "")
    names = ["constants.csv", *(f"validation.{end}" for end in ("csv", "json", "parquet", "png", "svg"))]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    frame = pd.read_parquet(tmp_path / "one" / "validation.parquet")
    assert list(frame["curve"]) == ["invented"] * 3 + ["getppid"]
    assert list(frame["fitted"]) == [True, False, False, False]


def test_bad_input_is_status_2_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["validate", "--curve", "no-such", "--out", str(out)]) == 2
    assert "no shipped curve of that name" in capsys.readouterr().err
    path = write(tmp_path, workload="title = 3\n")
    assert main(["validate", "--curve", str(path), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "workload.toml" in error
    assert "Traceback" not in error
    assert not out.exists()


DEADLOCK = """
[machine]
cpus = 4
[[group]]
name = "a"
lwps = 4
iterations = 20
[[group.syscalls]]
kind = "map_unmap"
"""
STOPS = """
title = "turned off at some time"
figure = "none"
source = "this test"
x = "us"
quantity = "overhead_percent"
scenario = "deadlock.toml"
[run]
profile = "svs-netbsd8"
costs = "haswell"
[vary]
"disable_svs_at" = "{x} us"
[[point]]
x = 117
published = 5
[[point]]
x = 3000000
published = 6
"""


@pytest.fixture
def two_curves(tmp_path: Path) -> list[str]:
    """The words to validate the invented curve and one whose first point is the deadlock of disabling SVS."""
    (tmp_path / "deadlock.toml").write_text(DEADLOCK)
    (tmp_path / "stops.toml").write_text(STOPS)
    return ["validate", "--curve", str(tmp_path / "stops.toml"), "--curve", str(write(tmp_path))]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_other_points_go_on_past_one_that_fails(
    tmp_path: Path, two_curves: list[str], capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    assert main([*two_curves, "--jobs", jobs, "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("svs-sim: point failed: stops at 117: no LWP has got on since ")
    assert shown.err.count("\n") == 1
    assert ["117", "5", "failed"] in [line.split() for line in shown.out.splitlines()]
    content = json.loads((tmp_path / "out" / "validation.json").read_text())
    assert [(row["curve"], row["x"]) for row in content["points"]] == [
        ("stops", 3000000), ("invented", 1), ("invented", 2), ("invented", 5)
    ]  # fmt: skip
    assert [(row["curve"], row["x"], row["bug"]) for row in content["failed"]] == [("stops", 117, False)]
    assert content["summary"]["failed_points"] == 1


def test_a_point_at_which_the_model_breaks_is_status_70(
    two_curves: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(scenario: Scenario, conditions: Conditions, changed: dict[str, int]) -> PairedResult:
        if scenario.cpus == 4:
            raise ZeroDivisionError("a bug")
        return simulated(scenario, conditions, changed)

    monkeypatch.setattr(sys.modules[simulated.__module__], "simulated", broken)
    assert main([*two_curves, "--quiet"]) == 70
    err = capsys.readouterr().err
    assert "point failed: stops at 3000000: ZeroDivisionError: a bug (test_command.py:" in err
    assert err.count("point failed") == 2
    assert "the model contradicts itself" in err


def test_the_list_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--list", "--json"]) == 0
    listed = {row["curve"]: row["points"] for row in json.loads(capsys.readouterr().out)["curves"]}
    assert listed["block-size"] == 18
