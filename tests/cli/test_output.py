"""Tables and help keep every word whole, at any width and in a pipe."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from scenarios.catalogue import list_scenarios
from scenarios.litmus_reader import shipped
from sim.cli import main
from sim.cli._output import console, show, table
from sim.explore.plants import plants
from sim.kernel.designs import PROFILES
from sim.kernel.designs.variations import VARIATIONS
from sim.timed.costs import SHIPPED

WIDTHS = ("10", "33", "80", "200", "")  # of a terminal; none in a pipe


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["scenarios"], [entry.name for entry in list_scenarios()]),
        (["check", "--list"], shipped()),
        (["check", "--list-plants"], [name for plant in plants() for name in (plant.name, plant.litmus)]),
        (["run", "--help"], [*PROFILES, *VARIATIONS, *SHIPPED, "max-pages-N", "START:END"]),
    ],
)
def test_names_are_whole(
    words: list[str], names: list[str], width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert main(words) == 0
    shown = set(re.split(r"[\s,;]+", capsys.readouterr().out))
    assert [name for name in names if name not in shown] == []


def rows(width: int | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A table of names, numbers and a remark, as it is printed."""
    out: Any = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("COLUMNS", "" if width is None else str(width))
    made = table("", "name", "value", "remark", remarks=1)
    made.add_row("a name of five words", "1,234,567", "says something at length")
    show(console(), made)
    return [line.rstrip() for line in out.getvalue().splitlines()[2:]]


def test_what_does_not_fit_goes_on_in_the_next_line_but_for_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ["a name of five words   1,234,567   says something at length"]
    assert rows(None, monkeypatch) == rows(60, monkeypatch) == whole
    assert rows(50, monkeypatch) == ["a name of five words   1,234,567   says something", " " * 35 + "at length"]
    narrow = rows(5, monkeypatch)
    assert narrow[0] == "a       1,234,567   says"
    assert " ".join(line[:5].strip() for line in narrow) == "a name of five words"


def test_run_prints_no_half_cause(
    capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert main(["run", "null-syscall", "--out", str(tmp_path / "r")]) == 0
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert {"svs_pdir_switch", "svs-netbsd9", "hardware"} <= set(shown.split())
