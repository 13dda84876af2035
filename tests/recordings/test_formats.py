"""The same events, printed by each tool in each variant, become the same operations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios.recordings import fields
from scenarios.recordings.lines import LineReader
from tests.recordings.traces import (
    IDLE,
    Event,
    call,
    drain,
    enter,
    fault,
    ftrace,
    leave,
    load,
    perf_script,
    switch,
    trace_cmd,
    wakeup,
    write,
)

A, B = ("alpha", 10), ("beta gamma", 11)
EVENTS = [
    *call(0, 10, 0, *A, 0),
    fault(20, 0, *A, 0x600000),
    *call(30, 50, 0, *A, 9, "0, 4000, 3, 22, ffffffff, 0", 0x7F0000000000),
    switch(60, 0, A, "S", IDLE),
    enter(70, 1, *B, 1),
    wakeup(90, 1, B, A),
    leave(95, 1, *B, 1),
    switch(100, 0, IDLE, "R", A),
    *call(110, 120, 0, *A, 3),
]


def plain(path: Path, text: str) -> object:
    """What a text means, without what only one of the tools can tell."""
    workload = load(path, text)
    return drain(workload), dict(workload.recorded)


@pytest.mark.parametrize(
    "text",
    [
        ftrace(EVENTS, tgids=False),
        ftrace(EVENTS, flags=False),
        ftrace(EVENTS, flags=False, tgids=False),
        trace_cmd(EVENTS),
        perf_script(EVENTS),
        perf_script(EVENTS).replace(": raw_", ":          1 raw_"),
        perf_script(EVENTS).replace("address=0x600000", "address=0x600000s"),
        ftrace(EVENTS).replace("\n", "\r\n"),
        "\ufeff" + ftrace(EVENTS),
        ftrace(EVENTS).replace("# tracer: nop\n", ""),
        "version = 7\nCPU 0 is empty\n" + trace_cmd(EVENTS),
        ftrace(EVENTS[:4]) + "##### CPU 1 buffer started ####\n" + ftrace(EVENTS[4:]),
    ],
    ids=[
        "no-tgid",
        "no-flags",
        "bare",
        "trace-cmd",
        "perf",
        "period",
        "address-s",
        "crlf",
        "bom",
        "no-header",
        "headers",
        "buffer-mark",
    ],
)
def test_every_spelling_means_the_same(tmp_path: Path, text: str) -> None:
    assert plain(tmp_path / "other", text) == plain(tmp_path / "first", ftrace(EVENTS))


def test_numbered_lines_are_those_of_one_file(tmp_path: Path) -> None:
    lines = trace_cmd(EVENTS).splitlines()[1:]
    text = "".join(f"{number}:{line}\n" for number, line in enumerate(lines, 1))
    assert len(list(LineReader(write(tmp_path / "t", text)))) == len(EVENTS)


def test_a_name_like_a_field_of_its_event(tmp_path: Path) -> None:
    (line,) = LineReader(write(tmp_path / "t", ftrace([wakeup(5, 0, ("alpha", 10), ("a pid=7 b", 12), target=3)])))
    assert fields.wakee(line) == (12, "a pid=7 b", 3)


def test_gzip_is_told_by_its_bytes(tmp_path: Path) -> None:
    zipped = write(tmp_path / "a.gz", ftrace(EVENTS))
    zipped.rename(tmp_path / "renamed.txt")
    assert [line.time for line in LineReader(tmp_path / "renamed.txt")] == [
        100_000_000_000 + e.at * 1000 for e in EVENTS
    ]


def test_fields_of_a_line(tmp_path: Path) -> None:
    event = Event(5, 1, "a-b c", 77, "sched_wakeup", "comm=x pid=3 prio=1 target_cpu=001", "dNh2.", 70)
    (line,) = LineReader(write(tmp_path / "t", ftrace([event])))
    assert line[1:] == ("a-b c", 77, 70, 1, 100_000_005_000, "dNh2.", "sched_wakeup", event.fields)


def test_single_system_call_events(tmp_path: Path) -> None:
    """Events of one call each, as ftrace prints them: ``sys_munmap(addr: 600000, len: 1000)`` and ``-> 0x0``."""
    who = "alpha-10 [000] ..... "
    text = (
        f"{who}100.000000: sys_munmap(addr: 600000, len: 1000)\n{who}100.000010: sys_munmap -> 0x0\n"
        f"{who}100.000020: sys_enter_munmap: addr: 0x00600000, len: 0x00001000\n{who}100.000030: sys_exit_munmap: 0x0\n"
    )
    first, between, second = drain(load(tmp_path / "t", text))["alpha"]
    assert first == second
    assert between.cycles == 10_000
    assert [type(part).__name__ for part in first.body] == ["Work", "Unmap"]


def test_times_of_nine_and_six_digits(tmp_path: Path) -> None:
    text = "a-1 [000] 1.000000001: sys_enter: NR 0 ()\na-1 [000] 1.000002: sys_exit: NR 0 = 0\n"
    assert [line.time for line in LineReader(write(tmp_path / "t", text))] == [1_000_000_001, 1_000_002_000]


def test_older_spellings_of_scheduler_events(tmp_path: Path) -> None:
    """As perf script prints them: names, pids and priorities, without field names."""
    old = (
        "alpha    10 [000] 100.000000:  sched:sched_switch: alpha:10 [120] S ==> swapper/0:0 [120]\n"
        "beta     11 [001] 100.000010:  raw_syscalls:sys_enter: NR 1 (1, 0, 0, 0, 0, 0)\n"
        "beta     11 [001] 100.000020:  sched:sched_wakeup: alpha:10 [120] success=1 CPU:000\n"
        "swapper   0 [000] 100.000030:  sched:sched_switch: swapper/0:0 [120] R ==> alpha:10 [120]\n"
        "beta     11 [001] 100.000040:  raw_syscalls:sys_exit: NR 1 = 1\n"
        "alpha    10 [000] 100.000050:  raw_syscalls:sys_enter: NR 0 (0, 0, 0, 0, 0, 0)\n"
        "alpha    10 [000] 100.000060:  raw_syscalls:sys_exit: NR 0 = 0\n"
    )
    events = [
        switch(0, 0, A, "S", IDLE),
        enter(10, 1, "beta", 11, 1, "1, 0, 0, 0, 0, 0"),
        wakeup(20, 1, ("beta", 11), A),
        switch(30, 0, IDLE, "R", A),
        leave(40, 1, "beta", 11, 1, 1),
        *call(50, 60, 0, *A, 0),
    ]
    assert plain(tmp_path / "old", old) == plain(tmp_path / "new", trace_cmd(events))


def test_what_libtraceevent_leaves_behind_an_address(tmp_path: Path) -> None:
    """Old ones print ``%pf`` as an address and an f; an address that ends in f stays one."""
    who = "alpha 10 [000] 100.000000: exceptions:page_fault_user:"
    text = (
        f"{who} address=0x7f12345678a0f ip=0x401000f error_code=0x6\n"
        f"{who} address=0x60000f ip=0x40100f error_code=0x6\n{who} address=0x7f123456789f ip=0x40100f error_code=0x6\n"
    )
    found = [fields.fault(line) for line in LineReader(write(tmp_path / "t", text))]
    assert found == [(0x7F12345678A0, 6), (0x60000F, 6), (0x7F123456789F, 6)]


def test_a_dead_task_as_older_kernels_print_it(tmp_path: Path) -> None:
    events = [*call(0, 1, 0, *A, 0), switch(5, 0, A, "x", IDLE), *call(9, 10, 1, *B, 0)]
    workload = load(tmp_path / "t", events)
    assert drain(workload)["alpha"][-1].name == "(exit)"
    assert "asleep_at_the_end" not in workload.assumptions


@pytest.mark.parametrize("printed", [trace_cmd, perf_script], ids=["trace-cmd", "perf"])
def test_without_flags_an_interrupt_is_known_by_its_events(tmp_path: Path, printed: Callable[..., str]) -> None:
    """beta, in a call, wakes alpha; a timer that hits beta's next call wakes gamma."""
    gamma = ("gamma", 12)
    events = [
        *call(0, 1, 0, *gamma, 0), switch(2, 0, gamma, "S", A), enter(3, 0, *A, 0), switch(5, 0, A, "S", IDLE),
        enter(10, 1, *B, 1), wakeup(12, 1, B, A), Event(13, 1, *B, "local_timer_entry", "vector=236"),
        wakeup(14, 1, B, gamma, flags="dNh2."), Event(15, 1, *B, "local_timer_exit", "vector=236"),
        leave(20, 1, *B, 1), switch(22, 0, IDLE, "R", A), leave(24, 0, *A, 0), switch(25, 0, A, "R", gamma),
        *call(30, 31, 0, *gamma, 0),
    ]  # fmt: skip
    assert plain(tmp_path / "other", printed(events)) == plain(tmp_path / "first", ftrace(events))


def test_a_name_that_ftrace_has_forgotten_is_taken_from_a_switch(tmp_path: Path) -> None:
    events = [*call(0, 1, 0, "<...>", 10, 0), switch(5, 0, A, "S", IDLE), switch(9, 0, IDLE, "R", A),
              *call(10, 11, 0, *A, 0)]  # fmt: skip
    assert list(drain(load(tmp_path / "t", events))) == ["alpha"]
