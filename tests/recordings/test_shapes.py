"""The same events in other shapes: what other options print, between other lines, and from the files of the tools."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from scenarios.recordings import open_recording
from sim.errors import InputError
from sim.kernel.program import Sleep, Syscall, Work
from tests.recordings.traces import (
    HZ,
    IDLE,
    US,
    A,
    Event,
    call,
    drain,
    enter,
    ftrace,
    leave,
    load,
    perf_script,
    wakeup,
    write,
)


def kernel_time(operations: list[Any]) -> int:
    return sum(p.cycles for o in operations if isinstance(o, Syscall) for p in o.body if isinstance(p, Work))


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


# --- files of the tools ----------------------------------------------------------------------------------------------


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
