"""Kinds of events: those printed twice, those that are missing, and those of something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scenarios.recordings import open_recording
from sim.cli import main
from sim.errors import InputError
from sim.kernel.program import Map, Syscall, Unmap, User
from tests.recordings.traces import (
    HZ,
    IDLE,
    US,
    A,
    B,
    Event,
    call,
    drain,
    enter,
    fault,
    fork,
    ftrace,
    leave,
    load,
    switch,
    wakeup,
    write,
)


def calls(operations: list[Any]) -> list[str]:
    """Names of the recorded system calls, not of those made up."""
    return [o.name for o in operations if isinstance(o, Syscall) and not o.made_up]


# --- the same call, printed twice ------------------------------------------------------------------------------------


@pytest.mark.parametrize("named_first", [False, True])
def test_a_call_with_a_raw_event_and_its_own_counts_once(tmp_path: Path, named_first: bool) -> None:
    who = "prog-100 [000] ..... 10.0000"
    pairs = [
        (f"{who}00: sys_enter: NR 0 (3, 7f0000001000, 10, 0, 0, 0)", f"{who}00: sys_read(fd: 3, count: 10)"),
        (f"{who}05: sys_exit: NR 0 = 16", f"{who}05: sys_read -> 0x10"),
        (f"{who}15: sys_enter: NR 0 (3, 7f0000001000, 10, 0, 0, 0)", f"{who}15: sys_read(fd: 3, count: 10)"),
        (f"{who}20: sys_exit: NR 0 = 16", f"{who}20: sys_read -> 0x10"),
        (f"{who}30: sys_enter: NR 231 (0, 0, 0, 0, 0, 0)", f"{who}30: sys_exit_group(error_code: 0)"),
    ]
    text = "\n".join(line for pair in pairs for line in (pair[::-1] if named_first else pair)) + "\n"
    workload = load(tmp_path / "t", text)
    found = drain(workload)["prog"]
    assert calls(found) == ["read", "read", "exit_group"]
    assert [o.cycles for o in found if isinstance(o, User)] == [10 * US, 10 * US]
    assert workload.assumptions["syscall_events_twice"] == 5
    assert "syscall_exit_missing" not in workload.assumptions


def test_one_spelling_alone_is_never_taken_for_its_own_twin(tmp_path: Path) -> None:
    """Two entries in the same spelling are two calls, the first of which lost its exit."""
    workload = load(tmp_path / "t", [enter(0, 0, *A, 0), enter(5, 0, *A, 1), leave(9, 0, *A, 1)])
    assert calls(drain(workload)["alpha"]) == ["read", "write"]


# --- kinds of events that are missing ---------------------------------------------------------------------------------

BOTH_CALLS = call(0, 5, 0, *A, 0)
SWITCHES = [switch(10, 0, A, "S", IDLE), wakeup(20, 0, IDLE, A, flags="dNh2."), switch(21, 0, IDLE, "R", A)]


@pytest.mark.parametrize(
    ("events", "missing"),
    [
        ([*SWITCHES, switch(30, 0, A, "X", IDLE)], ["raw_syscalls", "exceptions"]),
        ([*BOTH_CALLS, fault(6, 0, *A, 0x600000)], ["sched"]),
        ([*BOTH_CALLS, *SWITCHES], ["exceptions"]),
        ([*BOTH_CALLS, fault(6, 0, *A, 0x600000), switch(10, 0, A, "S", IDLE), switch(21, 0, IDLE, "R", A)], ["sched"]),
        ([BOTH_CALLS[0], fault(6, 0, *A, 0x600000), *SWITCHES], ["raw_syscalls"]),
        ([*BOTH_CALLS, fault(6, 0, *A, 0x600000), *SWITCHES], []),
    ],
    ids=["calls-and-faults", "switches", "faults", "wake-ups", "returns", "nothing"],
)
def test_what_is_missing_is_said_with_the_option_that_adds_it(
    tmp_path: Path, events: list[Event], missing: list[str]
) -> None:
    notes = load(tmp_path / "t", events).notes
    assert len(notes) == len(missing)
    for note, group in zip(notes, missing, strict=True):
        assert f"-e {group}; perf: -e '{group}:*'" in note


def test_notes_stand_above_the_table_and_in_the_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "t", ftrace(SWITCHES))
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert printed.index("No system calls were recorded") < printed.index("\nTime")
    assert len(json.loads((tmp_path / "out" / "summary.json").read_text())["notes"]) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prog-1 [000] 10.0: funcgraph_entry: func=0xf depth=0\nprog-1 [000] 10.1: cycles: 5\n",
         "only cycles, funcgraph_entry"),
        ("prog 1 [000] 10.0:  250000 cpu-clock:  ffffffff81234567 x ([kernel.kallsyms])\n", "only cpu-clock"),
        ("prog 1 [000] 10.0:  250000 cpu/event=0x3c/u:  ffffffff81234567 x\n", "only cpu/event=0x3c/u"),
        ("prog 1 [000] 10.0: raw_syscalls:sys_enter: \nprog 1 [000] 10.1: exceptions:page_fault_user: \n", "no fields"),
        ("prog 50 3626.824793: raw_syscalls:sys_exit: NR 59 = 0\n", "no CPU column"),
        ("prog 50 [001] raw_syscalls:sys_exit: NR 59 = 0\n", "no time column"),
        ("[001] 3626.824793: raw_syscalls:sys_exit: NR 59 = 0\n", "no task column"),
        ("prog [001] 3626.824793: raw_syscalls:sys_exit: NR 59 = 0\n", "no column of thread numbers"),
        ("prog 50 [001] 3626.824793: NR 59 = 0\n", "no event column"),
        ("sys_exit: NR 59 = 0\n", "options/context-info"),
        ("a.dat:  x-1 [000] 1.0: sys_enter: NR 0 ()\nb.dat:  x-1 [000] 1.1: sys_enter: NR 0 ()\n",
         ":2: events of several files, 'a.dat' and 'b.dat'"),
        ("prog 50 [-01] 3626.824793: raw_syscalls:sys_exit: NR 59 = 0\n", "no numbers in the CPU column"),
        (ftrace([wakeup(20, 0, IDLE, A), fork(30, 0, A, B)]), "no event says what a task did: only wakeups, forks"),
        (ftrace([enter(5, 0, *A, 0)] * 20), "the stamps do not grow"),
        (ftrace([enter(5 - at % 2, 0, *A, 0) for at in range(20)]), "the stamps do not grow (10 of 20 go back)"),
        ('12:00:00.1 execve("/bin/ls", ["ls"], 0x7ffc /* 30 vars */) = 0\n', "output of strace"),
        ('[pid  12] read(3, <unfinished ...>\n', "output of strace"),
        ("     0.071 ( 0.002 ms): ls/27811 write(fd: 1, buf: 0x7ffe, count: 5) = 5\n", "output of 'perf trace'"),
        ("Attaching 2 probes...\n@reads[ls]: 12\n", "output of bpftrace"),
        (" 0)   0.361 us    |  fput();\n", "set ftrace's current_tracer to nop"),
        ('{"traceEvents":[\n{"ph":"X"}]}\n', "JSON, not ftrace text"),
    ],
    ids=["functions", "samples", "raw-samples", "trace", "cpu", "time", "task", "tid", "event", "context", "files",
         "cpu-unknown", "wake-ups", "one-stamp", "differences", "strace", "strace-f", "perf-trace", "bpftrace",
         "function-graph", "json"],
)  # fmt: skip
def test_what_says_nothing_of_a_task_is_refused_with_the_option_to_change(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        open_recording(write(tmp_path / "t", text), HZ)
    assert message in str(caught.value)


def test_fields_unreadable_in_all_events_of_a_kind_are_said(tmp_path: Path) -> None:
    workload = load(tmp_path / "t", [*BOTH_CALLS, Event(9, 0, *A, "sched_switch", "garbage")])
    assert any("switches are unreadable" in note for note in workload.notes)


# --- other ABIs ------------------------------------------------------------------------------------------------------


def test_call_numbers_of_another_abi_are_noticed(tmp_path: Path) -> None:
    """arm64: 222 is mmap, 215 munmap, 9 is lgetxattr and 11 fgetxattr."""
    events = [*call(0, 10, 0, *A, 222, "0, 10000, 3, 22, ffffffffffffffff, 0", 0xFFFF9F6E0000),
              *call(20, 30, 0, *A, 11, "ffff9f6e1123, ffffc2e01237, 100, 0, 0, 0", 10),
              enter(40, 0, *A, 94)]  # fmt: skip
    workload = load(tmp_path / "t", events)
    assert any("not those of x86-64" in note for note in workload.notes)
    parts = [p for o in drain(workload)["alpha"] if isinstance(o, Syscall) for p in o.body]
    assert not any(isinstance(p, Unmap | Map) for p in parts)


def test_own_numbers_are_no_other_abi(tmp_path: Path) -> None:
    """mmap, brk and mremap return addresses, lseek and shmat long numbers."""
    events = [e for at, nr in enumerate((9, 9, 12, 25, 8, 8, 8, 30)) for e in
              call(20 * at, 20 * at + 5, 0, *A, nr, "0, 1000, 3, 22, 0, 0", 0x7F0000000000)]  # fmt: skip
    assert not any("x86-64" in note for note in load(tmp_path / "t", events).notes)
