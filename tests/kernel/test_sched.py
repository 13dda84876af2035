"""Which CPU an LWP gets, who may be stolen, who is told to reschedule (kern_runq.c of NetBSD 8 and 9).

Departures are stated in ``sim/kernel/sched.py``.
"""

from __future__ import annotations

import pytest

from sim.kernel import ctxswitch, sched
from sim.kernel.lwp import LSRUN
from tests.kernel.machines import Bench


def busy(cpus: int, *, idle: tuple[int, ...] = ()) -> tuple[Bench, list]:
    """A machine whose CPUs run an LWP each, those in *idle* excepted."""
    bench = Bench("none", cpus)
    running = [None if i in idle else bench.lwp(f"on{i}", cpu=i) for i in range(cpus)]
    for i, ci in enumerate(bench.k.cpus):
        ci.ci_runqueue.idle = i in idle
    return bench, running


def sleeper(bench: Bench, cpu: int, *, boosted: bool = True):
    """An LWP that slept on a CPU, with the priority of a wake-up."""
    current = bench.k.cpus[cpu].ci_curlwp
    lwp = bench.lwp("sleeper", cpu=cpu)
    bench.k.cpus[cpu].ci_curlwp = bench.k.cpus[cpu].ci_onproc = current
    lwp.l_stat, lwp.l_kpriority = LSRUN, boosted
    return lwp


def queue(bench: Bench, cpu: int, name: str = "queued"):
    """One more LWP on the queue of a CPU."""
    lwp = sleeper(bench, cpu, boosted=False)
    lwp.l_name = name
    bench.k.cpus[cpu].ci_runqueue.add(lwp)
    return lwp


def taken(bench: Bench, lwp, waker: int = 0) -> int:
    return sched.sched_takecpu(bench.k, bench.k.cpus[waker], lwp).ci_index


def test_its_own_idle_cpu_comes_first():
    bench, _ = busy(3, idle=(0, 2))
    assert taken(bench, sleeper(bench, 2)) == 2


def test_another_idle_cpu_comes_before_a_preemption():
    bench, _ = busy(3, idle=(1,))
    assert taken(bench, sleeper(bench, 2)) == 1


def test_a_bound_lwp_stays():
    bench, _ = busy(3, idle=(1,))
    lwp = sleeper(bench, 2)
    lwp.l_bound = True
    assert taken(bench, lwp) == 2


def test_without_idle_cpus_it_stays_where_nothing_is_queued():
    bench, _ = busy(3)
    assert taken(bench, sleeper(bench, 2)) == 2


def test_with_others_queued_there_it_preempts_its_waker():
    bench, _ = busy(3)
    queue(bench, 2)
    assert taken(bench, sleeper(bench, 2), waker=1) == 1


def test_a_waker_of_its_own_priority_is_not_preempted():
    bench, running = busy(3)
    queue(bench, 2)
    queue(bench, 1)
    running[1].l_kpriority = running[2].l_kpriority = True
    # The waker, on CPU 1, and its own CPU both run something as important: the least important LWP runs on CPU 0.
    assert taken(bench, sleeper(bench, 2), waker=1) == 0


def test_an_enqueued_cpu_is_not_idle_before_it_has_switched():
    bench, _ = busy(2, idle=(0,))
    first, second = sleeper(bench, 1), sleeper(bench, 1)
    assert taken(bench, first, waker=1) == 0
    bench.run(sched.sched_enqueue(bench.k, bench.k.cpus[1], first, bench.k.cpus[0]), 1)
    assert taken(bench, second, waker=1) == 1


def test_a_switch_to_the_idle_lwp_makes_a_cpu_idle():
    bench, (old, _) = busy(2)
    bench.run(ctxswitch.mi_switch(bench.k, old))
    assert not bench.k.cpus[0].ci_runqueue.idle  # the LWP was runnable, and goes on
    bench.load(old)
    assert bench.run(sched.sleepq_block(bench.k, old, "channel"))
    bench.run(ctxswitch.mi_switch(bench.k, old, held=bench.k.sleepq_mtx))
    assert bench.k.cpus[0].ci_runqueue.idle


@pytest.mark.parametrize(("ran", "ticks", "stolen"), [(7, 7, False), (6, 7, True), (-1, 0, True)])
def test_who_ran_in_this_tick_is_not_stolen(ran, ticks, stolen):
    bench, _ = busy(2, idle=(0,))
    lwp = queue(bench, 1)
    lwp.l_rticks, bench.k.ticks = ran, ticks
    assert bench.run(sched.sched_idle(bench.k, bench.k.cpus[0])) is stolen
    assert [ci.ci_runqueue.count for ci in bench.k.cpus] == ([1, 0] if stolen else [0, 1])


def test_behind_a_hot_or_bound_one_the_next_is_stolen():
    bench, _ = busy(2, idle=(0,))
    hot, bound, next_one = (queue(bench, 1, name) for name in ("hot", "bound", "next"))
    hot.l_rticks, bound.l_bound = bench.k.ticks, True
    assert bench.run(sched.sched_idle(bench.k, bench.k.cpus[0]))
    assert bench.k.cpus[0].ci_runqueue.pop() is next_one


def asked(bench: Bench, target: int, *, immediately: bool = True) -> list[str]:
    """What CPU 1 does to ask another one to reschedule."""
    cpus = bench.k.cpus
    return bench.operations(sched.cpu_need_resched(bench.k, cpus[1], cpus[target], immediately=immediately), 1)


FLAG = ["load cpu0.ci_want_resched", "store cpu0.ci_want_resched"]


def test_each_request_is_a_plain_or_and_an_ipi_repeated_or_not():
    """x86_machdep.c 1.105, 1.127: ci_want_resched |= flags, and no early return."""
    bench, _ = busy(2)
    assert asked(bench, 0) == asked(bench, 0) == [*FLAG, "ipi resched 1"]
    assert bench.k.cpus[0].ci_want_resched.v[0] == 1


def test_a_busy_cpu_that_need_not_switch_at_once_gets_no_ipi():
    """RESCHED_LAZY: the AST is found on the way to user mode."""
    bench, _ = busy(2)
    assert asked(bench, 0, immediately=False) == FLAG


@pytest.mark.parametrize(("mwait", "ipis"), [(True, 0), (False, 1)])
def test_an_idle_cpu_needs_an_ipi_only_if_it_halts(mwait, ipis):
    """x86_cpu_idle_ipi is false with MWAIT: the store to the monitored line wakes the CPU."""
    bench, _ = busy(2, idle=(0,))
    bench.k.mwait = mwait
    assert asked(bench, 0) == [*FLAG, *["ipi resched 1"] * ipis]


def test_who_asks_its_own_cpu_sends_nothing():
    bench, _ = busy(2)
    assert asked(bench, 1) == ["load cpu1.ci_want_resched", "store cpu1.ci_want_resched"]


def test_a_cpu_is_asked_while_its_queue_is_locked():
    """sched_enqueue calls cpu_need_resched; its caller unlocks."""
    bench, _ = busy(2, idle=(0,))
    lwp = sleeper(bench, 1)
    ops = bench.operations(sched.sched_enqueue(bench.k, bench.k.cpus[1], lwp, bench.k.cpus[0]), 1)
    assert ops == ["spl 7", "acquire cpu0.spc_mutex", *FLAG, "release cpu0.spc_mutex", "spl 0"]


def test_nobody_is_asked_for_an_lwp_that_would_not_run():
    bench, running = busy(2)
    running[1].l_kpriority = True
    enqueue = sched.sched_enqueue(bench.k, bench.k.cpus[0], sleeper(bench, 1), bench.k.cpus[1])
    assert bench.operations(enqueue) == ["spl 7", "acquire cpu1.spc_mutex", "release cpu1.spc_mutex", "spl 0"]
