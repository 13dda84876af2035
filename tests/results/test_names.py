"""Names that a terminal would obey, or that turn the direction, are shown escaped wherever a result shows them."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from sim.cli import main
from sim.inputs.shown import escaped
from tests.recordings.traces import call, ftrace, switch

ODD = ("a\x1b[2Jb\x01", "x\u202ey<&>")
SHOWN = ("a\\x1b[2Jb\\x01", "x\\u202ey<&>")
BEHAVIOUR = """
title = "title\\u001b[2J\\u202e<b>"
name = "name\\u001b\\u0007<i>"
[[group]]
name = "group\\u001b[1m<&"
iterations = 20
[[group.syscalls]]
name = "call\\u0001\\u202e<&"
kind = "map_unmap"
"""
CURVE = """
title = "curve\\u001b[2J<b>"
figure = "F\\u0007"
source = "source\\u202e"
x = "x\\u0001"
quantity = "overhead_percent"
scenario = "mine.toml"
[run]
profile = "pti"
costs = "haswell"
[[point]]
x = 1
published = 5
"""


@pytest.fixture(params=["recording", "behaviour"])
def result(tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Path:
    """The result of a run of something with such names, and everything that is made of one."""
    if request.param == "recording":
        tasks = [(ODD[0], 10), (ODD[1], 11)]
        events = [e for n in range(9) for e in (*call(40 * n, 40 * n + 5, 0, *tasks[n % 2], 39),
                  switch(40 * n + 6, 0, tasks[n % 2], "R", tasks[1 - n % 2]))]  # fmt: skip
        path = tmp_path / "rec\x1b[31m\u202e.txt"
        path.write_bytes(ftrace(events).encode().replace(b"y<&>", b"y\xff<&>"))
    else:
        path = tmp_path / "mine.toml"
        path.write_text(BEHAVIOUR)
    out = tmp_path / "out"
    words = ["run", str(path), "--out", str(out), "--csv", "--window", "0:1ms", "--repeat", "1"]
    assert main(words) == 0
    for more in (
        ["report"],
        ["export"],
        ["compare", str(out)],
        *(["chart", "--kind", k] for k in ("timeline", "ledger")),
    ):
        assert main([more[0], str(out), *more[1:]]) == 0
    said = capsys.readouterr()
    assert bad(said.out.replace(str(tmp_path), "") + said.err) == set()
    return out


def bad(text: str) -> set[str]:
    """The characters of a text that cannot be printed."""
    return {letter for letter in text if not letter.isprintable() and letter not in "\n\t"}


def test_no_output_holds_what_cannot_be_printed(result: Path) -> None:
    texts = [path for path in result.rglob("*") if path.suffix in (".svg", ".html", ".json", ".csv")]
    assert {path.suffix for path in texts} == {".svg", ".html", ".json", ".csv"}
    for path in texts:
        assert bad(path.read_text("utf-8")) <= {"\xa0", "\r"}, path
    for path in result.rglob("*.svg"):
        ElementTree.parse(path)
    for path in result.rglob("*.json"):
        json.loads(path.read_text())
    for path in result.rglob("*.csv"):
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        assert len({len(row) for row in rows}) == 1, path
    for path in result.rglob("*.parquet"):
        assert bad(pd.read_parquet(path).to_csv()) == set(), path


def test_names_are_escaped_and_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text(ftrace([e for n, name in enumerate(ODD) for e in call(9 * n, 9 * n + 5, 0, name, 10 + n, 39)]))
    for name in (ODD[0], SHOWN[0]):  # as it is, and as it is shown
        assert main(["run", str(path), "--comm", name, "--out", str(tmp_path / "out"), "--quiet"]) == 0
        tasks = pd.read_parquet(tmp_path / "out" / "tasks.parquet")
        assert set(SHOWN) <= set(tasks["comm"])
    assert escaped("caf\u00e9 \u00b5s \u4e2d") == "caf\u00e9 \u00b5s \u4e2d"


def test_a_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.toml").write_text(BEHAVIOUR)
    (tmp_path / "curve.toml").write_text(CURVE)
    assert main(["validate", "--curve", str(tmp_path / "curve.toml"), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert bad(said.out + said.err) == set()
    assert "curve\\x1b[2J<b> (F\\x07; %)" in said.out
    for name in ("validation.json", "validation.csv", "validation.svg"):
        assert bad((tmp_path / "out" / name).read_text("utf-8")) <= {"\r"}
    ElementTree.parse(tmp_path / "out" / "validation.svg")


def test_a_summary_that_was_edited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.toml").write_text(BEHAVIOUR)
    out = tmp_path / "out"
    assert main(["run", str(tmp_path / "mine.toml"), "--out", str(out), "--quiet"]) == 0
    summary = json.loads((out / "summary.json").read_text())
    (out / "summary.json").write_text(json.dumps({**summary, "scenario": "a\x1bb\u202ec"}))
    assert main(["chart", str(out), "--quiet"]) == 0
    assert main(["report", str(out), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert "a\\x1bb\\u202ec" in (out / "report.html").read_text()
    for path in out.rglob("*.svg"):
        if path.parent.name == "charts":
            ElementTree.parse(path)


def test_files_and_folders_whose_names_are_no_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def place(name: bytes) -> str:
        return os.fsdecode(os.fsencode(tmp_path) + b"/" + name)

    scenario, out, grid = place(b"m\xff.toml"), place(b"o\xfe"), place(b"g\xff.toml")
    Path(scenario).write_text('[[group]]\nname = "a"\niterations = 3\n')
    Path(place(b"m.toml")).write_text('[[group]]\nname = "a"\niterations = 3\n')
    Path(grid).write_text('scenarios = ["m.toml"]\nprofiles = ["pti"]\n')
    for words in (
        ["run", scenario, "--out", out, "--csv"],
        ["chart", out, "--kind", "switches"],
        ["report", out],
        ["export", out],
        ["compare", out, out],
        ["inspect", scenario, "--at", "1us", "--out", place(b"i\xfe")],
        ["sweep", grid, "--out", place(b"s\xfe")],
        ["validate", "--curve", "getppid", "--out", place(b"v\xfe")],
        ["check", "must-fault", "--out", place(b"c\xfe")],
    ):
        assert main([*words, "--quiet"]) == 0, capsys.readouterr().err
    assert capsys.readouterr().err == ""
