"""What of a recording is the tracer's time, and what is known of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.fidelity import warning
from scenarios.recordings import open_recording
from scenarios.recordings.header import Header
from scenarios.recordings.lines import LineReader
from scenarios.recordings.survey import make_survey
from sim.cli import main
from tests.recordings.programs import steady, summary_of
from tests.recordings.traces import HZ, A, call, ftrace, load, write


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


@pytest.mark.parametrize(("wrote", "cut"), [(100, False), (101, False), (200, True)])
def test_a_recording_that_has_been_cut_is_not_either(tmp_path: Path, wrote: int, cut: bool) -> None:
    header = f"# svs-sim: events = sys_enter:{wrote - 50},sys_exit:50\n"
    header += "# svs-sim: untraced_user_s = 0.9\n# svs-sim: untraced_system_s = 0.1\n"
    workload = open_recording(write(tmp_path / "t", header + ftrace(steady(50))), HZ)()
    assert any(f"holds 100 of the {wrote} events" in note for note in workload.notes) == cut
    assert ("untraced_cpu_cycles" not in workload.recorded) == cut
