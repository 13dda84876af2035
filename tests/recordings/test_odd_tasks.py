"""Tasks that a recording shows in part, and time in which nothing is known of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.cli import main
from sim.errors import InputError
from sim.kernel.program import Block, Interrupt, Sleep, Syscall, User
from tests.recordings.traces import (
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
    leave,
    load,
    switch,
    wakeup,
    write,
)


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
