"""Run queues, wake-up, round robin, stealing and balancing (sys/kern/kern_runq.c, kern_synch.c, kern_sleepq.c).

Priorities are fixed but for the kernel-level boost after a sleep; the 4.4BSD decay by CPU use is not modelled.  Queue
contents change only under the CPU's ``spc_mutex``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.cpu import IPL_SCHED, VECTOR_RESCHED
from sim.hardware.lock import Mutex
from sim.hardware.steps import Proc, cost, ipi, store
from sim.kernel.lwp import LSRUN, LSSLEEP
from sim.kernel.mutex import mutex_enter, mutex_exit

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp

RR_TICKS = 10  # mstohz(100) at HZ = 100
CACHE_HOT_TICKS = 1  # cacht_time, 3 ms rounded up


class RunQueue:
    """A CPU's queue: a deque for each priority in use."""

    __slots__ = ("count", "queues", "spc_mutex")

    def __init__(self, ci: CpuInfo) -> None:
        self.queues: dict[int, deque[Lwp]] = {}
        self.count = 0
        self.spc_mutex = Mutex(f"cpu{ci.ci_index}.spc_mutex", "spc_mutex", IPL_SCHED)

    def add(self, lwp: Lwp) -> None:
        """Append at the tail of its priority."""
        self.queues.setdefault(lwp.eprio, deque()).append(lwp)
        self.count += 1

    def best(self) -> int:
        """Highest priority queued, or -2."""
        return max((p for p, queue in self.queues.items() if queue), default=-2)

    def pop(self) -> Lwp | None:
        """Take the first LWP of the highest priority."""
        if not self.count:
            return None
        self.count -= 1
        return self.queues[self.best()].popleft()

    def steal(self, ticks: int, *, gentle: bool) -> Lwp | None:
        """Take the best LWP that is not bound and, if *gentle*, not cache-hot (sched_catchlwp)."""
        for priority in sorted(self.queues, reverse=True):
            queue = self.queues[priority]
            for i, lwp in enumerate(queue):
                if not lwp.l_bound and not (gentle and ticks - lwp.l_rticks < CACHE_HOT_TICKS):
                    del queue[i]
                    self.count -= 1
                    return lwp
        return None


def curpriority(ci: CpuInfo) -> int:
    """spc_curpriority: the effective priority of what runs there."""
    return ci.ci_curlwp.eprio


def sched_takecpu(k: Kernel, lwp: Lwp) -> CpuInfo:
    """Choose the CPU for an LWP that becomes runnable, as since 2020: its own if idle, an idle one, a hot one.

    All profiles use this rule, so that they differ in isolation only.
    """
    here = lwp.l_cpu
    if lwp.l_bound or len(k.cpus) == 1 or _load(here) < 0:
        return here
    best, lowest = here, _load(here)
    for offset in range(1, len(k.cpus)):
        ci = k.cpus[(here.ci_index + offset) % len(k.cpus)]
        load = _load(ci)
        if load < 0:
            return ci
        if load < lowest:
            best, lowest = ci, load
    if k.ticks - lwp.l_rticks < CACHE_HOT_TICKS and lwp.l_ncsw > 0 and lwp.eprio >= curpriority(here):
        return here
    return best


def _load(ci: CpuInfo) -> int:
    """Highest priority that runs or waits on a CPU; negative if it is idle."""
    return max(curpriority(ci), ci.ci_runqueue.best())


def sched_enqueue(k: Kernel, ci: CpuInfo, lwp: Lwp, target: CpuInfo) -> Proc:
    """Put *lwp* on the queue of *target* and tell that CPU if it should switch (sched_enqueue, cpu_need_resched)."""
    queue = target.ci_runqueue
    yield from mutex_enter(ci, queue.spc_mutex, "sched_enqueue")
    yield cost("enqueue_work", "sched_enqueue:insert")
    lwp.l_stat = LSRUN
    queue.add(lwp)
    k.hooks.lwp_runnable(target, lwp)
    preempts = lwp.eprio > curpriority(target)
    yield from mutex_exit(ci, queue.spc_mutex, "sched_enqueue")
    if preempts:
        yield from cpu_need_resched(k, ci, target)


def cpu_need_resched(k: Kernel, ci: CpuInfo, target: CpuInfo) -> Proc:
    """Ask *target* to reschedule: its flag, and an IPI if it is another CPU."""
    yield store(target.ci_want_resched, 0, 1, "cpu_need_resched:ci_want_resched")
    if target is not ci:
        yield ipi(VECTOR_RESCHED, 1 << target.ci_index, False, "cpu_need_resched:x86_send_ipi")
        k.hooks.count(ci, "reschedule IPIs")


def sleepq_block(k: Kernel, lwp: Lwp, channel: int | str) -> Proc:
    """Go to sleep on *channel* unless its wake-up came first.

    True if the LWP has to switch away; then ``sleepq_mtx`` is still held, and mi_switch lets go of it once
    ``l_ctxswtch`` is set: nobody can wake the LWP (and give it another CPU) before that.
    """
    ci = lwp.l_cpu
    yield from mutex_enter(ci, k.sleepq_mtx, "sleepq_block")
    if k.tokens.get(channel, 0):
        k.tokens[channel] -= 1
        if not k.tokens[channel]:
            del k.tokens[channel]
        yield from mutex_exit(ci, k.sleepq_mtx, "sleepq_block")
        k.hooks.count(ci, "sleeps avoided")
        return False
    kassert(channel not in k.channels, "sleepq_block: one sleeper a channel")
    k.channels[channel] = lwp
    lwp.l_stat = LSSLEEP
    lwp.channel = channel
    return True


def wakeup(k: Kernel, ci: CpuInfo, channel: int | str) -> Proc:
    """Wake the sleeper on *channel*, or leave a wake-up behind for it (sleepq_wake, setrunnable)."""
    yield from mutex_enter(ci, k.sleepq_mtx, "wakeup")
    yield cost("wakeup_work", "wakeup:sleepq_wake")
    lwp = k.channels.pop(channel, None)
    if lwp is None:
        k.tokens[channel] = k.tokens.get(channel, 0) + 1
    yield from mutex_exit(ci, k.sleepq_mtx, "wakeup")
    if lwp is None:
        return
    lwp.channel = None
    lwp.l_kpriority = True
    k.hooks.count(ci, "wakeups")
    yield from sched_enqueue(k, ci, lwp, sched_takecpu(k, lwp))


def sched_tick(k: Kernel, ci: CpuInfo) -> Proc:
    """Round robin: after its quantum an LWP yields to one of at least its priority."""
    lwp = ci.ci_curlwp
    lwp.l_rticks = k.ticks
    if lwp is ci.ci_idlelwp:
        return
    lwp.l_slice += 1
    if lwp.l_slice >= RR_TICKS:
        lwp.l_slice = 0
        if ci.ci_runqueue.best() >= lwp.eprio:
            k.hooks.count(ci, "round-robin preemptions")
            yield store(ci.ci_want_resched, 0, 1, "sched_tick:ci_want_resched")


def sched_steal(k: Kernel, ci: CpuInfo) -> Proc:
    """An idle CPU takes an LWP from the longest queue (sched_idle, sched_catchlwp); True if it got one."""
    victim = max(k.cpus, key=lambda other: (other.ci_runqueue.count, -other.ci_index))
    if victim is ci or victim.ci_runqueue.count == 0:
        return False
    yield from mutex_enter(ci, victim.ci_runqueue.spc_mutex, "sched_catchlwp")
    lwp = victim.ci_runqueue.steal(k.ticks, gentle=False)
    yield from mutex_exit(ci, victim.ci_runqueue.spc_mutex, "sched_catchlwp")
    if lwp is None:
        return False
    k.hooks.count(ci, "steals")
    yield from sched_enqueue(k, ci, lwp, ci)
    return True


def sched_balance(k: Kernel, ci: CpuInfo) -> Proc:
    """Periodic balancing: if the longest queue has two more than the shortest, move one LWP."""
    yield cost("balance_work", "sched_balance:scan")
    busiest = max(k.cpus, key=lambda other: (other.ci_runqueue.count, -other.ci_index))
    laziest = min(k.cpus, key=lambda other: (other.ci_runqueue.count, other.ci_index))
    if busiest.ci_runqueue.count - laziest.ci_runqueue.count < 2:
        return
    yield from mutex_enter(ci, busiest.ci_runqueue.spc_mutex, "sched_balance")
    lwp = busiest.ci_runqueue.steal(k.ticks, gentle=True)
    yield from mutex_exit(ci, busiest.ci_runqueue.spc_mutex, "sched_balance")
    if lwp is not None:
        k.hooks.count(ci, "balance migrations")
        yield from sched_enqueue(k, ci, lwp, laziest)
