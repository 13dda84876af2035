"""What recordings are like: each kind of oddity, with what is right for it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from scenarios.recordings import open_recording
from sim.cli import main
from sim.errors import InputError
from sim.kernel.program import Block, Interrupt, Map, Sleep, Syscall, Unmap, User, Work
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
    ftrace,
    load,
    perf_script,
    switch,
    write,
)

from tests.recordings.traces import fork, leave, wakeup  # isort: skip


def calls(operations: list[Any]) -> list[str]:
    """Names of the recorded system calls, not of those made up."""
    return [o.name for o in operations if isinstance(o, Syscall) and not o.made_up]


def kernel_time(operations: list[Any]) -> int:
    return sum(p.cycles for o in operations if isinstance(o, Syscall) for p in o.body if isinstance(p, Work))


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


# --- lines ------------------------------------------------------------------------------------------------------------

PLAIN = [*call(0, 5, 0, *A, 1), *call(15, 20, 0, *A, 1)]
FRAMES = (
    "\t          48f1b0 __write (/home/u/prog)\n\t    7f1e2c4951b0 __write+0x10 (/usr/lib/libc.so.6)\n"
    "\t                 inlined_fn (inlined)\n\tffffffff81234567 [unknown] ([kernel.kallsyms])\n"
    "          401c95 _start (/home/u/prog)\n                 inlined (inlined)\n\n"
)
USER_STACK = (
    "  alpha-10 [000] ..... 100.000000: <user stack trace>\n =>  <00007f1e2c4951b0>\n => /lib/libc.so.6[+0x12]\n"
)


def with_frames(text: str) -> str:
    return "".join(line + "\n" + FRAMES for line in text.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        with_frames(perf_script(PLAIN)),
        "perf-exec 0 [000] 0.000000: PERF_RECORD_COMM: perf-exec:10/10\n"
        "alpha 10 [001] 99.9: PERF_RECORD_COMM exec: alpha:10/10\n" + perf_script(PLAIN),
        "".join(f"a.dat: {line}\n" for line in ftrace(PLAIN).splitlines() if line[0] != "#"),
        "".join(f"./a/t.txt:{line}\n" for line in ftrace(PLAIN).splitlines() if line[0] != "#"),
        "".join(f"  guest: {line}\n" for line in ftrace(PLAIN).splitlines() if line[0] != "#"),
        "".join(f"{line}\n{USER_STACK}" for line in ftrace(PLAIN).splitlines()),
        ftrace(PLAIN).replace(": sys_", ": (+5) sys_"),
        "\n".join(line.replace("[000] d..2. ", "0d..2.. ") for line in ftrace(PLAIN, tgids=False).splitlines()) + "\n",
        ftrace(PLAIN).replace("NR 1 (0, 0, 0, 0, 0, 0)", "id=1 args=ARRAY[" + ", ".join(["00"] * 48) + "]").replace(
            "NR 1 =", "id=1 ret="),
    ],
    ids=["frames", "task-events", "file-name", "grep", "guest", "user-stacks", "differences", "latency", "raw-fields"],
)  # fmt: skip
def test_lines_in_other_shapes_mean_the_same(tmp_path: Path, text: str) -> None:
    other, first = load(tmp_path / "other", text), load(tmp_path / "first", ftrace(PLAIN))
    assert drain(other) == drain(first)
    assert other.recorded["elapsed_cycles"] == first.recorded["elapsed_cycles"] == 20 * US
    assert "malformed_lines" not in other.assumptions


def test_the_latency_format_has_stamps_in_microseconds(tmp_path: Path) -> None:
    text = "cyclicte-12    1....1.. 2563us : sys_clock_nanosleep(which_clock: 1, flags: 1)\n" \
           "cyclicte-12    1d..h2.. 2573us!: sys_exit: NR 230 = 0\n"  # fmt: skip
    assert kernel_time(drain(load(tmp_path / "t", text))["cyclicte"]) == 10 * US


@pytest.mark.parametrize("text", [": Hello", "0x00000001: Hello", "4 dTLB-load-misses:  401e35 main", "cycles:ppp: 5"])
def test_events_that_no_tracepoint_has_are_counted_as_unknown(tmp_path: Path, text: str) -> None:
    lines = ftrace(PLAIN).splitlines()
    odd = [f"alpha-10 [000] d... 100.000003: {text}"] * 9
    workload = load(tmp_path / "t", "\n".join([*lines[:5], *odd, *lines[5:]]) + "\n")
    unknown = {name: n for name, n in workload.assumptions.items() if name.startswith("unknown_event_")}
    assert list(unknown.values()) == [9]
    assert "malformed_lines" not in workload.assumptions


@pytest.mark.parametrize(("state", "kind"), [("1", Sleep), ("2", Sleep), ("0x81", Sleep), ("0", None), ("256", None)])
def test_states_printed_as_numbers(tmp_path: Path, state: str, kind: type | None) -> None:
    raw = "prev_comm={} prev_pid={} prev_prio=120 prev_state={} next_comm={} next_pid={} next_prio=120".format
    events = [enter(0, 0, *A, 0), Event(5, 0, *A, "sched_switch", raw(*A, state, *IDLE)),
              wakeup(25, 0, IDLE, A, flags="dNh2."), Event(26, 0, *IDLE, "sched_switch", raw(*IDLE, "0", *A)),
              leave(40, 0, *A, 0)]  # fmt: skip
    (read,) = [o for o in drain(load(tmp_path / "t", events))["alpha"] if isinstance(o, Syscall)]
    assert [type(part) for part in read.body] == [Work, *([kind] if kind else []), Work]


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_no_time_before_a_tasks_first_sign(tmp_path: Path) -> None:
    """CPU 0's buffer begins a second after CPU 1's, with a task that nobody has seen before."""
    early = ftrace([switch(0, 1, IDLE, "R", B), switch(100, 1, B, "S", IDLE)])
    late = ftrace([*call(1_000_000, 1_000_010, 0, *A, 0), enter(1_000_100, 0, *A, 231)])
    head = early.replace("written: 9/9", "written: 9/104")
    workload = load(tmp_path / "t", head + "##### CPU 0 buffer started ####\n" + late)
    alpha = drain(workload)["alpha"]
    assert [o.cycles for o in alpha if isinstance(o, User)] == [90 * US]
    assert next(spec.start for spec in workload.lwps if spec.name == "alpha") == 1_000_000 * US
    assert workload.assumptions["buffers_started_late"] == 1
    assert any("95 events before the first" in note for note in workload.notes)


def test_kernel_threads_are_told_by_what_they_do(tmp_path: Path) -> None:
    """They sleep outside calls and faults, whatever their names; a user task can't, if calls are recorded."""
    raid, loop, app = ("md0_raid1", 301), ("loop0", 302), ("kworker-like", 400)
    events = [switch(0, 0, IDLE, "R", raid), switch(50, 0, raid, "S", loop), switch(100, 0, loop, "I", app),
              *call(110, 115, 0, *app, 1), enter(120, 0, *app, 35), switch(125, 0, app, "S", IDLE),
              wakeup(300, 0, IDLE, app, flags="dNh2."), switch(301, 0, IDLE, "R", app),
              leave(305, 0, *app, 35)]  # fmt: skip
    lwps = load(tmp_path / "t", events).lwps
    assert {spec.name: spec.system for spec in lwps} == {"md0_raid1": True, "loop0": True, "kworker-like": False}


def test_without_recorded_calls_only_the_idle_sleep_and_names_tell(tmp_path: Path) -> None:
    events = [switch(0, 0, IDLE, "R", A), switch(50, 0, A, "S", B), switch(100, 0, B, "I", ("kworker/0:1", 12)),
              switch(150, 0, ("kworker/0:1", 12), "S", IDLE)]  # fmt: skip
    lwps = load(tmp_path / "t", events).lwps
    assert {spec.name: spec.system for spec in lwps} == {"alpha": False, "beta": True, "kworker/0:1": True}


def test_a_kernel_thread_named_late_is_no_user_task(tmp_path: Path) -> None:
    events = [switch(0, 0, ("<...>", 12), "S", IDLE), switch(100_000, 0, IDLE, "R", ("kworker/0:1", 12))]
    with pytest.raises(InputError, match="no user task"):
        load(tmp_path / "t", events)


def test_a_sleep_from_the_beginning_needs_no_cpu(tmp_path: Path) -> None:
    events = [*call(0, 10, 1, *B, 39), enter(20, 1, *B, 1), wakeup(25, 1, B, A), leave(30, 1, *B, 1),
              switch(31, 0, IDLE, "R", A), *call(40, 41, 0, *A, 39), wakeup(50, 0, A, ("gamma", 12), flags="dNh2."),
              switch(60, 0, A, "X", ("gamma", 12)), *call(70, 71, 0, "gamma", 12, 39)]  # fmt: skip
    workload = load(tmp_path / "t", events)
    asleep = {spec.name: spec.asleep for spec in workload.lwps}
    assert asleep == {"beta": None, "alpha": Block("2/1"), "gamma": Sleep(50 * US)}
    assert all(o.name != "(block)" for o in drain(workload)["alpha"] if isinstance(o, Syscall))


def test_calls_that_nobody_made_are_counted_apart(tmp_path: Path) -> None:
    """A task that sleeps outside a call, and the ends that the recording does not show."""
    events = [*call(0, 5, 0, *A, 39), fault(6, 0, *A, 0x600000), switch(10, 0, A, "D", IDLE),
              wakeup(20, 0, IDLE, A, flags="dNh2."), switch(21, 0, IDLE, "R", A), *call(30, 31, 0, *A, 39)]  # fmt: skip
    path = write(tmp_path / "t", ftrace(events))
    assert main(["run", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    counters = json.loads((tmp_path / "out" / "summary.json").read_text())["counters"]
    assert (counters["syscalls"], counters["made-up calls"]) == (2, 2)


# --- time -------------------------------------------------------------------------------------------------------------


def test_in_a_gap_of_minutes_nobody_has_worked(tmp_path: Path) -> None:
    again = [*call(3_000_000_000, 3_000_000_005, 0, *A, 39)]
    workload = load(tmp_path / "t", [*call(0, 5, 0, *A, 39), *again])
    alpha = drain(workload)["alpha"]
    assert [o for o in alpha if isinstance(o, User)] == []
    assert workload.recorded["elapsed_cycles"] == 10 * US
    assert any("For 2,999 s nothing was recorded" in note for note in workload.notes)


def test_an_interrupt_that_has_begun_before_a_gap_has_not_lasted_all_that_time(tmp_path: Path) -> None:
    """A device's handler of a day would keep the clock running and nobody getting on."""
    device = [Event(10, 0, *A, "irq_handler_entry", "irq=9 name=d", "d.h1."),
              Event(86_400_000_000, 0, *A, "irq_handler_exit", "irq=9 ret=handled", "d.h1.")]  # fmt: skip
    again = [*call(86_400_000_010, 86_400_000_015, 0, *A, 39)]
    alpha = drain(load(tmp_path / "t", [*call(0, 5, 0, *A, 39), *device, *again]))["alpha"]
    assert [o for o in alpha if isinstance(o, Interrupt)] == []


def test_a_timer_interrupt_longer_than_a_millisecond_is_cut(tmp_path: Path) -> None:
    timer = [Event(10, 0, *A, "local_timer_entry", "vector=236", "d.h1."),
             Event(20_010, 0, *A, "local_timer_exit", "vector=236", "d.h1.")]  # fmt: skip
    workload = load(tmp_path / "t", [enter(0, 0, *A, 0), *timer, leave(20_100, 0, *A, 0)])
    assert workload.timer_work == 1_000 * US
    assert workload.assumptions["timer_interrupts_cut"] == 1


# --- other ABIs, other files ------------------------------------------------------------------------------------------


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


def tool(folder: Path, name: str, script: str) -> None:
    """Put a command of that name first on the path."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("magic", "name", "options"),
    [(b"PERFILE2", "perf", "script --ns"), (b"\x17\x08Dtracing6\0", "trace-cmd", "report -q -t")],
)
def test_files_of_the_tools_are_printed_by_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, magic: bytes, name: str, options: str
) -> None:
    data = tmp_path / "its.data"
    data.write_bytes(magic + bytes(99))
    monkeypatch.setenv("PATH", str(tmp_path / "absent"))
    with pytest.raises(InputError, match=f"{name} is not installed: print it with '{name} {options}"):
        open_recording(data, HZ)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    tool(tmp_path, name, "echo its version is too new >&2; exit 1")
    with pytest.raises(InputError, match=f"which {name} cannot print: its version is too new"):
        open_recording(data, HZ)
    text = write(tmp_path / "text", ftrace(PLAIN))
    tool(tmp_path, name, f'test "${{1}} ${{2}}" = "{" ".join(options.split()[:2])}" && cat {text}')
    assert drain(open_recording(data, HZ)()) == drain(load(tmp_path / "t", PLAIN))
    tool(tmp_path, name, f"cat {text}; echo more >> {data}")
    with pytest.raises(InputError, match=r"its\.data: it changed while it was read"):
        open_recording(data, HZ)
