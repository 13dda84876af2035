"""Memory is bounded by what lives, not by the recording's length."""

from __future__ import annotations

import itertools
from pathlib import Path

from scenarios.recordings.kept_lines import CHUNK as KEPT
from scenarios.recordings.lines import LineReader
from scenarios.recordings.programs import initial
from scenarios.recordings.replay import Replay
from scenarios.recordings.spill import CHUNK, SpillFile, SpillQueue
from scenarios.recordings.survey import make_survey
from scenarios.recordings.tracer import Tracer
from tests.recordings.traces import Event, call, drain, enter, fork, ftrace, leave, load, switch, write

A, B = ("alpha", 10), ("beta", 11)


def test_a_long_queue_lies_in_a_file() -> None:
    queue = SpillQueue(SpillFile())
    for n in range(10 * CHUNK):
        queue.append((n,))
        assert len(queue._head) + len(queue._tail) <= 2 * CHUNK
    for n in range(10 * CHUNK):
        assert queue.popleft() == (n,)
        assert len(queue._head) + len(queue._tail) <= 2 * CHUNK
    assert not queue


def test_putting_and_taking_may_alternate() -> None:
    queue, put, taken = SpillQueue(SpillFile()), itertools.count(), itertools.count()
    for round_ in range(60):
        for _ in range(CHUNK // 4 if round_ % 3 else CHUNK):
            queue.append(next(put))
        for _ in range(CHUNK // 3):
            assert queue.popleft() == next(taken)
    while queue:
        assert queue.popleft() == next(taken)
    assert next(put) == next(taken)


def test_all_queues_share_one_file_and_its_room() -> None:
    """However many tasks lag behind, and however often: the file is no longer than what it held at once."""
    spill = SpillFile()
    ends = []
    for _ in range(3):
        queues = [SpillQueue(spill) for _ in range(50)]
        for n, queue in enumerate(queues):
            for item in range(4 * CHUNK):
                queue.append((n, item % 7))
        for n, queue in enumerate(queues):
            assert [queue.popleft() for _ in range(4 * CHUNK)] == [(n, item % 7) for item in range(4 * CHUNK)]
        ends.append(spill._end)
    assert len(set(ends)) == 1


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
    initial(replay)
    most = 0
    while not replay.finished:
        replay.advance()
        most = max(most, len(replay.tasks) + len(replay.alive))
    assert most == 4


def test_forks_wait_in_a_file_too(tmp_path: Path) -> None:
    """A task that lags behind by more than a queue's memory still forks its children in the end."""
    workload = load(tmp_path / "t", children(2 * CHUNK))
    names = list(drain(workload))
    assert len(names) == 1 + 2 * CHUNK


def test_events_are_kept_in_a_file_and_several_may_read_them(tmp_path: Path) -> None:
    """Memory holds a chunk of them; what is read is what was written, and nobody reads the text again."""
    events = [event for at in range(0, 60_000, 20) for event in call(at, at + 5, 0, *A, 39)]
    text = write(tmp_path / "t", ftrace(events))
    lines = list(LineReader(text))
    survey = make_survey(text)
    text.unlink()
    assert len(lines) > KEPT
    assert len(survey.lines._open) == 0
    one, other = iter(survey.lines), iter(survey.lines)
    assert [next(one) for _ in range(KEPT + 5)] == lines[: KEPT + 5]
    assert list(other) == lines
    assert list(one) == lines[KEPT + 5 :]
