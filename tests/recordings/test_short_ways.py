"""Short ways of reading: what is cut in pieces is what the patterns say, and who goes on is whom the machine knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.catalogue import RECORDINGS, resolve
from scenarios.recordings import open_recording
from scenarios.recordings.lines import Line, LineReader
from scenarios.recordings.source import blocks
from scenarios.recordings.who_runs import Lives
from sim.kernel.program import Workload
from tests.recordings.traces import Event, call, drain, fault, ftrace, perf_script, switch, trace_cmd, write

A, B = ("alpha", 10), ("b: 1-2 [000] x", 11)
COMMS = ("a", "a: b", "a-1", "x-1 [000]", "x-1 [000] d..2. 1.5: y", "sh (10)", "1.5", ": ", "")
ENDS = ("NR 1 = 0", " two", "a: b", "x-1 [000] 1.500000: sys_exit: NR 1 = 0", "")
STAMPS = ("100.000001", "100.000002", "100.0002", "101.1", "101.000100", "101.00012_", "101.00012²", "0101.000100")


class SlowReader(LineReader):
    """Reads every line by the patterns; *looked* counts them."""

    looked = 0

    def _learn(self, *_: Any) -> None: ...

    def _event(self, *what: Any) -> Any:
        SlowReader.looked += 1
        return super()._event(*what)


class CountingReader(LineReader):
    """Counts the lines that are read by the patterns."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.looked = 0

    def _event(self, *what: Any) -> Any:
        self.looked += 1
        return super()._event(*what)


def read(reader: LineReader) -> tuple[list[Line], dict[str, int], dict[str, int], int]:
    return list(reader), reader.tolerated, reader.odd, reader.malformed


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Lines of three layouts with names that look like more of a line, and stamps that hardly are any."""
    lines = []
    for _ in range(draw(st.integers(1, 12))):
        comm, flags = draw(st.sampled_from(COMMS)), draw(st.sampled_from(["", " d..2.", " dNh4."]))
        stamp, end = draw(st.sampled_from(STAMPS)), draw(st.sampled_from(ENDS))
        name = draw(st.sampled_from(["sys_enter", "sys_exit", "sched:sched_switch", "odd(x", "sys_read(fd", "1 x:y"]))
        who = draw(st.sampled_from([f"{comm}-7 (  7) [000]{flags}", f"{comm}-7 [001]{flags}", f"{comm} 7/8 [002]"]))
        lines.append(
            f"{draw(st.sampled_from(['', '  ']))}{who} {stamp}:{draw(st.sampled_from([' ', '  ']))}{name}: {end}"
        )
    return "\n".join([" a-7 (  7) [000] d..2. 100.000000: sys_enter: NR 1 ()", *lines, ""])


@given(text=texts())
def test_lines_cut_in_pieces_are_what_the_patterns_make_of_them(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "cut", text)
    found = []
    for make in (LineReader, SlowReader):
        try:
            found.append(repr(read(make(path))))
        except Exception as error:  # noqa: BLE001 - whatever it is, it has to be the same
            found.append(repr(error))
    assert found[0] == found[1]


def events() -> list[Event]:
    made = []
    for at in range(0, 2000, 100):
        for start, who, other in ((at, A, ("beta", 12)), (at + 50, ("beta", 12), A)):
            made += [*call(start + 1, start + 3, 0, *who, 39), fault(start + 5, 0, *who, 0x7000_0000 + at),
                     *call(start + 9, start + 12, 0, *who, 39), switch(start + 20, 0, who, "R", other)]  # fmt: skip
    return made


@pytest.mark.parametrize("printed", [ftrace, trace_cmd, perf_script])
def test_most_lines_are_cut_in_pieces(tmp_path: Path, printed: Callable[[list[Event]], str]) -> None:
    """The patterns see each kind of line once: two tasks before the stamp, four names behind it."""
    path = write(tmp_path / "t", printed(events()))
    fast, slow = CountingReader(path), SlowReader(path)
    SlowReader.looked = 0
    assert read(fast) == read(slow)
    comments = len(path.read_text().splitlines()) - fast.events
    assert SlowReader.looked - comments == fast.events == 240
    assert fast.looked - comments <= 6


def shown(workload: Workload) -> list[str]:
    """All operations in words; a forked child's generator, whose operations are among them, without its address."""
    return [re.sub(r"(?<=<generator object _program) at 0x[0-9a-f]+", "", repr(one)) for one in drain(workload).items()]


@pytest.mark.parametrize("name", RECORDINGS)
def test_shipped_recordings_are_read_alike(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their first thousand lines, by the short ways and without them."""
    lines, _ = next(blocks(resolve(name)))
    path = write(tmp_path / "t", "\n".join(lines[:1000]) + "\n")
    assert read(LineReader(path)) == read(SlowReader(path))
    short = open_recording(path, 10**9)()
    monkeypatch.setattr(Lives, "_goes_on", lambda self, line: None)
    long = open_recording(path, 10**9)()
    assert short.assumptions == long.assumptions
    assert short.recorded == long.recorded
    assert shown(short) == shown(long)
