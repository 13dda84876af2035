"""Pages of a ring buffer and a tracefs made of plain files, for tests without root."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

PAGE = 4096
SWITCH, ENTER, EXIT, FAULT, FORK, EXEC = 1, 2, 3, 4, 5, 6
_COMMON = "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
FORMATS = {
    "sched/sched_switch": (SWITCH, (
        "char prev_comm[16] 8 16 0", "pid_t prev_pid 24 4 1", "int prev_prio 28 4 1", "long prev_state 32 8 1",
        "char next_comm[16] 40 16 0", "pid_t next_pid 56 4 1", "int next_prio 60 4 1",
    ), '__print_flags(REC->prev_state, "|", { 0x01, "S" }, { 0x02, "D" }, { 0x20, "Z" })'),
    "raw_syscalls/sys_enter": (ENTER, ("long id 8 8 1", "unsigned long args[6] 16 48 0"), ""),
    "raw_syscalls/sys_exit": (EXIT, ("long id 8 8 1", "long ret 16 8 1"), ""),
    "exceptions/page_fault_user": (FAULT, (
        "unsigned long address 8 8 0", "unsigned long ip 16 8 0", "unsigned long error_code 24 8 0"), ""),
    "sched/sched_process_fork": (FORK, (
        "__data_loc char[] parent_comm 8 4 0", "pid_t parent_pid 12 4 1", "__data_loc char[] child_comm 16 4 0",
        "pid_t child_pid 20 4 1"), ""),
    "sched/sched_process_exec": (EXEC, (
        "__data_loc char[] filename 8 4 0", "pid_t pid 12 4 1", "pid_t old_pid 16 4 1"), ""),
}  # fmt: skip
_HEADER_PAGE = (
    "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n"
)


def format_text(event: str) -> str:
    """A ``format`` file in the kernel's layout."""
    number, fields, print_format = FORMATS[event]
    lines = "".join("\tfield:{};\toffset:{};\tsize:{};\tsigned:{};\n".format(*field.rsplit(" ", 3)) for field in fields)
    return f"name: {event.partition('/')[2]}\nID: {number}\nformat:\n{_COMMON}\n{lines}\nprint fmt: {print_format}\n"


def common(kind: int, tid: int, *, flags: int = 0, preempt: int = 0) -> bytes:
    """What every event begins with."""
    return struct.pack("<HBBi", kind, flags, preempt, tid)


def switch(prev: tuple[str, int], state: int, following: tuple[str, int], **marks: int) -> bytes:
    """A sched_switch."""
    return common(SWITCH, prev[1], **marks) + struct.pack(
        "<16siiq16sii", prev[0].encode(), prev[1], 120, state, following[0].encode(), following[1], 120
    )


def enter(tid: int, number: int, *args: int) -> bytes:
    """A sys_enter."""
    return common(ENTER, tid) + struct.pack("<q6Q", number, *args, *[0] * (6 - len(args)))


def leave(tid: int, number: int, value: int) -> bytes:
    """A sys_exit."""
    return common(EXIT, tid) + struct.pack("<qq", number, value)


def page(stamp: int, events: Sequence[tuple[int, bytes]], *, lost: int = 0) -> bytes:
    """A page: each event with the time since the one before."""
    data = b"".join(entry(delta, payload) for delta, payload in events)
    commit = len(data) | (1 << 31 | 1 << 30 if lost else 0)
    count = struct.pack("<Q", lost) if lost else b""
    return (struct.pack("<QQ", stamp, commit) + data + count).ljust(PAGE, b"\0")


def entry(delta: int, payload: bytes) -> bytes:
    """One entry; a long time since the one before takes an entry of its own."""
    extend = b""
    if delta >> 27:
        extend, delta = struct.pack("<II", 30 | (delta & ((1 << 27) - 1)) << 5, delta >> 27), 0
    padded = payload.ljust(-(-len(payload) // 4) * 4, b"\0")
    if len(padded) <= 28 * 4:
        return extend + struct.pack("<I", len(padded) // 4 | delta << 5) + padded
    return extend + struct.pack("<II", delta << 5, len(padded) + 4) + padded


def make_tracefs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tracefs of plain files in which making a folder below ``instances`` makes an instance, as in the kernel."""
    root, template = folder / "tracing", folder / "template"
    for path in (template / "per_cpu/cpu0", template / "options", root / "instances"):
        path.mkdir(parents=True)
    for event in FORMATS:
        (root / "events" / event).mkdir(parents=True)
        (root / "events" / event / "format").write_text(format_text(event))
        (template / "events" / event).mkdir(parents=True)
    (root / "events/header_page").write_text(_HEADER_PAGE)
    (root / "saved_tgids").write_text("")
    (template / "per_cpu/cpu0/trace_pipe_raw").touch()
    (template / "per_cpu/cpu0/stats").write_text("entries: 0\noverrun: 0\ndropped events: 0\n")
    real = os.mkdir

    def mkdir(path: str | Path, *args: int) -> None:
        real(path, *args)
        if Path(path).parent == root / "instances":
            shutil.copytree(template, path, dirs_exist_ok=True)

    real_rmdir = os.rmdir

    def rmdir(path: str | Path, **options: int) -> None:
        if Path(path).parent == root / "instances":
            (folder / "removed").mkdir(exist_ok=True)
            Path(path).rename(folder / "removed" / Path(path).name)  # as it was at the end
        else:
            real_rmdir(path, **options)

    monkeypatch.setattr(os, "mkdir", mkdir)
    monkeypatch.setattr("sim.record.tracefs.os.rmdir", rmdir)
    return root
