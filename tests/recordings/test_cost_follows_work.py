"""What a recording costs follows what was done in it, not the numbers in its lines: counted in Python's calls."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scenarios.open import open_scenario
from sim.timed.paired import run_paired
from tests.recordings.traces import IDLE, Event, call, enter, fault, fork, ftrace, leave, switch, wakeup, write

A = ("a", 100)
LARGE, SMALL = 0x70_0000_0000, 0x20_0000  # 480 GB and 2 MiB
PAGE = 0x100_0000
MINUTE = 60_000_000
CALLS = {
    "munmap": (11, "1000000, {:x}, 0, 0, 0, 0", 0),
    "mprotect": (10, "1000000, {:x}, 1, 0, 0, 0", 0),
    "mprotect to nothing": (10, "1000000, {:x}, 0, 0, 0, 0", 0),
    "madvise": (28, "1000000, {:x}, 4, 0, 0, 0", 0),
    "mmap over it": (9, "1000000, {:x}, 3, 32, ffffffff, 0", PAGE),
    "mremap": (25, "1000000, {:x}, 1000, 1, 7f0000000000, 0", 0x7F00_0000_0000),
    "brk": (12, "{:x}, 0, 0, 0, 0, 0", LARGE),
}


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count the calls of Python functions meanwhile, generators that go on included."""
    found = [0]

    def note(frame: object, event: str, argument: object) -> None:
        found[0] += event == "call"

    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)


def calls_of(path: Path, text: str) -> int:
    """How many calls it takes to read and run a recording."""
    with counted() as found:
        scenario = open_scenario(write(path, text))
        pair = run_paired(scenario.source, profile="svs-netbsd9", baseline="none", pcid=None, cpus=scenario.cpus,
                          costs=scenario.costs, seed=0)  # fmt: skip
    assert pair.profile.conserved
    return found[0]


def one_page(name: str, size: int) -> str:
    """A task that has one page of a range, which is then changed, five times over."""
    number, arguments, value = CALLS[name]
    events = []
    for at in range(0, 1000, 200):
        events += [fault(at, 0, *A, PAGE), *call(at + 50, at + 90, 0, *A, number, arguments.format(size), value)]
    return ftrace(events)


@pytest.mark.parametrize("name", CALLS)
def test_a_huge_range_with_one_page_in_it(tmp_path: Path, name: str) -> None:
    small, large = (calls_of(tmp_path / "t", one_page(name, size)) for size in (SMALL, LARGE))
    # NetBSD's pmap_write_protect reads all 480 entries, a GB each, of the one L3 table that is there.
    assert large < (20 if name == "mprotect" else 1.6) * small


def test_forks_of_a_process_whose_pages_are_far_apart(tmp_path: Path) -> None:
    def forks(step: int) -> str:
        events: list[Event] = []
        for n in range(8):
            at, child = 100 * n, ("a", 200 + n)
            events += [fault(at, 0, *A, PAGE + step * n), enter(at + 10, 0, *A, 57), fork(at + 20, 0, A, child),
                       leave(at + 30, 0, *A, 57, 200 + n)]  # fmt: skip
        return ftrace(events)

    near, far = (calls_of(tmp_path / "t", forks(step)) for step in (0x1000, 0x40_0000_0000 // 8))
    assert far < 4 * near  # each page needs tables of its own


@pytest.mark.parametrize("asleep", [True, False], ids=["asleep", "silent"])
def test_a_gap_of_a_day_and_of_minutes(tmp_path: Path, asleep: bool) -> None:
    def gap(length: int) -> str:
        between = [switch(6, 0, A, "S", IDLE), wakeup(length, 0, IDLE, A), switch(length + 1, 0, IDLE, "R", A)]
        return ftrace([enter(0, 0, *A, 0), *(between if asleep else []), leave(length + 5, 0, *A, 0),
                       *call(length + 10, length + 12, 0, *A, 39)])  # fmt: skip

    minutes, day = (calls_of(tmp_path / "t", gap(length)) for length in (2 * MINUTE, 1440 * MINUTE))
    assert day < 1.2 * minutes


def test_blank_lines_are_hardly_looked_at(tmp_path: Path) -> None:
    text = ftrace([event for n in range(50) for event in call(10 * n, 10 * n + 5, 0, *A, 39)])
    plain, blank = (calls_of(tmp_path / "t", text.replace("\n", end)) for end in ("\n", "\n" * 9))
    assert blank - plain < 3 * 8 * text.count("\n")
