"""Who lives: pids used again, deaths and switches that are missing, events lost; both passes agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from scenarios.recordings.lines import Line, LineReader
from scenarios.recordings.who_runs import Life, Lives, WokenBy
from sim.errors import InputError
from sim.kernel.program import Block, Exit, Fork, Sleep, Syscall, User, Wake
from tests.recordings.traces import (
    IDLE,
    A,
    B,
    C,
    Event,
    call,
    drain,
    enter,
    fork,
    ftrace,
    leave,
    load,
    switch,
    wakeup,
    write,
)


def parts(operations: list[object]) -> list[object]:
    return [p for o in operations if isinstance(o, Syscall) for p in o.body]


def child(at: int, comm: str = "beta", *, dies: bool = True) -> list[Event]:
    """alpha forks 11, which makes one call and dies."""
    who = (comm, 11)
    events = [enter(at, 0, *A, 56), fork(at + 1, 0, A, who), leave(at + 2, 0, *A, 56, 11),
              switch(at + 3, 0, A, "R", who), *call(at + 4, at + 5, 0, *who, 39)]  # fmt: skip
    return [*events, switch(at + 6, 0, who, "X" if dies else "R", A)]


def test_a_pid_used_again_is_another_task(tmp_path: Path) -> None:
    workload = load(tmp_path / "t", [*child(0), *child(100), *call(200, 201, 0, *A, 39)])
    found = drain(workload)
    assert sorted(found) == ["alpha", "beta", "beta+2"]
    for name in ("beta", "beta+2"):
        assert [o.name for o in found[name] if isinstance(o, Syscall)] == ["getpid", "(exit)"]
    assert "pid_reused" not in workload.assumptions


def test_a_pid_used_again_without_a_recorded_death(tmp_path: Path) -> None:
    """The first child's operations stay its own, and it ends where the second begins."""
    workload = load(tmp_path / "t", [*child(0, dies=False), *child(100, "delta"), *call(200, 201, 0, *A, 39)])
    found = drain(workload)
    assert [o.name for o in found["beta"] if isinstance(o, Syscall)] == ["getpid", "(exit)"]
    assert [o.name for o in found["delta"] if isinstance(o, Syscall)] == ["getpid", "(exit)"]
    assert workload.assumptions["pid_reused"] == 1


def test_after_a_lost_death_the_next_owner_of_the_pid_sleeps_and_is_woken(tmp_path: Path) -> None:
    later = [switch(110, 0, A, "R", B), enter(111, 0, *B, 0), switch(112, 0, B, "S", A), enter(120, 0, *A, 1),
             wakeup(121, 0, A, B), leave(122, 0, *A, 1), switch(130, 0, A, "R", B), leave(131, 0, *B, 0),
             switch(132, 0, B, "X", A), *call(200, 201, 0, *A, 39)]  # fmt: skip
    fork_only = [enter(100, 0, *A, 56), fork(101, 0, A, B), leave(102, 0, *A, 56, 11)]
    found = drain(load(tmp_path / "t", [*child(0, dies=False), *fork_only, *later]))
    (sleep,) = [p for p in parts(found["beta+2"]) if isinstance(p, Block)]
    assert [p for p in parts(found["alpha"]) if isinstance(p, Wake)] == [Wake(sleep.channel)]
    assert parts(found["beta+2"])[-1] == Exit()


def test_who_is_switched_over_does_not_run_on(tmp_path: Path) -> None:
    """The switch away from alpha is lost; others run where it ran, and then nothing is recorded for a day."""
    events = [*call(0, 10, 0, *A, 39), switch(20, 0, IDLE, "R", B), *call(30, 40, 0, *B, 39),
              *call(86_400_000_000, 86_400_000_010, 0, *B, 39)]  # fmt: skip
    workload = load(tmp_path / "t", events)
    found = drain(workload)
    for name in ("alpha", "beta"):
        assert sum(o.cycles for o in found[name] if isinstance(o, User | Syscall)) < 100_000
    assert workload.assumptions["switches_missing"] == 1


def test_a_gap_behind_a_first_stamp_of_zero(tmp_path: Path) -> None:
    text = ftrace([switch(0, 0, IDLE, "R", A), *call(3_000_000_000, 3_000_000_005, 0, *A, 39)])
    assert "100.000000: sched_switch" in text
    alpha = drain(load(tmp_path / "t", text.replace("100.000000: sched_switch", "0.000000: sched_switch")))["alpha"]
    assert [o for o in alpha if isinstance(o, User)] == []


def test_a_line_printed_during_the_switch_does_not_revive_the_dead(tmp_path: Path) -> None:
    """tlb_flush is printed inside the switch, still with the task that was left."""
    late = Event(6, 0, "beta", 11, "tlb_flush", "pages:0 reason:flush on task switch (0)")
    workload = load(tmp_path / "t", [*child(0), late, *call(200, 201, 0, *A, 39)])
    assert sorted(drain(workload)) == ["alpha", "beta"]


def test_a_missing_switch_is_put_right(tmp_path: Path) -> None:
    events = [*call(0, 10, 0, *A, 39), *call(40, 50, 0, *B, 39), *call(60, 70, 0, *A, 39)]
    workload = load(tmp_path / "t", events)
    found = drain(workload)
    assert workload.assumptions["switches_missing"] == 2
    assert [o.name for o in found["alpha"] if isinstance(o, Syscall)] == ["getpid", "getpid"]


def test_a_missing_wake_up_is_one_from_outside(tmp_path: Path) -> None:
    events = [enter(0, 0, *A, 0), switch(5, 0, A, "S", IDLE), switch(45, 0, IDLE, "R", A), leave(50, 0, *A, 0),
              *call(0, 60, 1, *B, 0)]  # fmt: skip
    workload = load(tmp_path / "t", events)
    assert Sleep(40_000) in parts(drain(workload)["alpha"])
    assert workload.assumptions["wakeups_missing"] == 1


def test_two_sleeps_in_a_row_keep_their_own_ends(tmp_path: Path) -> None:
    """The first sleep's wake-up and switch are missing altogether."""
    events = [enter(0, 0, *A, 0), switch(5, 0, A, "S", IDLE), switch(25, 0, A, "S", IDLE),
              switch(45, 0, IDLE, "R", A), leave(50, 0, *A, 0), *call(0, 60, 1, *B, 0)]  # fmt: skip
    sleeps = [p.cycles for p in parts(drain(load(tmp_path / "t", events))["alpha"]) if isinstance(p, Sleep)]
    assert sleeps == [20_000, 20_000]


def test_exec_by_a_thread_takes_the_process_over(tmp_path: Path) -> None:
    """A thread (12) of process 10 executes a program: from then on it is 10, and the old 10 is gone."""
    renamed = Event(20, 1, "prog", 10, "sched_process_exec", "filename=/prog pid=10 old_pid=12")
    events = [*call(0, 1, 0, *A, 39), *call(0, 10, 1, *C, 59, tgid=10), renamed, *call(30, 31, 1, "prog", 10, 39)]
    workload = load(tmp_path / "t", events)
    found = drain(workload)
    assert [o.name for o in found["gamma"] if isinstance(o, Syscall)][-2:] == ["(exec)", "getpid"]
    assert parts(found["alpha"])[-1] == Exit()


def test_lost_event_marks_are_counted(tmp_path: Path) -> None:
    text = ftrace(call(0, 1, 0, *A, 39)) + "CPU:0 [LOST 37 EVENTS]\n" + ftrace(call(50, 60, 0, *A, 39))
    assert load(tmp_path / "t", text).assumptions["lost_events"] == 37


class Story(Lives):
    """Writes down who sleeps and wakes."""

    def __init__(self, first: int) -> None:
        super().__init__(first)
        self.told: list[tuple[object, ...]] = []
        self.open: set[int] = set()

    def on_sleep(self, life: Life) -> None:
        assert life.serial not in self.open
        self.open.add(life.serial)
        self.told.append(("sleep", life.serial, life.sleeps))

    def on_wake(self, life: Life, waker: Life | None, line: Line, how: WokenBy) -> None:
        assert life.asleep is not None
        self.open.discard(life.serial)
        self.told.append(("wake", life.serial, life.sleeps, how.name))


events = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from([("a", 1), ("b", 2), ("c", 3), IDLE]),
        st.sampled_from([("a", 1), ("b", 2), ("c", 3), IDLE]),
        st.sampled_from(["switch S", "switch R", "switch X", "wakeup", "waking", "new", "fork", "call", "ipi"]),
    ),
    min_size=1,
    max_size=40,
)


def made_up(steps: list[tuple[int, tuple[str, int], tuple[str, int], str]]) -> list[Event]:
    """A disorderly recording: anything follows anything."""
    out = []
    for at, (cpu, one, other, what) in enumerate(steps):
        if what.startswith("switch"):
            out.append(switch(at, cpu, one, what[-1], other))
        elif what in ("wakeup", "new") and other[1]:
            out.append(wakeup(at, cpu, one, other, new=what == "new"))
        elif what == "waking" and other[1]:
            out.append(replace(wakeup(at, cpu, one, other), name="sched_waking"))
        elif what == "fork" and one[1] and other[1]:
            out.append(fork(at, cpu, one, other))
        elif what == "call" and one[1]:
            out.append(enter(at, cpu, *one, 0) if at % 2 else leave(at, cpu, *one, 0))
        elif what == "ipi":
            out.append(Event(at, cpu, *one, "ipi_send_cpu", "cpu=1"))
    return out


@settings(max_examples=400, deadline=None)
@example([(0, IDLE, IDLE, "switch S"), (0, ("a", 1), ("a", 1), "ipi")])
@given(events)
def test_any_disorder_is_followed_without_contradiction(
    tmp_path_factory: object, steps: list[tuple[int, tuple[str, int], tuple[str, int], str]]
) -> None:
    """Sleeps never overlap, each Wake names a sleep of the replay, and every program ends."""
    chosen = made_up(steps)
    if not chosen:
        return
    path = write(tmp_path_factory.mktemp("t") / "t", ftrace(chosen))  # type: ignore[attr-defined]
    story = Story(0)
    for line in LineReader(path):
        story.follow(line)
    try:
        found = drain(load(path, chosen))
    except InputError:
        # Nobody but the idle task; of other events alone (IPIs, wake-ups, forks) no task is known to have run.
        assert not any(e.tid and e.name in ("sched_switch", "sys_enter", "sys_exit") for e in chosen)
        return
    blocks = [p.channel for ops in found.values() for p in parts(ops) if isinstance(p, Block)]
    wakes = [p.channel for ops in found.values() for p in parts(ops) if isinstance(p, Wake)]
    assert len(set(blocks)) == len(blocks)
    assert set(blocks) <= set(wakes)
    forks = [p for ops in found.values() for p in parts(ops) if isinstance(p, Fork)]
    assert len(forks) <= sum(e.name == "sched_process_fork" for e in chosen)
