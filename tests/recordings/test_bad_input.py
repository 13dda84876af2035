"""Files that are no recordings, damaged ones, and what a real trace may have: an error with its place, or a count."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from scenarios.recordings import LineReader, open_recording
from sim.cli import main
from sim.errors import InputError
from tests.recordings.traces import Event, call, ftrace, leave, load, write

A = ("alpha", 10)
GOOD = ftrace([e for at in range(0, 400, 10) for e in call(at, at + 5, 0, *A, 39)])
ZIPPED = gzip.compress(GOOD.encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no ftrace events in its 0 lines"),
        (b"# tracer: nop\n#\n", "no ftrace events in its 2 lines"),
        (b"int main(void)\n{\n    return 0;\n}\n" * 5, ":1: not an ftrace recording: 'int main(void)'"),
        (b"a,b,c\n1,2,3\n", "line 1 is not understood: 'a,b,c'"),
        (b"\x7fELF\x02\x01\0\0\0\0\n" * 9, ":1: binary data"),
        (b"\xfd7zXZ\0" + bytes(50), "unpack it first"),
        (gzip.compress(ZIPPED), "gzipped twice"),
        (GOOD.encode("utf-16"), ":1: binary data"),
        (b"x" * 1_000_000, ":1: binary data"),
        ((b"a-1 [000] " * 6000 + b"\n") * 9, ":1: not an ftrace recording"),
        (b"alpha-10 [000] ..... 123456789: sys_enter: NR 0 (0)\n" * 3, ":1: stamps without seconds"),
        ((GOOD + "alpha-10 [000] 2000000.0: sys_enter: NR 0 (0)\n").encode(), ":85: time goes from 100.000395000 s"),
        (b"<idle>-0 [000] d.h1. 1.0: local_timer_entry: vector=236\n", "no user task in its events"),
        (b"kworker/0:1-9 [000] d.h1. 1.0: local_timer_entry: vector=236\n", "no user task in its events"),
        (ZIPPED[: len(ZIPPED) // 2], "the gzip file is truncated or damaged"),
        (ZIPPED[:40] + bytes(20) + ZIPPED[60:], "the gzip file is truncated or damaged"),
        (GOOD.encode()[:1500] + b"\0\0\0" + GOOD.encode()[1500:], "binary data"),
        ((GOOD + "rubbish rubbish\n" * 9).encode(), "9 of 89 lines are not ftrace events"),
        (
            ftrace([*call(5_000_000, 5_000_001, 0, *A, 39), *call(0, 1, 0, *A, 39)]).encode(),
            "time goes back from 105.000001000 s to 100.000000000 s",
        ),
    ],
    ids=["empty", "headers", "source", "csv", "elf", "xz", "gzip-gzip", "utf-16", "one-line",
         "long-lines", "counter", "far", "idle", "kernel", "cut-gzip", "bad-gzip", "zeros", "rubbish", "backwards"],
)  # fmt: skip
def test_what_is_no_recording(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "trace.txt"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        open_recording(path, 10**9)
    assert message in str(caught.value)
    assert "trace.txt" in str(caught.value)


def test_a_file_of_blank_lines_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "blank.txt"
    path.write_bytes(b"\n \r\n" * 1_000_000)
    with pytest.raises(InputError, match=r"blank.txt:10\d+: 1000001 blank lines and 0 events"):
        open_recording(path, 10**9)


def test_what_unpacks_to_far_more_than_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenarios.recordings.source.GIB", 1 << 20)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(GOOD.encode() + b"# comment\n" * 300_000))
    with pytest.raises(InputError, match=r"bomb.gz: it unpacks to more than"):
        open_recording(path, 10**9)


@pytest.mark.parametrize("added", ["half a li", "# whole\n"])
def test_a_recording_that_changes_is_noticed(tmp_path: Path, added: str) -> None:
    path = tmp_path / "trace.txt"
    path.write_text(GOOD)
    reader = iter(LineReader(path))
    next(reader)
    with path.open("a") as file:
        file.write(added)
    with pytest.raises(InputError, match=r"trace.txt: it changed while it was read"):
        list(reader)


@pytest.mark.parametrize("name", ["absent.txt", "folder", "pipe"])
def test_what_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=name):
        open_recording(tmp_path / name, 10**9)


@pytest.mark.parametrize(
    ("text", "count", "times"),
    [
        (GOOD + "alpha-10 (     10) [0", "cut_last_line", 1),
        (GOOD + "rubbish\n", "malformed_lines", 1),
        (GOOD.replace("100.000020: sys_enter", "100.000012: sys_enter"), "clock_went_back", 1),
        (GOOD + "CPU:1 [LOST 12 EVENTS]\n", "lost_events", 12),
        (GOOD + "CPU:1 [EVENTS DROPPED]\n", "lost_events", 1),
        (GOOD + "alpha 10 [001] 100.000500: PERF_RECORD_LOST lost 7\n", "lost_events", 7),
        (GOOD + ftrace([Event(500, 0, *A, "sched_switch", "prev_pid=")]), "unreadable_fields", 1),
        (GOOD.replace("NR 39 = 0", "NR 39 = what", 1), "unreadable_fields", 1),
        (GOOD + ftrace([Event(500, 0, *A, "sys_enter", f"NR {'9' * 5000} (0)")]), "unreadable_fields", 1),
        (GOOD + f"alpha-10 [{'9' * 5000}] 100.000500: sys_enter: NR 0 (0)\n", "malformed_lines", 1),
        (GOOD + ftrace([Event(500, 0, *A, "page_fault_kernel", "address=0x600000 ip=a+0x1 error_code=0x2")]),
         "faults_inside_syscalls", 1),
        (GOOD + ftrace([leave(500, 0, *A, 39), leave(510, 0, *A, 39)]), "syscall_entry_missing", 2),
        (GOOD, "syscall_exit_missing", 0),
        (GOOD + ftrace([Event(500, 0, *A, "block_rq_issue", "8,0 W 4096")]), "unknown_event_block_rq_issue", 1),
        (GOOD + ftrace([Event(500, 0, *A, "page_fault_user", "address=0xffff800000000000 ip=0x1 error_code=0x5")]),
         "faults_outside_user_space", 1),
    ],
    ids=["cut", "malformed", "clock", "lost", "dropped", "perf-lost", "no-pids", "no-value", "no-number", "no-cpu",
         "copying", "no-entry", "whole", "unknown", "kernel-fault"],
)  # fmt: skip
def test_what_a_real_trace_may_have(tmp_path: Path, text: str, count: str, times: int) -> None:
    workload = load(tmp_path / "t", text)
    for spec in workload.lwps:
        for operation in spec.program:
            for _ in getattr(operation, "body", ()):
                pass
    assert workload.assumptions.get(count, 0) == times


def test_an_entry_inside_a_call_ends_the_one_before(tmp_path: Path) -> None:
    lines = GOOD.splitlines(keepends=True)
    first_exit = next(i for i, line in enumerate(lines) if "sys_exit" in line)
    workload = load(tmp_path / "t", "".join(lines[:first_exit] + lines[first_exit + 1 :]))
    names = [o.name for spec in workload.lwps for o in spec.program if hasattr(o, "name") and tuple(o.body) != ()]
    assert len(names) == 40
    assert workload.assumptions["syscall_exit_missing"] == 1


def test_the_command_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "notes.txt", "dear diary\n" * 20)
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "not an ftrace recording" in said
    assert not (tmp_path / "out").exists()


def test_unknown_names_beyond_a_hundred_share_one_count(tmp_path: Path) -> None:
    workload = load(tmp_path / "t", GOOD + ftrace([Event(500 + n, 0, *A, f"odd_{n}") for n in range(150)]))
    unknown = {name: n for name, n in workload.assumptions.items() if name.startswith("unknown_event_")}
    assert (len(unknown), unknown["unknown_event_others"], sum(unknown.values())) == (101, 50, 150)
