"""summary.json and the frames: content, bytes, and what is said of a damaged folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from analysis.results import Result, read_result, summarize, write_result
from analysis.units import percent
from scenarios.assumptions import RULES, rule
from sim.causes import NAMES as CAUSES
from sim.errors import InputError
from sim.timed.schema import FRAMES
from tests.results.pairs import make_pair

ROOT = Path(__file__).parents[2]
WHOLE = [name for name in FRAMES if name != "windows"]  # what a run that is no sample has
DESIGN_KEYS = {
    "scenario", "profile", "baseline", "seed", "cpus", "frequency_hz", "engine", "conserved", "elapsed_cycles",
    "busy_cycles", "overhead_percent", "elapsed_percent", "ledger", "counters", "assumptions",
}  # fmt: skip


def make_summary(extra: int = 250) -> dict[str, Any]:
    return summarize(make_pair(extra), scenario="made-up", seed=7, engine="fast", costs="haswell")


@pytest.fixture
def result(tmp_path: Path) -> Result:
    pair = make_pair(timeline=True)
    write_result(tmp_path, pair, summarize(pair, scenario="made-up", seed=7, engine="fast", costs="haswell"))
    return read_result(tmp_path)


def test_summary_has_the_keys_of_the_design() -> None:
    summary = make_summary()
    assert set(summary) >= DESIGN_KEYS
    assert set(summary) - DESIGN_KEYS == {
        "costs",
        "pcid",
        "baseline_counters",
        "recorded",
        "file",
        "window_cycles",
        "notes",
        "whose",
        "fidelity",
        "repeats",
        "sample",
    }
    assert summary["elapsed_cycles"] == {"baseline": 1000, "profile": 1250}
    assert summary["overhead_percent"] == 25.0
    assert summary["counters"] == {"context_switches": 5, "faults": 1, "interrupts": 0, "syscalls": 2}
    assert summary["assumptions"] == [{"what": "lost_events", "rule": RULES["lost_events"], "count": 3}]


def test_the_ledger_is_sorted_by_what_a_cause_adds_and_idle_is_last() -> None:
    assert [row["cause"] for row in make_summary()["ledger"]] == ["entry/exit CR3", "user work", "idle"]
    assert make_summary()["ledger"][0] == {
        "cause": "entry/exit CR3",
        "count": 4,
        "baseline_count": 4,
        "baseline_cycles": 0,
        "profile_cycles": 250,
    }


def test_percent_is_rounded_and_none_without_a_base() -> None:
    assert percent(3, 4) == 33.333333
    assert percent(0, 4) is None


def test_frames_come_back_with_both_runs_and_their_types(result: Result) -> None:
    assert result.frames() == sorted(WHOLE)
    ledger = result.frame("ledger")
    assert ledger["run"].tolist() == ["baseline", "baseline", "profile", "profile"]
    assert ledger["cycles"].tolist() == [1000, 1000, 1000, 1000]
    assert result.frame("timeline")["run"].tolist() == ["profile"]
    empty = parquet.read_schema(result.path / "switches.parquet")
    assert empty.field("total_cycles").type == pa.int64()


def test_every_cause_and_every_summary_key_is_documented() -> None:
    text = (ROOT / "docs" / "results.rst").read_text(encoding="utf-8")
    assert [cause for cause in CAUSES if f"``{cause}``" not in text] == []
    assert [key for key in make_summary() if f"``{key}``" not in text] == []


def test_every_rule_that_is_counted_is_stated() -> None:
    pattern = re.compile(r"""(?:count|tolerate)\("(\w+)"|(?:tolerated|assumptions)\["(\w+)"\]""")
    files = (ROOT / "scenarios" / "recordings").glob("*.py")
    names = {a or b for file in files for a, b in pattern.findall(file.read_text(encoding="utf-8"))}
    assert "addresses_moved" in names
    assert sorted(name for name in names if rule(name) == rule("")) == []


def test_rules_name_unknown_events_too() -> None:
    assert "'sched_stat'" in rule("unknown_event_sched_stat")


def test_same_pair_same_bytes_under_any_hash_seed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from analysis.results import summarize, write_result;"
        "from analysis.overview import plot_overview; from analysis.pictures import save_figure;"
        "from tests.results.pairs import make_pair; p = make_pair(timeline=True);"
        "s = summarize(p, scenario='x', seed=1, engine='fast', costs='haswell');"
        "write_result(Path(sys.argv[1]), p, s); save_figure(plot_overview(s), Path(sys.argv[1]) / 'chart')"
    )
    folders = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", program, str(folder)], check=True, env=env, cwd=ROOT)
        folders.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert sorted(folders[0]) == sorted(["chart.png", "chart.svg", "summary.json", *(f"{n}.parquet" for n in WHOLE)])
    assert folders[0] == folders[1]


def test_what_is_missing_is_named_with_the_closest(result: Result, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame 'ledgr'; there are calls, counters, .*did you mean 'ledger'"):
        result.frame("ledgr")
    with pytest.raises(InputError, match="no column 'cylces'.*'cycles'"):
        result.frame("ledger", ["cylces"])
    with pytest.raises(InputError, match="there is no folder"):
        read_result(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is a file"):
        read_result(tmp_path / "summary.json")


def test_a_known_frame_without_one_of_its_columns(result: Result) -> None:
    file = result.path / "locks.parquet"
    parquet.write_table(parquet.read_table(file).drop_columns(["hold_cycles"]), file)
    with pytest.raises(InputError, match="no column 'hold_cycles'"):
        result.frame("locks")


@pytest.mark.parametrize("name", ["ledger.parquet", "summary.json"])
@pytest.mark.parametrize("content", [b"", b"PAR1\x00nonsense", b"\xff\xfe"])
def test_damaged_files(result: Result, name: str, content: bytes) -> None:
    (result.path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}' is damaged"):
        read_result(result.path).frame("ledger")


def test_summary_of_something_else(result: Result) -> None:
    file = result.path / "summary.json"
    summary = json.loads(file.read_text(encoding="utf-8"))
    del summary["ledger"]
    file.write_text(json.dumps(summary), encoding="utf-8")
    with pytest.raises(InputError, match="has no key 'ledger'"):
        read_result(result.path)
    for key, kind in (("sweep", "sweep"), ("results", "check")):
        file.write_text(json.dumps({key: []}), encoding="utf-8")
        with pytest.raises(InputError, match=f"is the result of a {kind}; give the folder of a run"):
            read_result(result.path)
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="one JSON object"):
        read_result(result.path)
    file.unlink()
    with pytest.raises(InputError, match="holds no result"):
        read_result(result.path)
