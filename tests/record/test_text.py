"""Events as lines of ftrace text."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from scenarios.recordings import LineReader
from sim.errors import InputError
from sim.record.events import CALLS, MACHINE, known_events
from sim.record.header import header_lines
from sim.record.layout import printer, read_layout
from sim.record.machine import machine_facts
from sim.record.pages import entries
from sim.record.spool import Entry
from sim.record.text import Lines, Names
from sim.record.tracefs import buffer_kb
from tests.record.ring import EXEC, FAULT, FORK, common, enter, leave, make_tracefs, page, switch


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lines:
    root = make_tracefs(tmp_path, monkeypatch)
    names = Names(tmp_path / "no-proc")
    names.add_processes("7 7\n8 7\n")
    return Lines(known_events(root, MACHINE) | known_events(root, CALLS), names)


def printed(lines: Lines, *events: tuple[int, bytes]) -> list[str]:
    raw = page(5_000_000_000, events)
    return list(lines.print(Entry(time, 0, 3, raw, at, 0) for time, at in entries(raw)))


def test_events_are_printed_as_the_kernel_prints_them(lines: Lines, tmp_path: Path) -> None:
    text = printed(
        lines,
        (1, enter(7, 9, 0xDEAD, 4096)),
        (1, leave(7, 9, -12)),
        (1, common(FAULT, 7) + struct.pack("<QQQ", 0x7F0000001000, 0x401000, 6)),
        (1, switch(("sh", 7), 1, ("cc1", 8))),
        (1, switch(("cc1", 8), 0x100, ("swapper/3", 0))),
        (1, switch(("odd name", 8), 0x20, ("swapper/3", 0))),
    )  # fmt: skip
    assert [line.split(": ", 1)[1].rstrip("\n") for line in text] == [
        "sys_enter: NR 9 (dead, 1000, 0, 0, 0, 0)",
        "sys_exit: NR 9 = -12",
        "page_fault_user: address=0x7f0000001000 ip=0x401000 error_code=0x6",
        "sched_switch: prev_comm=sh prev_pid=7 prev_prio=120 prev_state=S ==> next_comm=cc1 next_pid=8 next_prio=120",
        "sched_switch: prev_comm=cc1 prev_pid=8 prev_prio=120 prev_state=R+ ==> next_comm=swapper/3 next_pid=0 "
        "next_prio=120",
        "sched_switch: prev_comm=odd name prev_pid=8 prev_prio=120 prev_state=Z ==> next_comm=swapper/3 next_pid=0 "
        "next_prio=120",
    ]
    assert text[4].split()[:4] == ["cc1-8", "(", "7)", "[003]"]
    assert "     5.000000005: " in text[4]
    path = tmp_path / "x.ftrace"
    path.write_text("".join(text))
    read = list(LineReader(path))
    assert [(line.tid, line.tgid, line.cpu, line.time) for line in read][3] == (7, 7, 3, 5_000_000_004)
    assert lines.counts == {"sys_enter": 1, "sys_exit": 1, "page_fault_user": 1, "sched_switch": 3}


def test_names_follow_fork_and_exec(lines: Lines) -> None:
    strings = b"make\0sh\0".ljust(8, b"\0")
    fork = common(FORK, 7) + struct.pack("<HHiHHi", 24, 5, 7, 29, 3, 8) + strings
    file = b"/usr/bin/a-very-long-name-of-16\0"
    execution = common(EXEC, 8) + struct.pack("<HHii", 20, len(file), 8, 8) + file
    text = printed(lines, (1, fork), (1, enter(8, 59)), (1, execution), (1, enter(7, 61)))
    assert [line.split("-8 ")[0].strip() for line in text[1:3]] == ["sh", "a-very-long-nam"]
    assert "filename=/usr/bin/a-very-long-name-of-16 pid=8 old_pid=8" in text[2]
    assert "<...>-7" in text[3]  # nobody has said its name yet


def test_the_column_of_marks(lines: Lines) -> None:
    marks = [(0x01, 0x02), (0x09, 0x10), (0x04 | 0x20, 0), (0x10 | 0x80, 0x21), (0x08 | 0x10 | 0x81, 0), (0x48, 0)]
    text = printed(lines, *((1, switch(("a", 1), 0, ("b", 2), flags=f, preempt=p)) for f, p in marks))
    assert [line.split("] ")[1].split()[0] for line in text] == ["d..2.", "d.h.1", ".N...", "b.s12", "D.H..", "..Z.."]


def test_a_line_break_in_a_name_stays_on_the_line(lines: Lines) -> None:
    (line,) = printed(lines, (1, switch(("a\nb", 7), 1, ("c", 8))))
    assert "prev_comm=a?b " in line


def test_an_event_without_a_field_that_is_printed_is_refused() -> None:
    layout = read_layout("name: sys_exit\nID: 3\nformat:\n\tfield:long id;\toffset:8;\tsize:8;\tsigned:1;\n")
    with pytest.raises(InputError, match="sys_exit has no field 'ret'"):
        printer(layout, CALLS["raw_syscalls/sys_exit"], {})


def test_a_kernel_without_system_call_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no event raw_syscalls:sys_enter"):
        known_events(tmp_path, CALLS)


def test_header_lines_stay_lines_and_are_skipped_by_the_reader() -> None:
    assert header_lines({"pid": "7", "command": "sh -c 'a\nb'"}) == [
        "# svs-sim: command = sh -c 'a\\nb'",
        "# svs-sim: pid = 7",
    ]


@pytest.mark.parametrize(
    ("meltdown", "flags", "pti", "pcid"),
    [
        ("Mitigation: PTI\n", "fpu pcid pti", "on", "yes"),
        ("Not affected\n", "fpu", "off", "no"),
        ("Vulnerable\n", "fpu pcid", "off", "yes"),
        (None, "fpu pti", "on", "no"),
        (None, "fpu", "unknown", "no"),
    ],
)
def test_what_is_said_of_the_machine(
    meltdown: str | None, flags: str, pti: str, pcid: str, tmp_path: Path
) -> None:  # fmt: skip
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: {flags}\n")
    folder = tmp_path / "devices/system/cpu/vulnerabilities"
    folder.mkdir(parents=True)
    if meltdown is not None:
        (folder / "meltdown").write_text(meltdown)
    facts = machine_facts(tmp_path, tmp_path)
    assert (facts["cpu_model"], facts["pti"], facts["pcid"]) == ("Some CPU @ 3 GHz", pti, pcid)
    assert facts["hypervisor"] == "none"
    assert re.match(r"\w+ \d", facts["kernel"])


def test_buffers_take_a_share_of_the_free_memory(tmp_path: Path) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text("MemTotal: 99 kB\nMemAvailable:   4194304 kB\n")
    assert buffer_kb(2, 2, memory) == 32 * 1024
    assert buffer_kb(64, 2, memory) == 4096
    memory.write_text("MemAvailable: 1000 kB\n")
    assert buffer_kb(64, 2, memory) == 1024
