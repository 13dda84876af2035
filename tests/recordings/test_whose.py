"""Whose cost a result is about: numbers of those asked for, and of the others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.charts import OpenedResult
from analysis.charts.ledger import df_ledger
from analysis.overview import headline
from analysis.report.of_run import sections
from scenarios.open import open_scenario
from scenarios.recordings import open_recording
from scenarios.recordings.whose import Whose
from sim.cli import main
from sim.errors import InputError
from tests.recordings.programs import HEADER, pair_of, summary_of, two_programs
from tests.recordings.traces import HZ, IDLE, A, C, Event, call, ftrace, switch, write


def test_the_tasks_sum_to_the_ledger(tmp_path: Path) -> None:
    pair = pair_of(write(tmp_path / "t", ftrace(two_programs())))
    for run in (pair.baseline, pair.profile):
        tasks = pd.DataFrame(run.frames["tasks"])
        assert sorted(set(tasks["comm"])) == ["(idle)", "alpha", "beta", "gamma", "prog", "xcall"]
        sums = tasks.groupby("cause")[["count", "cycles"]].sum()
        ledger = {cause: charged for cause, charged in run.ledger.items() if charged[0]}
        assert {
            str(cause): tuple(row) for cause, row in zip(sums.index, sums.to_numpy().tolist(), strict=True)
        } == ledger


def test_calls_are_counted_and_priced_by_command(tmp_path: Path) -> None:
    pair = pair_of(write(tmp_path / "t", ftrace(two_programs())))
    calls = pd.DataFrame(pair.profile.frames["calls"])
    counts = calls.drop_duplicates(["comm", "name"]).set_index(["comm", "name"])["calls"].to_dict()
    assert counts[("alpha", "read")] == 20
    assert counts[("prog", "write")] == 7
    assert counts[("gamma", "getpid")] == 50
    assert counts[("beta", "(exec)")] == 1
    assert set(calls[calls["name"] == "read"]["number"]) == {0}
    crossing = calls[calls["cause"] == "entry/exit CR3"].set_index(["comm", "name"])["count"]
    assert crossing[("gamma", "getpid")] >= 2 * 50


@pytest.mark.parametrize(
    ("options", "label", "chosen"),
    [
        (["--comm", "prog"], "command 'prog'", {"prog"}),
        (["--pid", "10"], "process 10 and its descendants", {"alpha", "beta", "prog"}),
        (["--pid", "12"], "process 12 and its descendants", {"gamma"}),
    ],
)
def test_the_headline_is_about_those_asked_for(
    tmp_path: Path, options: list[str], label: str, chosen: set[str]
) -> None:
    summary = summary_of(write(tmp_path / "t", ftrace(two_programs())), *options)
    whose = summary["whose"]
    assert whose["label"] == label
    tasks = pd.read_parquet(tmp_path / "out" / "tasks.parquet")
    assert set(tasks[tasks["chosen"]]["comm"]) == chosen
    for run in ("baseline", "profile"):
        own = sum(row[f"{run}_cycles"] for row in whose["ledger"])
        assert whose["busy_cycles"][run] == own > 0
        assert own + whose["rest"]["busy_cycles"][run] == summary["busy_cycles"][run]


def test_a_recordings_own_pid_is_who_it_is_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "t", HEADER + ftrace(two_programs()))
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("t, alpha (process 10 and its descendants): svs-netbsd9 takes ")
    assert "other tasks" in printed


def test_a_command_recorded_under_its_own_name_is_named_once(tmp_path: Path) -> None:
    summary = summary_of(write(tmp_path / "alpha.ftrace", HEADER + ftrace(two_programs())))
    assert headline(summary).startswith("alpha (process 10 and its descendants): ")


def test_whoever_is_not_there_cannot_be_asked_about(tmp_path: Path) -> None:
    path = write(tmp_path / "t", ftrace(two_programs()))
    for whose, message in ((Whose(comm="none"), "no task is called 'none'"), (Whose(pid=99), "no process 99")):
        with pytest.raises(InputError, match=message):
            open_scenario(path, whose=whose)
    with pytest.raises(InputError, match="are for recordings"):
        open_scenario("null-syscall", whose=Whose(comm="none"))


def test_elapsed_time_is_that_of_those_asked_for(tmp_path: Path) -> None:
    """alpha is there from the beginning to 530 us, prog from 420 to 500; gamma goes on to 10 ms."""
    events = [*two_programs(), Event(530, 0, *A, "sched_process_exit", "comm=alpha pid=10 prio=120"),
              switch(530, 0, A, "X", IDLE), *call(9_990, 10_000, 1, *C, 0)]  # fmt: skip
    path = write(tmp_path / "t", ftrace(events))
    for options, us in ((["--pid", "10"], 530), (["--comm", "prog"], 80), (["--comm", "gamma"], 10_000)):
        summary = summary_of(path, *options)
        row = next(row for row in summary["fidelity"] if row["what"] == "elapsed_cycles")
        assert row["recorded"] == us * summary["frequency_hz"] // 10**6
        assert row["replayed"] == summary["whose"]["elapsed_cycles"]["baseline"]
        assert abs(row["difference_percent"]) < 20, options
        assert summary["elapsed_cycles"]["baseline"] > 9_990 * summary["frequency_hz"] // 10**6
        assert summary["whose"]["elapsed_percent"] >= 0


def test_what_the_command_took_says_nothing_of_others(tmp_path: Path) -> None:
    header = HEADER + "# svs-sim: untraced_user_s = 0.0002\n# svs-sim: untraced_system_s = 0.0001\n"
    path = write(tmp_path / "t", header + ftrace(two_programs()))
    for whose, known in ((Whose(), True), (Whose(pid=10), True), (Whose(pid=11), False), (Whose(comm="alpha"), False)):
        workload = open_recording(path, HZ, whose=whose)()
        assert ("untraced_cpu_cycles" in workload.recorded) == known


def test_switches_and_calls_are_counted_by_whose_they_are(tmp_path: Path) -> None:
    """Of the four switches of the recording, two to or from alpha, and two to or from beta or prog."""
    path = write(tmp_path / "t", ftrace(two_programs()))
    for options, calls, switches in ((["--pid", "10"], 30, 4), (["--comm", "prog"], 7, 1), (["--pid", "12"], 50, 0)):
        summary = summary_of(path, *options)
        assert (summary["recorded"]["chosen_syscalls"], summary["recorded"]["chosen_switches"]) == (calls, switches)
    assert summary_of(path, "--pid", "10")["whose"]["switches"]["baseline"] > 0


def test_the_report_says_whose_it_is_how_faithful_and_what_to_know(tmp_path: Path) -> None:
    path = write(tmp_path / "t", HEADER + ftrace(two_programs()))
    summary = summary_of(path)
    opened = OpenedResult(tmp_path / "out", "run", summary)
    assert df_ledger(opened)["percent"].sum() == pytest.approx(summary["whose"]["overhead_percent"], abs=1e-5)
    found = {part.name: part.blocks for part in sections(opened)}
    answer = " ".join(str(block) for block in found["headline"])
    assert "alpha (process 10 and its descendants)" in answer
    assert "CPU time of the rest of the machine" in answer
    assert all(note in answer for note in summary["notes"])
    assert "page faults" in str(found["assumptions"])
