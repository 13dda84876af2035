"""Where a short way has to end because something else is due or has changed: the same as by the plain engine."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import pytest

from sim.hardware.steps import Access
from sim.kernel.program import Block, LwpSpec, Sleep, Syscall, Sysctl, Touch, Unmap, User, Wake, Work, Workload, Yield
from sim.timed.costs import load_costs
from tests.timed.eager import be_eager
from tests.timed.test_contested import outcome
from tests.timed.test_runs import PAGE, base

COSTS = load_costs()


@pytest.fixture(autouse=True)
def _nearly_everything_is_recorded_and_counted(monkeypatch):
    be_eager(monkeypatch)


def same_by_both(source, profile="svs-netbsd9", costs=COSTS, cpus=2, pcid=True):
    """Assert that both engines give the same, and that it is a result."""
    fast, plain = (
        outcome(source, profile=profile, pcid=pcid, cpus=cpus, costs=costs, engine=engine)
        for engine in ("fast", "plain")
    )
    assert isinstance(plain, list)
    assert fast == plain


def reads(*pages):
    return tuple(Touch(base + page * PAGE, Access.READ) for page in pages)


@pytest.mark.parametrize("other", [Sleep(3000), Block(3000), Wake(3000), Sysctl(3000), Yield()])
def test_a_call_that_only_looks_like_work_is_not_counted(other):
    """As tuples, work and a sleep of the same length are equal."""
    work = [Syscall("call", 0, (Work(3000),), True)] * 100
    program = [*work, Syscall("call", 0, (other,), True), *work]

    def source():
        waker = [User(2_000_000), Syscall("wake", 0, (Wake(3000),))]
        return Workload("work", 1, [LwpSpec("a", iter(program), "a"), LwpSpec("b", iter(waker), "b")])

    same_by_both(source, cpus=1)


@pytest.mark.parametrize("work", [1, 20])
def test_a_resident_page_that_another_thread_unmaps_is_entered_again_at_once(work):
    """Before the shootdown comes; until then the TLB still has it."""
    calls = [Syscall("call", 0, (), True), User(work, reads(1, 2, 3), True)] * 600
    pages = [User(900, reads(*range(100, 120)), True)] * 3
    unmaps = [Syscall("munmap", 10, (Unmap(base + PAGE, base + 4 * PAGE),)), *pages, User(31_000)] * 5

    def source():
        lwps = [LwpSpec(name, iter(program), "g", resident=True, lines=64)
                for name, program in (("a", calls), ("b", [User(20_000), *unmaps]))]  # fmt: skip
        return Workload("resident", 2, lwps)

    same_by_both(source)


@pytest.mark.parametrize("times", [7, 16])
def test_whoever_stood_aside_for_some_operations_looks_whether_others_still_hold(times):
    """Meanwhile the CPU is asked to reschedule, by a word that only the system call reads."""
    program = ([User(100)] * times + [Syscall("call", 0, (Work(50),), True)]) * (250_000 // (100 * times + 650))
    wakes = [operation for n in range(20) for operation in (User(5000 + 997 * n), Syscall("wake", 10, (Wake("w"),)))]

    def source():
        lwps = [
            LwpSpec("a", iter(program), "a", cpu=0, bound=True),
            LwpSpec("b", iter(wakes), "b", cpu=1, bound=True),
            LwpSpec("c", iter([Syscall("block", 0, (Block("w"),))] * 20), "c", cpu=0, bound=True, priority=60),
        ]
        return Workload("woken", 2, lwps)

    same_by_both(source)


@pytest.mark.parametrize("frequency", [500_000, 1_000_000])
@pytest.mark.parametrize("name", ["haswell", "skylake-server+no-descriptors"])
def test_what_was_done_before_a_window_ends_is_charged_in_it(name, frequency, monkeypatch):
    """Where pages are looked up in a passage until the window is over, and lines of the next one come from far away."""
    monkeypatch.setattr("sim.timed.passages.counting.ROW", 1000)  # passages alone
    costs = copy(load_costs(name).with_cycles({"timer_work": 20}))
    costs.frequency_hz = frequency
    costs.caches = costs.caches._replace(l1=4, l2=4, l3=16)
    program = [User(300, reads(1, 17, 33, 49, 65)), Syscall("call", 100)] * 120

    def source():
        return Workload("windows", 1, [LwpSpec("a", iter(program), "a")], kernel_pages={"syscall": 9})

    same_by_both(source, costs=costs, cpus=1, pcid=False)


def test_a_passage_does_not_go_on_where_its_lwp_has_left_the_cpu():
    """It is preempted while its pages are looked up in user mode, and stolen by a CPU that is idle."""
    costs = copy(COSTS.with_cycles({"timer_work": 50}))
    costs.frequency_hz = 700_000
    costs.tlb = replace(costs.tlb, l1d_4k=(4, 2), stlb=(24, 12))
    crowd = [User(300, reads(*(n * step % 40 for n in range(40)))) for step in (7, 11, 13)]
    sleeps = [*[crowd[2]] * 3, Syscall("sleep", 0, (Sleep(20_000),))] * 20

    def source():
        programs = [[crowd[n % 2]] * 100 for n in range(3)] + [sleeps, sleeps]
        return Workload("stolen", 2, [LwpSpec(str(n), iter(one), f"g{n % 2}") for n, one in enumerate(programs)])

    same_by_both(source, costs=costs)


def test_a_locked_update_may_cost_nothing():
    """Then a mutex is always taken by the driver, also while that is recorded."""
    costs = COSTS.with_cycles({"locked_rmw": 0, "load": 0, "store": 0})

    def source():
        programs = [[User(300, reads(n)), Syscall("sleep", 0, (Sleep(900),))] * 20 for n in range(3)]
        return Workload("free", 2, [LwpSpec(str(n), iter(one), f"g{n}") for n, one in enumerate(programs)])

    same_by_both(source, "svs-netbsd8", costs)
