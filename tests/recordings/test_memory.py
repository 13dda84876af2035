"""Memory is bounded by what lives, not by the recording's length."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from scenarios.recordings import Recording, open_recording
from scenarios.recordings.items import CHUNK, Items
from scenarios.recordings.life import Life
from scenarios.recordings.lines import LineReader
from scenarios.recordings.programs import LONGEST_BODY, starts
from scenarios.recordings.recording import FIRST
from scenarios.recordings.replay import Replay
from scenarios.recordings.survey import make_survey
from scenarios.recordings.tasks import Space, Task
from scenarios.recordings.tracer import Tracer
from sim.kernel.program import Syscall
from tests.recordings.traces import A, B, Event, call, drain, enter, fork, ftrace, leave, load, switch, write


def test_items_lie_in_a_file_and_several_may_read_them() -> None:
    """Of tasks whose items come in turn, memory holds a chunk each, and what is read is what was put."""
    items = Items()
    tasks = [Task(Life(serial, serial, "t"), Space(resident=True), items, system=False) for serial in (1, 2, 3)]
    for n in range(10 * CHUNK + 5):
        for task in tasks:
            task.put(("w", n))
            assert len(task.items) < CHUNK
    for task in tasks:
        task.end()
        task.put(("w", -1))  # after its end: nothing
    one, other = items.of(2), items.of(2)
    assert [next(one) for _ in range(CHUNK + 1)] == [("w", n) for n in range(CHUNK + 1)]
    assert list(other) == [("w", n) for n in range(10 * CHUNK + 5)]
    assert list(one) == [("w", n) for n in range(CHUNK + 1, 10 * CHUNK + 5)]
    assert list(items.of(4)) == []


def test_a_long_system_call_is_drawn_as_it_goes_on(tmp_path: Path) -> None:
    """A call that is interrupted ever so often has as many operations; some are there at once, the others follow."""
    rounds = 3 * LONGEST_BODY
    events = [enter(0, 0, *A, 1)]
    for at in range(10, 10 + 20 * rounds, 20):
        events += [switch(at, 0, A, "R", B), switch(at + 10, 0, B, "R", A)]
    events += [leave(20 + 20 * rounds, 0, *A, 1), *call(30 + 20 * rounds, 40 + 20 * rounds, 0, *A, 39)]
    alpha = drain(load(tmp_path / "t", events))["alpha"]
    calls = [operation for operation in alpha if isinstance(operation, Syscall)]
    assert [len(one.body) for one in calls] == [rounds + 1, 1]
    (spec,) = [lwp for lwp in load(tmp_path / "t", events).lwps if lwp.name == "alpha"]
    undrawn = [one.name for one in spec.program if isinstance(one, Syscall)]
    assert undrawn == [one.name for one in calls]


def test_any_number_of_workloads_are_made_of_one_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "t", ftrace([event for at in range(0, 9000, 20) for event in call(at, at + 5, 0, *A, 39)]))
    source = open_recording(path, 10**9)
    path.unlink()
    one, other = source(), source()
    drained = drain(one)
    assert len(drained["alpha"]) > CHUNK
    assert drained == drain(other)
    one.assumptions["mine"] = 1
    assert "mine" not in other.assumptions


def children(count: int) -> list[Event]:
    """alpha forks *count* children one after the other, all with the same pid."""
    events = []
    for at in range(0, 20 * count, 20):
        events += [enter(at, 0, *A, 56), fork(at + 1, 0, A, B), leave(at + 2, 0, *A, 56, 11),
                   switch(at + 3, 0, A, "R", B), *call(at + 4, at + 5, 0, *B, 39),
                   switch(at + 6, 0, B, "X", A)]  # fmt: skip
    return events


def test_the_dead_are_forgotten(tmp_path: Path) -> None:
    survey = make_survey(write(tmp_path / "t", ftrace(children(500))))
    assert [seen.comm for seen in survey.tasks] == ["alpha"]
    replay = Replay(survey, 10**9, 0, Tracer(None, 0, 0))
    starts(replay)
    most = 0
    while not replay.finished:
        replay.advance()
        most = max(most, len(replay.tasks) + len(replay.alive))
    assert most == 4


def test_a_task_with_many_children_forks_them_all(tmp_path: Path) -> None:
    names = list(drain(load(tmp_path / "t", children(2 * CHUNK))))
    assert len(names) == 1 + 2 * CHUNK


def test_events_are_kept_in_a_file(tmp_path: Path) -> None:
    """What is read back is what was written, and nobody reads the text again."""
    events = [event for at in range(0, 60_000, 20) for event in call(at, at + 5, 0, *A, 39)]
    text = write(tmp_path / "t", ftrace(events))
    lines = list(LineReader(text))
    survey = make_survey(text)
    assert len(list(LineReader(text).blocks())) > 1
    text.unlink()
    assert list(survey.lines) == lines


@pytest.mark.parametrize("packed", [False, True])
def test_reading_says_how_far_it_is_once_for_each_block(tmp_path: Path, packed: bool) -> None:
    text = ftrace([event for at in range(0, 60_000, 20) for event in call(at, at + 5, 0, *A, 39)])
    path = tmp_path / "t"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    blocks = len(list(LineReader(path).blocks()))
    assert blocks > 1
    shares: list[float] = []
    recording = Recording(path, report=shares.append)
    assert len(shares) == blocks
    assert shares == sorted(shares)
    assert shares[-1] == FIRST
    recording.source(10**9)
    assert len(shares) == 2 * blocks
    assert shares == sorted(shares)
    assert shares[-1] == 1
    recording.source(10**9, seed=1)
    assert len(shares) == 2 * blocks  # that is known
