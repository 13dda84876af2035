"""What the parts of the model buy: curves run without each, as the command does it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.cli import main
from sim.experiments.validation import PARTS, effects, load_curve, select_curves, validate
from sim.experiments.validation.parts import without
from tests.validation.invented import write


def changed(name: str, part: str) -> list[tuple[str, str, str, object]]:
    """Profile, baseline, costs and overrides of a shipped curve's points without a part."""
    (curve,) = select_curves([name])
    other = without(curve, part)
    assert other is not None
    return [
        (p.conditions.profile, p.conditions.baseline, p.conditions.costs, p.conditions.overrides) for p in other.points
    ]


def test_each_part_is_taken_out_where_it_is() -> None:
    profile = "pti+no-global"
    assert changed("gregg", "nested")[0] == (
        profile, "none", "skylake-server", {"kernel_pages.text": 5, "group.0.pages_per_burst": 0}
    )  # fmt: skip
    assert changed("gregg", "cache-levels")[0][2] == "skylake-server+nested+flat"
    assert changed("page-fault", "descriptors")[0][2] == "haswell+no-descriptors@2.4GHz"
    assert changed("flush-threads", "call-queues")[0][:2] == (profile, profile)
    assert changed("flush-threads", "own-pages")[0][3] == {"group.0.own_pages": False}
    assert changed("pgbench", "contexts")[0][0] == "pti+no-global+one-context"
    assert changed("haproxy", "direct-map")[0][3] == {"kernel_pages.direct_map": False}


@pytest.mark.parametrize("part", ["nested", "call-queues", "own-pages", "contexts", "direct-map"])
def test_what_has_nothing_of_a_part_is_not_run_again(part: str, tmp_path: Path) -> None:
    assert without(load_curve(write(tmp_path)), part) is None
    assert set(PARTS) >= {part}


def test_a_part_that_changes_nothing_has_no_row(tmp_path: Path) -> None:
    """All of the invented curve's time is INVLPG, which no cache makes longer."""
    assert effects(validate([load_curve(write(tmp_path))]), ["cache-levels"]) == []


def test_the_command_prints_and_writes_effects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["validate", "--curve", "haproxy", "--without", "own-pages", "--without", "nested"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "What parts buy" in capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "validation.json").read_text())
    (row,) = written["effects"]
    assert (row["part"], row["curve"], row["points"]) == ("nested", "haproxy", 1)
    assert row["with"] == pytest.approx(abs(written["points"][1]["error"]))
    assert row["with"] < row["without"]
    constants = (tmp_path / "out" / "constants.csv").read_text().splitlines()
    assert constants[0] == "constant,value,unit,source,sure,chosen on,tables"
    assert "l3,kib 2560,KiB,C3,READ-2,B6,haswell" in constants
    assert (tmp_path / "out" / "effects.csv").read_text().count("\n") == 2
    assert main(["validate", "--without", "nestd"]) == 2
    assert "did you mean 'nested'" in capsys.readouterr().err
