"""What decides a point: its values, its files and their options; what has the same key is the same point."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.errors import InputError
from sim.experiments.sweep import load_sweep, run_sweep
from sim.experiments.sweep.point import Job, run_job
from sim.version import version
from tests.sweep.conftest import POINTS

ROOT = Path(__file__).parent.parent.parent


def test_what_decides_a_point_is_its_key(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_sweep(load_sweep(grid), out)
    again = run_sweep(load_sweep(grid), out)
    assert (again.computed, again.cached) == (0, POINTS)
    other = run_sweep(load_sweep(grid, seed=4), out)
    assert (other.computed, other.cached) == (POINTS, 0)


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
