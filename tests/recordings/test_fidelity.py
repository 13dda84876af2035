"""How well the replay meets the recording, and what is said where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.fidelity import switches_warning, warning
from sim.cli import main
from tests.recordings.programs import pair_of, steady, summary_of, two_programs
from tests.recordings.traces import IDLE, A, B, call, fault, ftrace, switch, wakeup, write


def test_counts_agree_with_a_plain_count_of_the_lines(tmp_path: Path) -> None:
    events = [*two_programs(), fault(530, 0, *A, 0x600000), fault(540, 0, *A, 0x601000)]
    summary = summary_of(write(tmp_path / "t", ftrace(events)))
    rows = {row["what"]: row for row in summary["fidelity"]}
    for what, name in (("syscalls", "sys_enter"), ("faults", "page_fault_user"), ("forks", "sched_process_fork")):
        assert rows[what]["recorded"] == rows[what]["replayed"] == sum(e.name == name for e in events), what
    assert "made up" in rows["syscalls"]["why"]


def test_a_replay_far_off_is_said_above_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two tasks that ran side by side have to share one CPU."""
    path = write(tmp_path / "t", ftrace(two_programs()))
    assert main(["run", str(path), "--out", str(tmp_path / "out"), "--cpus", "1"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "elapsed time is +" in printed
    assert "it ran on 1 CPU, the recording has 2" in printed


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        ({"elapsed_cycles": 900}, "shorter than a millisecond"),
        ({"chosen_cpu_cycles": 400_000}, "other work kept the machine busy"),
        ({}, "wait for each other"),
        ({"elapsed_cycles": 10**6, "off": -12}, "tasks that slept at its end"),
        ({"chosen_cpu_cycles": 400_000, "off": -12}, "other work kept the machine busy"),
        ({"context_switches": 49}, "1 event of the recording is missing"),
    ],
)
def test_the_likely_reason_of_a_long_replay(recorded: dict[str, int], said: str) -> None:
    summary = {
        "fidelity": [{"what": "elapsed_cycles", "difference_percent": recorded.get("off", 12)}],
        "assumptions": [{"what": "switches_missing", "count": 1}, {"what": "asleep_at_the_end", "count": 1}],
        "cpus": 2,
        "frequency_hz": 10**6,
        "recorded": {
            "cpus": 2, "elapsed_cycles": 10**6, "cpu_cycles": 10**6, "chosen_cpu_cycles": 900_000,
            "context_switches": 1000, **recorded,
        },
    }  # fmt: skip
    assert said in str(warning(summary))


@pytest.mark.parametrize("own", [False, True])
def test_switches_that_the_replay_does_not_make_are_priced(own: bool) -> None:
    def summary(replayed: int) -> dict[str, Any]:
        of = {
            "ledger": [{"cause": "svs_pdir_switch copy", "baseline_cycles": 0, "profile_cycles": 2000}],
            "busy_cycles": {"baseline": 10_000, "profile": 15_000},
        }
        if own:
            whose = of | {"switches": {"baseline": replayed, "profile": 200}}
            return {"whose": whose, "recorded": {"chosen_switches": 300}}
        counters = {"counters": {"context_switches": 200}, "baseline_counters": {"context_switches": replayed}}
        return of | counters | {"recorded": {"context_switches": 300}, "whose": None}

    said = switches_warning(summary(200))
    assert said is not None
    what = "switches to and from its tasks" if own else "context switches"
    assert f"200 {what}, the recording 300: tasks take turns less often there" in said
    assert said.endswith("the overhead would be about 60.0 %.")  # 100 more, 10 cycles each
    assert switches_warning(summary(260)) is None  # 400 of 5000 cycles
    assert "more often" in str(switches_warning(summary(400)))


def test_a_sleeper_of_the_beginning_is_woken_from_outside(tmp_path: Path) -> None:
    """Its timer is armed before its LWP has run at all."""
    events = [*steady(10), wakeup(100, 1, IDLE, B, flags="dNh2.", target=1), switch(105, 1, IDLE, "R", B),
              *call(110, 115, 1, *B, 39)]  # fmt: skip
    pair = pair_of(write(tmp_path / "t", ftrace(sorted(events, key=lambda e: e.at))))
    assert pair.baseline.counters["syscalls"] == 11
