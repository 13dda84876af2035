"""Who woke whom: a sleep that a task ends is a dependence, one that an interrupt ends comes from outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sim.kernel.program import Block, Exit, Sleep, Syscall, Wake, Work
from tests.recordings.traces import IDLE, US, A, B, Event, call, drain, enter, leave, load, ops, shape, switch, wakeup


def test_a_wake_up_by_a_task_is_a_dependence(tmp_path: Path) -> None:
    events = [*call(0, 1, 1, *B, 0), enter(0, 0, *A, 0), switch(5, 0, A, "S", IDLE), enter(20, 1, *B, 1),
              wakeup(25, 1, B, A), switch(26, 0, IDLE, "R", A), leave(30, 1, *B, 1), leave(40, 0, *A, 0)]  # fmt: skip
    found = drain(load(tmp_path / "t", events))
    (sleep,) = [p for o in found["alpha"] for p in o.body if isinstance(p, Block)]
    assert shape(found["alpha"]) == [("read", Work(5 * US), "Block", Work(14 * US))]
    (waking,) = [o for o in found["beta"] if isinstance(o, Syscall) and o.name == "write"]
    assert waking.body == (Work(5 * US), Wake(sleep.channel), Work(5 * US))


def test_the_beginnings_of_wake_ups_count_where_their_ends_are_not_recorded(tmp_path: Path) -> None:
    def events(*wakes: Event) -> list[Event]:
        return [*call(0, 1, 1, *B, 0), enter(0, 0, *A, 0), switch(5, 0, A, "S", IDLE), enter(20, 1, *B, 1), *wakes,
                switch(26, 0, IDLE, "R", A), leave(30, 1, *B, 1), leave(40, 0, *A, 0)]  # fmt: skip

    done = wakeup(25, 1, B, A)
    begun = replace(done, name="sched_waking")
    expected = drain(load(tmp_path / "t", events(done)))
    workload = load(tmp_path / "t", events(begun))
    assert drain(workload) == expected
    assert not [note for note in workload.notes if "wake-ups" in note]
    both = events(done) + [replace(e, at=e.at + 100) for e in events(begun, replace(done, flags="dNh2."))]
    lone = events(done) + [replace(e, at=e.at + 100) for e in events(replace(done, flags="dNh2."))]
    assert drain(load(tmp_path / "t", both)) == drain(load(tmp_path / "t", lone))


def test_a_wake_up_in_an_interrupt_comes_from_outside(tmp_path: Path) -> None:
    events = [*call(0, 1, 1, *B, 0), enter(0, 0, *A, 0), switch(5, 0, A, "S", IDLE),
              wakeup(25, 1, B, A, flags="dNh2."), switch(26, 0, IDLE, "R", A), leave(40, 0, *A, 0)]  # fmt: skip
    workload = load(tmp_path / "t", events)
    found = drain(workload)
    assert found["alpha"][0].body == (Work(5 * US), Sleep(20 * US), Work(14 * US))
    assert not [p for o in found["beta"] if isinstance(o, Syscall) for p in o.body if isinstance(p, Wake)]
    assert workload.assumptions["sleeps_ended_from_outside"] == 1


def ipi(at: int, cpu: int, who: tuple[str, int], target: int) -> Event:
    return Event(at, cpu, *who, "ipi_send_cpu", f"cpu={target} callsite=x callback=y")


def test_a_wake_up_carried_out_by_an_ipi_depends_on_its_sender(tmp_path: Path) -> None:
    events = [enter(0, 1, *B, 1), enter(0, 0, *A, 0), switch(5, 0, A, "S", IDLE), ipi(20, 1, B, 0),
              wakeup(24, 0, IDLE, A, flags="dNh2."), switch(26, 0, IDLE, "R", A), leave(30, 1, *B, 1),
              leave(40, 0, *A, 0)]  # fmt: skip
    found = drain(load(tmp_path / "t", events))
    (sleep,) = [p for o in found["alpha"] for p in o.body if isinstance(p, Block)]
    assert found["beta"][0].body == (Work(20 * US), Wake(sleep.channel), Work(10 * US))


def test_an_ipi_sent_before_the_sleep_began_explains_nothing(tmp_path: Path) -> None:
    events = [enter(0, 1, *B, 1), ipi(2, 1, B, 0), enter(0, 0, *A, 0), switch(5, 0, A, "S", IDLE),
              wakeup(24, 0, IDLE, A, flags="dNh2."), switch(26, 0, IDLE, "R", A), leave(40, 0, *A, 0)]  # fmt: skip
    events.sort(key=lambda e: e.at)
    assert Sleep(19 * US) in ops(tmp_path, events)[0].body


def test_a_task_never_woken_exits(tmp_path: Path) -> None:
    workload = load(tmp_path / "t", [enter(0, 0, *A, 0), switch(5, 0, A, "S", IDLE), *call(9, 10, 1, *B, 0)])
    assert drain(workload)["alpha"][0].body == (Work(5 * US), Exit())
    assert workload.assumptions["asleep_at_the_end"] == 1
