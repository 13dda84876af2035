"""Data files: what ships, and what is refused with a message that helps."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sim.errors import InputError
from sim.experiments.validation import list_curves, load_curve, select_curves, to_csv, validate
from sim.timed import costs
from tests.validation.invented import CURVE, write

RECORDED = Path(__file__).parents[2] / "docs" / "validation.csv"
NEEDED = (
    "S1",
    "S4",
    "S5",
    "4b",
    "D1",
    "B1",
    "B2",
    "B6",
    "B7",
    "P1",
    "P3",
    "P4",
    "T1",
    "T4",
    "T5",
    "T7a",
    "S9",
    "M8",
    "S20",
    "T3",
    "X1",
    "X6",
    "X20",
    "D5",
    "D7",
    "LEBench",
)


def test_every_shipped_curve_reads() -> None:
    curves = select_curves([])
    assert [curve.name for curve in curves] == sorted(list_curves())
    figures = " ".join(curve.figure for curve in curves)
    for figure in NEEDED:
        assert figure in figures
    assert sum(len(curve.points) for curve in curves) == 136
    for curve in curves:
        assert curve.source
        assert all(fit.why for fit in curve.fits)


def test_the_documentation_shows_what_the_command_finds() -> None:
    """Two cheap curves are predicted again; their lines must be those of the table in the documentation."""
    outcome = validate(select_curves(["dragonfly", "flush-invpcid"]))
    recorded = RECORDED.read_text(encoding="utf-8").splitlines()
    for line in to_csv(outcome).splitlines():
        assert line in recorded


def test_the_recorded_errors_keep_the_promise() -> None:
    """What is off by more than 40 % is explained; fitted points have no error."""
    with RECORDED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    curves = {curve.name: curve for curve in select_curves([])}
    assert len(rows) == sum(len(curve.points) for curve in curves.values())
    assert {row["kind"] for row in rows} == {"fitted", "implied", "informative"}
    for row in rows:
        assert (row["kind"] == "fitted") == (row["error"] == "")
        if row["error"] and abs(float(row["error"].split()[0])) > 40:
            why = {str(point.x): point.why for point in curves[row["curve"]].points}
            assert curves[row["curve"]].explained or why[row["at"]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"flush_cycles"', '"flush_cycle"', "quantity: 'flush_cycle' must be one of .*did you mean 'flush_cycles'"),
        ('"workload.toml"', '"work.toml"', "there is no file .*work.toml' and no shipped scenario"),
        ('"none+max-pages-20"', '"non"', "unknown profile 'non'"),
        ('"none+max-pages-20"', '"none+max-pages-0"', "unknown variation 'max-pages-0'"),
        ('"none+max-pages-20"', '"none+text-global"', "'text-global' is for the profile pti"),
        ('"haswell"', '"haswel"', "unknown cost table 'haswel'.*did you mean 'haswell'"),
        ("at = 1\n", "at = 7\n", "fit.0..at: 7 is the x of no point"),
        ("x = 2\n", "x = 1\n", "two points have the same x"),
        ("published = 1250", 'published = "1250"', "point.1..published: '1250' must be a number"),
        ("published = 1250", "published = nan", "published: nan must be a number"),
        ("published = 1250", "published = 0", "equals the reference"),
        ('why = "what', 'per_x = true\nwhy = "what', "an offset is one constant"),
        ('key = "offset"', 'key = "costs.invlgp"', "cost tables have no 'invlgp'.*did you mean 'invlpg'"),
        ('key = "offset"', 'key = "group.0.syscalls.0.pages"', "is set at x = 1 already"),
        ('key = "offset"', 'key = "offset"\npoints = [2]', "the list must hold 1"),
        ("x = 5\n", "x = 5\ncolour = 3\n", "unknown key 'point.2..colour'"),
        ("x = 5\n", "x = nan\n", "x: nan must be a number or a name"),
        ("x = 5\n", "x = 5\nbaseline_ns = 9\n", "x = 5 has a baseline_ns, and no .*each = true"),
        ("x = 5\n", 'x = 5\nset = { "group.0.iterations" = 3 }\n', "is set by 'iterations'"),
        ('at = 1\n', "each = true\n", "an offset is taken from a point's published value"),
        ('key = "offset"\nat = 1', 'key = "group.0.burst"\neach = true', "no point has a baseline_ns"),
        ('key = "offset"\nat = 1', 'key = "costs.invlgp"\neach = true', "did you mean 'invlpg'"),
        ('key = "offset"', 'key = "offset"\npoints = 1', "points: 1 must be a list"),
        ("x = 5\n", "x = true\n", "x: true must be a number or a name"),
        ("iterations = 5", "iterations = 0", "run.iterations: 0 must be 1 or more"),
        ('costs = "haswell"', 'costs = "haswell@2.4"', "the clock '2.4' must be like 2.4GHz"),
        ('costs = "haswell"', 'costs = "haswel@2.4GHz"', "unknown cost table 'haswel'.*did you mean 'haswell'"),
        ("[[point]]", "[[points]]", "no .*point"),
        ('title = "an', 'title = an', "not valid TOML"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in CURVE
    path = write(tmp_path, CURVE.replace(old, new))
    with pytest.raises(InputError, match=message):
        load_curve(path)


def test_a_shipped_scenario_serves_as_workload(tmp_path: Path) -> None:
    path = write(tmp_path, CURVE.replace('"workload.toml"', '"null-syscall"'))
    assert load_curve(path).scenario.name == "null-syscall.toml"


def test_a_cost_table_is_looked_for_beside_the_curve(tmp_path: Path) -> None:
    """From any working directory, as the workload is."""
    shipped = Path(costs.__file__).parent / "costs_data" / "haswell.toml"
    (tmp_path / "mine.toml").write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    curve = load_curve(write(tmp_path, CURVE.replace('"haswell"', '"mine.toml"')))
    assert {point.conditions.costs for point in curve.points} == {str(tmp_path / "mine.toml")}


def test_curves_are_chosen_by_name_or_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert [curve.name for curve in select_curves(["lseek", str(path), "lseek"])] == ["lseek", "invented"]
    with pytest.raises(InputError, match="no shipped curve of that name; did you mean 'lseek'"):
        select_curves(["lsek"])
    (tmp_path / "lseek.toml").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError, match="two curves are named 'lseek'"):
        select_curves(["lseek", str(tmp_path / "lseek.toml")])
