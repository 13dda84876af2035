"""What recorded events mean: operations with their times, addresses and dependences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.hardware.steps import Access
from sim.kernel.program import (
    Exec,
    Exit,
    Fault,
    Fork,
    Map,
    Protect,
    Sleep,
    Syscall,
    Unmap,
    User,
    Who,
    Work,
)
from tests.recordings.traces import (
    IDLE,
    US,
    A,
    B,
    C,
    Event,
    call,
    drain,
    enter,
    fault,
    fork,
    leave,
    load,
    ops,
    shape,
    switch,
    wakeup,
)


def test_user_time_lies_between_crossings_and_kernel_time_inside(tmp_path: Path) -> None:
    events = [*call(0, 10, 0, *A, 0), *call(15, 40, 0, *A, 1), *call(41, 42, 0, *A, 39)]
    assert shape(ops(tmp_path, events)) == [
        ("read", Work(10 * US)),
        ("User", 5 * US),
        ("write", Work(25 * US)),
        ("User", 1 * US),
        ("getpid", Work(1 * US)),
    ]


def test_a_fault_enters_its_page_at_its_address(tmp_path: Path) -> None:
    events = [*call(0, 1, 0, *A, 0), fault(2, 0, *A, 0x601234, 6), *call(10, 11, 0, *A, 0),
              fault(12, 0, *A, 0x602000, 4), *call(20, 21, 0, *A, 0), fault(22, 0, *A, 0x603000, 0x14),
              *call(40, 41, 0, *A, 0)]  # fmt: skip
    found = [o for o in ops(tmp_path, events) if isinstance(o, Fault)]
    assert [(o.va, o.access) for o in found] == [
        (0x601234, Access.WRITE),
        (0x602000, Access.READ),
        (0x603000, Access.EXEC),
    ]
    # The handler's time is the lower quartile of what follows a fault (8, 8 and 18 us), the rest is the program's.
    assert [o.cycles for o in found] == [8 * US] * 3
    assert [o.cycles for o in ops(tmp_path, events) if isinstance(o, User)] == [1 * US] * 3 + [10 * US]


def test_faulted_pages_are_touched_again_until_unmapped(tmp_path: Path) -> None:
    events = [
        *call(0, 1, 0, *A, 0), fault(2, 0, *A, 0x600000), *call(20, 21, 0, *A, 0), *call(30, 31, 0, *A, 0),
        *call(40, 41, 0, *A, 11, "600000, 1000, 0"), *call(50, 51, 0, *A, 0),
    ]  # fmt: skip
    pages = [[t.va for t in o.touches] for o in ops(tmp_path, events) if isinstance(o, User)]
    assert pages[-2:] == [[0x600000], []]


@pytest.mark.parametrize(
    ("nr", "args", "value", "expected"),
    [
        (9, "0, 3000, 3, 22, ffffffff, 0", 0x700000, [Map(0x700000, 0x703000, True)]),
        (9, "0, 3000, 1, 22, ffffffff, 0", 0x700000, [Map(0x700000, 0x703000, False)]),
        (9, "700000, 3000, 3, 32, ffffffff, 0", 0x700000, [Unmap(0x700000, 0x703000), Map(0x700000, 0x703000, True)]),
        (11, "700000, 3000, 0", 0, [Unmap(0x700000, 0x703000)]),
        (28, "700000, 3000, 4", 0, [Unmap(0x700000, 0x703000)]),
        (28, "700000, 3000, 3", 0, []),
        (10, "700000, 3000, 1", 0, [Protect(0x700000, 0x703000, False, False)]),
        (10, "700000, 3000, 0", 0, [Protect(0x700000, 0x703000, False, True)]),
        (25, "700000, 3000, 1000, 0", 0x700000, [Unmap(0x701000, 0x703000)]),
        (25, "700000, 3000, 5000, 1", 0x900000, [Unmap(0x700000, 0x703000)]),
        (25, "700000, 3000, 3000, 3, a00000", 0xA00000, [Unmap(0xA00000, 0xA03000), Unmap(0x700000, 0x703000)]),
        (329, "700000, 3000, 1, 0", 0, [Protect(0x700000, 0x703000, False, False)]),
        (
            11,
            "7f7fffffe000, 4000, 0",
            0,
            [Unmap(0x7F7FFFFFE000, 0x7F8000000000), Unmap(253 << 39, (253 << 39) + 0x2000)],
        ),
        (11, "700000, ffffffffffffffff, 0", 0, [Unmap(0x700000, 0x7F8000000000), Unmap(253 << 39, 254 << 39)]),
        (12, "0", 0, []),
        (11, "700000, 3000, 0", -22, []),
    ],
    ids=[
        "mmap",
        "mmap-ro",
        "fixed",
        "munmap",
        "dontneed",
        "willneed",
        "ro",
        "none",
        "shrink",
        "move",
        "move-to",
        "pkey",
        "across",
        "endless",
        "no-break",
        "failed",
    ],
)
def test_address_space_calls(tmp_path: Path, nr: int, args: str, value: int, expected: list[Any]) -> None:
    (found,) = ops(tmp_path, call(0, 5, 0, *A, nr, args, value))
    assert found.body == (Work(5 * US), *expected)


def test_brk_grows_and_shrinks_from_what_it_was(tmp_path: Path) -> None:
    events = [*call(0, 1, 0, *A, 12, "0", 0x800000), *call(1, 2, 0, *A, 12, "804000", 0x804000),
              *call(2, 3, 0, *A, 12, "801000", 0x801000)]  # fmt: skip
    assert [o.body[1:] for o in ops(tmp_path, events)] == [(), (Map(0x800000, 0x804000),), (Unmap(0x801000, 0x804000),)]


def test_an_address_above_the_modelled_half_is_moved_and_counted(tmp_path: Path) -> None:
    workload = load(tmp_path / "t", call(0, 5, 0, *A, 11, "7fff00000000, 1000, 0"))
    (found,) = drain(workload)["alpha"]
    assert found.body[1].start == (253 << 39) + 0x7F00000000
    assert workload.assumptions["addresses_moved"] == 1


def test_fork_makes_a_process_and_exec_empties_it(tmp_path: Path) -> None:
    events = [enter(0, 0, *A, 56, "1200011, 0, 0"), fork(5, 0, A, B), wakeup(6, 0, A, B, new=True),
              leave(8, 0, *A, 56, 11), switch(9, 0, A, "S", B), leave(10, 0, *B, 56, 0),
              Event(20, 0, "prog", 11, "sched_process_exec", "filename=/prog pid=11 old_pid=11"),
              Event(30, 0, "prog", 11, "sched_process_exit", "comm=prog pid=11 prio=120"),
              switch(31, 0, ("prog", 11), "X", IDLE)]  # fmt: skip
    found = drain(load(tmp_path / "t", events))
    (made,) = [p for p in found["alpha"][0].body if isinstance(p, Fork)]
    assert (made.child.name, made.thread) == ("beta", False)
    kinds = [p for o in found["beta"] if isinstance(o, Syscall) for p in o.body]
    assert kinds == [Exec(Who("prog", 11, 11)), Exit()]
    assert sum(o.cycles for o in found["beta"] if isinstance(o, User)) == 22 * US


@pytest.mark.parametrize(
    ("nr", "args", "child_tgid", "thread"),
    [
        (56, "3d0f00, 0, 0", 10, True),
        (56, "1200011, 0, 0", 11, False),
        (58, "0", 11, True),
        (435, "7f00, 58", 10, True),
    ],
    ids=["clone-vm", "fork", "vfork", "clone3-thread"],
)
def test_who_shares_an_address_space(tmp_path: Path, nr: int, args: str, child_tgid: int, thread: bool) -> None:
    events = [enter(0, 0, *A, nr, args), fork(5, 0, A, B), leave(8, 0, *A, nr, 11), switch(9, 0, A, "S", B),
              leave(10, 0, *B, nr, 0, tgid=child_tgid), *call(12, 13, 0, *B, 0, tgid=child_tgid)]  # fmt: skip
    (made,) = [p for p in ops(tmp_path, events)[0].body if isinstance(p, Fork)]
    assert made.thread is thread


def test_a_thread_is_known_by_its_process_even_if_no_clone_is_recorded(tmp_path: Path) -> None:
    events = [fault(0, 0, *A, 0x600000), fork(5, 0, A, B), switch(9, 0, A, "S", B),
              *call(12, 13, 0, *B, 0, tgid=10)]  # fmt: skip
    made = [p for o in ops(tmp_path, events) if isinstance(o, Syscall) for p in o.body if isinstance(p, Fork)]
    assert [m.thread for m in made] == [True]


def test_threads_alive_before_share_a_pmap(tmp_path: Path) -> None:
    events = [*call(0, 1, 0, *A, 0), *call(0, 1, 1, *B, 0, tgid=10), *call(5, 6, 1, *C, 0)]
    specs = {spec.name: spec for spec in load(tmp_path / "t", events).lwps}
    assert specs["alpha"].group == specs["beta"].group
    assert specs["gamma"].group != specs["alpha"].group
    assert all(spec.resident for spec in specs.values())


def test_kernel_threads_are_system_lwps(tmp_path: Path) -> None:
    worker = ("kworker/0:1", 40)
    events = [*call(0, 1, 0, *A, 0), switch(5, 0, A, "R", worker), switch(9, 0, worker, "I", A),
              *call(20, 21, 0, *A, 0)]  # fmt: skip
    specs = {spec.name: spec for spec in load(tmp_path / "t", events).lwps}
    assert specs["kworker/0:1"].system
    assert not specs["alpha"].system
    assert specs["kworker/0:1"].group == "kernel"


def test_what_was_recorded_is_stated(tmp_path: Path) -> None:
    """Two switches are printed; a third is missing, for the CPU cannot be left by whom it was not given to."""
    events = [*call(0, 1, 0, *A, 0), switch(5, 0, A, "S", IDLE), switch(20, 0, B, "S", IDLE), *call(30, 31, 1, *C, 0)]
    assert load(tmp_path / "t", events).recorded == {
        "elapsed_cycles": 31 * US,
        "chosen_elapsed_cycles": 31 * US,
        "cpu_cycles": 6 * US,
        "chosen_cpu_cycles": 6 * US,
        "chosen_syscalls": 2,
        "chosen_switches": 2,
        "chosen_lines": 4,
        "call_cycles": US,
        "context_switches": 3,
        "context_switches_printed": 2,
        "syscalls": 2,
        "faults": 0,
        "forks": 0,
        "cpus": 2,
        "events": 6,
    }


def test_a_user_fault_ends_a_call_whose_exit_is_missing(tmp_path: Path) -> None:
    events = [enter(0, 0, *A, 0), fault(10, 0, *A, 0x600000), *call(30, 31, 0, *A, 39)]
    workload = load(tmp_path / "t", events)
    found = drain(workload)["alpha"]
    assert [type(o).__name__ for o in found] == ["Syscall", "Fault", "Syscall"]
    assert workload.assumptions["syscall_exit_missing"] == 1


def test_a_last_fault_is_not_lost(tmp_path: Path) -> None:
    events = [*call(0, 1, 0, *A, 0), fault(2, 0, *A, 0x600000), *call(9, 10, 0, *B, 0)]  # the switch is missing
    assert [o.va for o in ops(tmp_path, events) if isinstance(o, Fault)] == [0x600000]


def test_of_one_process_recorded_alone_sleeps_are_not_work(tmp_path: Path) -> None:
    """The lines of the task that ran in between were filtered out."""
    events = [enter(0, 0, *A, 0), switch(5, 0, A, "S", B), leave(105, 0, *A, 0), *call(110, 111, 0, *A, 39)]
    assert shape(ops(tmp_path, events))[0] == ("read", Work(5 * US), "Sleep")
    assert [p.cycles for p in ops(tmp_path, events)[0].body if isinstance(p, Sleep)] == [100 * US]


def test_a_task_that_shows_up_late_begins_there(tmp_path: Path) -> None:
    workload = load(
        tmp_path / "t", [*call(0, 1, 0, *A, 0), *call(9_000, 9_001, 1, *B, 0), *call(20_000, 20_001, 0, *C, 0)]
    )
    assert {spec.name: spec.start for spec in workload.lwps} == {"alpha": 0, "beta": 0, "gamma": 20_000 * US}
    assert workload.assumptions["tasks_first_seen_late"] == 1


def test_a_name_alone_makes_no_kernel_thread(tmp_path: Path) -> None:
    """kthreadd makes a worker, the worker a helper that executes a program; xfs_io only has such a name."""
    maker, worker, helper = ("kthreadd", 2), ("kworker/1:3", 60), ("kworker/1:3", 61)
    events = [
        *call(0, 1, 0, "xfs_io", 70, 0), switch(5, 1, IDLE, "R", maker), fork(6, 1, maker, worker),
        switch(8, 1, maker, "S", worker), fork(9, 1, worker, helper), switch(12, 1, worker, "R", helper),
        Event(15, 1, "modprobe", 61, "sched_process_exec", "filename=/m pid=61 old_pid=61"),
        *call(20, 21, 1, "modprobe", 61, 39),
    ]  # fmt: skip
    workload = load(tmp_path / "t", events)
    specs = {spec.name: spec for spec in workload.lwps}
    assert {name: spec.system for name, spec in specs.items()} == {"xfs_io": False, "kthreadd": True}
    (made,) = [p for o in specs["kthreadd"].program if isinstance(o, Syscall) for p in o.body if isinstance(p, Fork)]
    assert (made.child.system, made.thread) == (True, True)
    (made,) = [p for o in made.child.program if isinstance(o, Syscall) for p in o.body if isinstance(p, Fork)]
    assert (made.child.system, made.thread) == (False, False)


def test_only_cpus_that_show_up_are_simulated(tmp_path: Path) -> None:
    workload = load(tmp_path / "t", [*call(0, 1, 3, *A, 0), *call(2, 3, 900, *B, 0)])
    assert (workload.cpus, workload.recorded["cpus"]) == (2, 2)


def test_a_thread_touches_its_own_pages(tmp_path: Path) -> None:
    """What another has faulted in may be unmapped by the time that the model comes to it."""
    events = [*call(0, 1, 0, *A, 0, tgid=10), *call(0, 1, 1, *B, 0, tgid=10), fault(5, 0, *A, 0x600000, tgid=10),
              fault(5, 1, *B, 0x700000, tgid=10), *call(20, 21, 0, *A, 0, tgid=10), *call(20, 21, 1, *B, 0, tgid=10),
              *call(30, 31, 0, *A, 1, "1, 700000, 8", tgid=10), *call(40, 41, 0, *A, 0, tgid=10)]  # fmt: skip
    found = drain(load(tmp_path / "t", sorted(events, key=lambda e: e.at)))
    touched = {name: [[t.va for t in o.touches] for o in found[name] if isinstance(o, User)] for name in found}
    assert touched["beta"][-1] == [0x700000]
    assert touched["alpha"][-2:] == [[0x600000], [0x600000, 0x700000]]
