"""Two results side by side, and where results say that they are from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from pyarrow import parquet

from scenarios.catalogue import resolve
from sim.cli import main
from sim.cli._parser import kept_words
from tests.charts.folders import make_check


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("runs")
    for name, words in {"a": [], "b": ["--profile", "pti"], "c": ["--costs", "haswell"]}.items():
        assert main(["run", "null-syscall", *words, "--out", str(base / name), "--quiet"]) == 0
    return {path.name: path for path in base.iterdir()}


def compared(capsys: pytest.CaptureFixture[str], *paths: Path) -> dict[str, object]:
    assert main(["compare", *map(str, paths), "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_a_result_says_where_it_is_from(runs: dict[str, Path]) -> None:
    summary = json.loads((runs["c"] / "summary.json").read_text())
    assert summary["command"] == "svs-sim run null-syscall --costs haswell"
    assert summary["version"].startswith("0.1.0 (code ")
    scenario = hashlib.sha256(resolve("null-syscall").read_bytes()).hexdigest()
    assert {"kind": "scenario", "name": "null-syscall.toml", "sha256": scenario} in summary["inputs"]
    assert [entry["kind"] for entry in summary["inputs"]] == ["costs", "scenario"]
    for file in runs["c"].glob("*.parquet"):
        carried = json.loads(parquet.read_metadata(file).metadata[b"svs-sim"])
        assert carried == {key: summary[key] for key in ("version", "command", "inputs")}, file.name


def test_the_command_line_is_kept_without_places_and_what_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "my file.txt"
    file.touch()
    words = ["run", str(file), "--out", "/some/where", "--seed", "3", "--quiet", "--jobs=4", "--json", "--costs=a/b"]
    assert kept_words(words) == "svs-sim run 'my file.txt' --seed 3 --costs=a/b"


def test_a_result_equals_itself(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = compared(capsys, runs["a"], runs["a"] / "summary.json")
    assert (found["set_up"], found["causes"], found["counters"]) == ([], [], [])
    assert main(["compare", str(runs["a"]), str(runs["a"])]) == 0
    shown = capsys.readouterr().out
    assert "Set-up: the same" in shown
    assert "Causes: all the same" in shown


def test_differences_add_up_to_the_answers(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(json.dumps(compared(capsys, runs["a"], runs["b"])))
    assert [row["what"] for row in found["set_up"]] == ["profile", "command"]
    assert found["set_up"][0] == {"what": "profile", "a": "svs-netbsd9", "b": "pti"}
    total = sum(row["added_percent"]["difference"] for row in found["causes"])
    assert total == pytest.approx(found["answer"]["overhead_percent"]["difference"], abs=1e-5)
    sizes = [abs(row["added_percent"]["difference"]) for row in found["causes"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {"counter": "svs_pmap_sync", "a": 6, "b": 0, "difference": -6} in found["counters"]


def test_another_cost_table_shows_by_name_and_hash(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(json.dumps(compared(capsys, runs["a"], runs["c"])))
    what = {row["what"]: (row["a"], row["b"]) for row in found["set_up"]}
    assert what["costs"] == ("skylake-client", "haswell")
    assert what["costs skylake-client"][1] is None
    assert what["costs haswell"][0] is None
    assert len(what["costs haswell"][1]) == 64


def test_checks_differ_by_verdict_and_by_what_only_one_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    folder = make_check(tmp_path / "check")
    one = json.loads((folder / "summary.json").read_text())
    other = json.loads(json.dumps(one))
    gone = other["results"].pop()
    changed = other["results"][0]
    changed["verdict"] = "incomplete"
    (tmp_path / "other.json").write_text(json.dumps(other))
    found = compared(capsys, folder, tmp_path / "other.json")
    rows = found["differ"]
    assert isinstance(rows, list)
    assert [row["litmus"] for row in rows] == [changed["litmus"], gone["litmus"]]
    assert rows[0]["changed"]["verdict"] == {"a": one["results"][0]["verdict"], "b": "incomplete"}
    assert rows[1]["only_in"] == "a"
    assert main(["compare", str(folder), str(tmp_path / "other.json")]) == 0
    assert "2 differ" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = tmp_path / "check.json"
    check.write_text('{"results": []}')
    odd, text, bare = (tmp_path / name for name in ("odd.json", "text.json", "bare.json"))
    odd.write_text('{"x": 1}')
    text.write_text("no JSON")
    bare.write_text('{"ledger": [], "seed": 1}')
    for path, message in {check: "give two of one kind", odd: "no run or check", text: "no JSON", bare: "damaged",
                          tmp_path / "none": "there is no folder"}.items():  # fmt: skip
        assert main(["compare", str(runs["a"]), str(path)]) == 2
        assert message in capsys.readouterr().err
