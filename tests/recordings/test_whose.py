"""Whose cost a result is about, what of it is the tracer's, and how well the replay meets the recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.charts import OpenedResult
from analysis.charts.ledger import df_ledger
from analysis.fidelity import switches_warning, warning
from analysis.overview import headline
from analysis.report.of_run import sections
from scenarios.open import open_scenario
from scenarios.recordings import open_recording
from scenarios.recordings.header import Header
from scenarios.recordings.lines import LineReader
from scenarios.recordings.survey import make_survey
from scenarios.recordings.whose import Whose
from sim.cli import main
from sim.errors import InputError
from sim.timed.paired import PairedResult, run_paired
from tests.recordings.traces import (
    HZ,
    IDLE,
    A,
    B,
    C,
    Event,
    call,
    enter,
    fault,
    fork,
    ftrace,
    leave,
    switch,
    wakeup,
    write,
)

from tests.recordings.traces import load  # isort: skip

HEADER = "# svs-sim: comm = alpha\n# svs-sim: pid = 10\n"


def two_programs() -> list[Event]:
    """alpha (10) makes calls and forks beta (11), which executes "prog" and makes some; gamma (12) is company."""
    mine = [e for at in range(0, 400, 20) for e in call(at, at + 5, 0, *A, 0)]
    child = [enter(400, 0, *A, 57), fork(402, 0, A, B), wakeup(403, 0, A, B, new=True), leave(405, 0, *A, 57, 11),
             switch(410, 0, A, "R", B), leave(411, 0, *B, 57),
             Event(420, 0, "prog", 11, "sched_process_exec", "filename=/prog pid=11 old_pid=11"),
             *[e for at in range(430, 500, 10) for e in call(at, at + 4, 0, "prog", 11, 1)],
             switch(500, 0, ("prog", 11), "X", A), *call(510, 515, 0, *A, 3), enter(520, 0, *A, 231)]  # fmt: skip
    other = [e for at in range(0, 500, 10) for e in call(at, at + 2, 1, *C, 39)]
    return sorted([*mine, *child, *other], key=lambda e: e.at)


def pair_of(path: Path, **options: Any) -> PairedResult:
    scenario = open_scenario(path, **options)
    return run_paired(scenario.source, profile="svs-netbsd9", baseline="none", pcid=None, cpus=scenario.cpus,
                      costs=scenario.costs, seed=0)  # fmt: skip


def summary_of(path: Path, *options: str) -> dict[str, Any]:
    out = path.parent / "out"
    assert main(["run", str(path), "--out", str(out), "--quiet", *options]) == 0
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return found


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


# --- the tracer -------------------------------------------------------------------------------------------------------


def steady(calls: int) -> list[Event]:
    """alpha on CPU 0: 5 us in each call, 15 us between them."""
    return [e for at in range(0, 20 * calls, 20) for e in call(at, at + 5, 0, *A, 0)]


def test_the_tracers_time_is_taken_out_once(tmp_path: Path) -> None:
    """1000 calls in 19,985 us, 2000 lines; without the tracer 13,985 us: 3 us an event."""
    header = "# svs-sim: pid = 10\n# svs-sim: untraced_user_s = 0.02,0.006,0.007\n"
    header += "# svs-sim: untraced_system_s = 0.02,0.006985,0.006985\n"
    summary = summary_of(write(tmp_path / "t", header + ftrace(steady(1000))))
    row = next(row for row in summary["fidelity"] if row["what"] == "cpu_cycles")
    hz = summary["frequency_hz"]
    assert (row["recorded"], row["untraced"]) == (19_985 * hz // 10**6, 13_985 * hz // 10**6)
    assert abs(row["difference_percent"]) < 0.5
    taken = {entry["what"]: entry["count"] for entry in summary["assumptions"]}
    assert abs(taken["tracer_cycles"] - 6_000 * hz // 10**6) < 0.001 * 6_000 * hz // 10**6
    assert any("3,000 ns are taken out for each event" in note for note in summary["notes"])
    assert warning(summary) is None  # though it takes 6 ms less than the recording, and nobody knows the elapsed time


def test_what_a_stretch_has_no_room_for_is_carried_on(tmp_path: Path) -> None:
    """7 us an event, and only 5 us in each call: the rest comes off what follows."""
    summary = summary_of(write(tmp_path / "t", ftrace(steady(1000))), "--untraced-cpu", "5.985ms")
    row = next(row for row in summary["fidelity"] if row["what"] == "cpu_cycles")
    assert abs(row["difference_percent"]) < 1.5


@pytest.mark.parametrize(
    ("untraced", "said"),
    [
        ("8ms", "5,000 ns are taken out for each event, which is all that there is between lines where"),
        ("23ms", "Its times are made 5 % longer"),
        ("22ms", "with it: nothing is taken out"),
        ("26ms", "Its times are made 18 % longer. A surer base: record again, with --untraced 3"),
        ("1s", "nothing was taken out"),
    ],
)
def test_what_the_tracer_cannot_have_taken(tmp_path: Path, untraced: str, said: str) -> None:
    """22 ms, most of the 2400 lines 10 us apart, some 5: what runs differ by is no matter of events."""
    dense = [e for at in range(20_000, 22_000, 10) for e in call(at, at + 5, 0, *A, 0)]
    summary = summary_of(write(tmp_path / "t", ftrace([*steady(1000), *dense])), "--untraced-cpu", untraced)
    row = next(row for row in summary["fidelity"] if row["what"] == "cpu_cycles")
    if untraced != "1s":
        assert abs(row["difference_percent"]) < 3
    assert any(said in note for note in summary["notes"]), summary["notes"]


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


def test_without_that_knowledge_there_are_two_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "t", ftrace(steady(100)))
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "A system call took 5,000 ns as recorded, the tracer's time included" in printed
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    least = float(printed.split("overhead lies between ")[1].split(" %")[0])
    most = float(printed.split(" % and ")[1].split(" %")[0])
    assert least == round(summary["overhead_percent"], 1)
    assert 1.9 * least < most < 2.1 * least  # of 20 us a call, 5 were in it, and it has two lines


def test_calls_shorter_than_the_stamps_can_tell(tmp_path: Path) -> None:
    """Of ten calls of 300 ns, three seem to take a microsecond and the others none; a long one counts as those."""
    events = [e for at in range(0, 4000, 20) for e in call(at, at + (at % 200 >= 140), 0, *A, 0)]
    workload = load(tmp_path / "t", [*events, *call(5000, 9000, 0, *A, 0)])
    assert workload.recorded["call_cycles"] == (60 + 1) * 1000 // 201


def test_unknown_and_broken_comments_of_the_recorder_are_kept(tmp_path: Path) -> None:
    text = "# svs-sim: pid = many\n# svs-sim: untraced_user_s = a,b\n# svs-sim: colour = blue = green\n" + ftrace(
        steady(1)
    )
    path = write(tmp_path / "t", text)
    reader = LineReader(path)
    assert len(list(reader)) == 2
    assert reader.header == {"pid": "many", "untraced_user_s": "a,b", "colour": "blue = green"}
    header = make_survey(path).header
    assert (header.pid, header.untraced_cpu_s) == (None, None)


def test_an_interrupted_run_is_not_compared_with_whole_ones() -> None:
    whole = {f"untraced_{what}_s": "0.5" for what in ("elapsed", "user", "system")}
    assert (Header(whole).untraced_cpu_s, Header(whole).untraced_elapsed_s) == (1.0, 0.5)
    cut = Header({**whole, "interrupted": "yes"})
    assert (cut.untraced_cpu_s, cut.untraced_elapsed_s) == (None, None)


def test_what_the_command_took_says_nothing_of_others(tmp_path: Path) -> None:
    header = HEADER + "# svs-sim: untraced_user_s = 0.0002\n# svs-sim: untraced_system_s = 0.0001\n"
    path = write(tmp_path / "t", header + ftrace(two_programs()))
    for whose, known in ((Whose(), True), (Whose(pid=10), True), (Whose(pid=11), False), (Whose(comm="alpha"), False)):
        workload = open_recording(path, HZ, whose=whose)()
        assert ("untraced_cpu_cycles" in workload.recorded) == known


@pytest.mark.parametrize(("wrote", "cut"), [(100, False), (101, False), (200, True)])
def test_a_recording_that_has_been_cut_is_not_either(tmp_path: Path, wrote: int, cut: bool) -> None:
    header = f"# svs-sim: events = sys_enter:{wrote - 50},sys_exit:50\n"
    header += "# svs-sim: untraced_user_s = 0.9\n# svs-sim: untraced_system_s = 0.1\n"
    workload = open_recording(write(tmp_path / "t", header + ftrace(steady(50))), HZ)()
    assert any(f"holds 100 of the {wrote} events" in note for note in workload.notes) == cut
    assert ("untraced_cpu_cycles" not in workload.recorded) == cut


# --- fidelity ---------------------------------------------------------------------------------------------------------


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


def test_switches_and_calls_are_counted_by_whose_they_are(tmp_path: Path) -> None:
    """Of the four switches of the recording, two to or from alpha, and two to or from beta or prog."""
    path = write(tmp_path / "t", ftrace(two_programs()))
    for options, calls, switches in ((["--pid", "10"], 30, 4), (["--comm", "prog"], 7, 1), (["--pid", "12"], 50, 0)):
        summary = summary_of(path, *options)
        assert (summary["recorded"]["chosen_syscalls"], summary["recorded"]["chosen_switches"]) == (calls, switches)
    assert summary_of(path, "--pid", "10")["whose"]["switches"]["baseline"] > 0


def test_a_sleeper_of_the_beginning_is_woken_from_outside(tmp_path: Path) -> None:
    """Its timer is armed before its LWP has run at all."""
    events = [*steady(10), wakeup(100, 1, IDLE, B, flags="dNh2.", target=1), switch(105, 1, IDLE, "R", B),
              *call(110, 115, 1, *B, 39)]  # fmt: skip
    pair = pair_of(write(tmp_path / "t", ftrace(sorted(events, key=lambda e: e.at))))
    assert pair.baseline.counters["syscalls"] == 11


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
