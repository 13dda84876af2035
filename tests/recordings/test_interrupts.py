"""Which recorded interrupts are kept, what they took, and which the model makes itself."""

from __future__ import annotations

from pathlib import Path

from sim.kernel.program import Interrupt, User, Work
from tests.recordings.traces import US, A, Event, call, drain, enter, leave, load, ops, shape


def irq(at: int, end: int, name: str, who: tuple[str, int] = A, cpu: int = 0) -> list[Event]:
    return [Event(at, cpu, *who, f"{name}_entry", "vec=1"), Event(end, cpu, *who, f"{name}_exit", "vec=1")]


def test_device_interrupts_are_kept_with_the_soft_ones_behind_them(tmp_path: Path) -> None:
    events = [*call(0, 1, 0, *A, 0), *irq(10, 15, "irq_handler"), *irq(16, 40, "softirq"), *call(50, 51, 0, *A, 0)]
    assert shape(ops(tmp_path, events))[1:4] == [("User", 9 * US), ("Interrupt", 30 * US), ("User", 10 * US)]


def test_nested_interrupts_are_counted_once(tmp_path: Path) -> None:
    inner = irq(20, 24, "local_timer")
    events = [*call(0, 1, 0, *A, 0), Event(10, 0, *A, "softirq_entry", "vec=3"), *inner,
              Event(40, 0, *A, "softirq_exit", "vec=3"), *call(50, 51, 0, *A, 0)]  # fmt: skip
    # 30 us of soft interrupt, of which the timer's 4 us are the model's own to make.
    found = ops(tmp_path, events)
    assert [o.cycles for o in found if isinstance(o, Interrupt)] == [26 * US]
    assert sum(o.cycles for o in found if isinstance(o, User)) == 19 * US


def test_timer_interrupts_are_dropped_with_their_tail(tmp_path: Path) -> None:
    events = [*call(0, 1, 0, *A, 0), *irq(10, 15, "local_timer"), *irq(17, 20, "softirq"), *call(50, 51, 0, *A, 0)]
    workload = load(tmp_path / "t", events)
    assert shape(drain(workload)["alpha"])[1] == ("User", 39 * US)
    assert workload.assumptions["interrupts_made_by_the_model"] == 2
    assert workload.timer_work == 10 * US


def test_soft_interrupts_of_a_system_call_are_its_own_time(tmp_path: Path) -> None:
    events = [enter(0, 0, *A, 1), *irq(10, 20, "softirq"), leave(30, 0, *A, 1)]
    assert shape(ops(tmp_path, events)) == [("write", Work(30 * US))]
