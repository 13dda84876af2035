"""Points that are compared with one baseline share its run, and have the numbers that they would have alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sim.experiments.sweep import load_sweep, pairs, point, run_sweep
from tests.sweep.conftest import GRID, POINTS
from tools.equality import beginning

RECORDED = 'scenarios = ["redis.ftrace"]\nprofiles = ["svs-netbsd8", "svs-netbsd9", "pti"]\npcid = [true, false]\n'


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each profile is run."""
    found: Counter[str] = Counter()
    run_once = pairs.run_once

    def counted(workload: Any, profile: str, **options: Any) -> Any:
        found[profile] += 1
        return run_once(workload, profile, **options)

    monkeypatch.setattr(pairs, "run_once", counted)
    return found


def test_a_baseline_is_run_once_for_all_profiles(grid: Path, tmp_path: Path, runs: Counter[str]) -> None:
    """Also where replications lie between them in the grid."""
    both = run_sweep(load_sweep(grid), tmp_path / "out").frame
    assert runs == {"none": POINTS // 2, "svs-netbsd8": POINTS // 2, "svs-netbsd9": POINTS // 2}
    grid.write_text(GRID.replace('"svs-netbsd8", ', ""))
    alone = run_sweep(load_sweep(grid), tmp_path / "alone").frame
    mine = both[both["profile"] == "svs-netbsd9"].reset_index(drop=True)
    assert mine.to_dict("records") == alone.to_dict("records")
    assert not point._kept.pairs._baselines, "nothing is kept for longer than the sweep"


@pytest.mark.parametrize("sample", ["", 'sample = "0.4:3"\n'])
def test_profiles_take_out_of_a_recording_what_their_baseline_did(
    sample: str, tmp_path: Path, runs: Counter[str]
) -> None:
    beginning("redis", 1200, tmp_path)
    path = tmp_path / "recorded.toml"
    path.write_text(RECORDED + sample)
    all_of_them = run_sweep(load_sweep(path), tmp_path / "out").frame
    windows = 3 if sample else 1
    assert runs["none"] == 2 * windows  # with PCID, and without
    assert runs.total() == (2 + len(all_of_them)) * windows
    path.write_text(RECORDED.replace('"svs-netbsd8", "svs-netbsd9", ', "") + sample)
    alone = run_sweep(load_sweep(path), tmp_path / "alone").frame
    mine = all_of_them[all_of_them["profile"] == "pti"].reset_index(drop=True)
    assert mine.to_dict("records") == alone.to_dict("records")
