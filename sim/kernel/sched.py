"""Run queues, wake-up, round robin, stealing (sys/kern/kern_runq.c, kern_synch.c, kern_sleepq.c).

One scheduler, that of NetBSD 8 and 9, serves all profiles, so that they differ in isolation only.  It departs from them
in three points: an idle CPU is taken before anybody is preempted; a CPU that becomes idle looks at all queues, not only
at the one that was longest on average; and an LWP that ran in the present tick (cache-hot) is not stolen, but is not
held on its CPU when it is woken either.  docs/kernel.rst says what they change.  Not modelled: the 4.4BSD decay of
priorities by CPU use (they are fixed but for the kernel-level boost after a sleep), and moving LWPs that never sleep.
Queue contents change only under the CPU's ``spc_mutex``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.cpu import IPL_SCHED, VECTOR_RESCHED
from sim.hardware.lock import Mutex
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Proc, cost, ipi, load, spl, store
from sim.kernel.lwp import LSONPROC, LSRUN, LSSLEEP, PRI_KERNEL
from sim.kernel.mutex import TakesMutex, mutex_enter, mutex_exit

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp

RR_TICKS = 10  # mstohz(100) at HZ = 100
MIN_CATCH = 1


class RunQueue:
    """A CPU's queue: a deque for each priority in use.

    Attributes:
        idle: SPCF_IDLE, from the choice of the idle LWP until something is queued.
    """

    __slots__ = ("count", "idle", "queues", "spc_mutex")

    def __init__(self, ci: CpuInfo) -> None:
        self.queues: dict[int, deque[Lwp]] = {}
        self.count = 0
        self.idle = True
        self.spc_mutex = Mutex(f"cpu{ci.ci_index}.spc_mutex", "spc_mutex", IPL_SCHED)

    def add(self, lwp: Lwp) -> None:
        """Append at the tail of its priority."""
        self.queues.setdefault(lwp.eprio, deque()).append(lwp)
        self.count += 1
        self.idle = False

    def best(self) -> int:
        """Highest priority queued (spc_maxpriority), or -2."""
        return max((p for p, queue in self.queues.items() if queue), default=-2)

    @property
    def mcount(self) -> int:
        """How many queued LWPs may migrate (spc_mcount)."""
        return sum(not lwp.l_bound for queue in self.queues.values() for lwp in queue) if self.count else 0

    def pop(self) -> Lwp | None:
        """Take the first LWP of the highest priority."""
        if not self.count:
            return None
        self.count -= 1
        return self.queues[self.best()].popleft()

    def catch(self, ticks: int) -> Lwp | None:
        """Take the first LWP of the highest priority that is neither bound nor cache-hot at the tick *ticks*."""
        queue = self.queues.get(self.best(), deque())
        for i, lwp in enumerate(queue):
            kassert(lwp.l_stat == LSRUN, "sched_catchlwp: what is queued is LSRUN")
            if not lwp.l_bound and lwp.l_rticks != ticks:
                del queue[i]
                self.count -= 1
                return lwp
        return None


def curpriority(ci: CpuInfo) -> int:
    """spc_curpriority: the effective priority of what was given that CPU last."""
    return ci.ci_onproc.eprio


def sched_takecpu(k: Kernel, curcpu: CpuInfo, lwp: Lwp) -> CpuInfo:
    """Choose the CPU for an LWP that becomes runnable.

    Its own (a new one's: its creator's) if idle, another idle one, its own if nothing is queued there, this one if it
    preempts here, else the CPU with the least important LWP.
    """
    here = lwp.l_cpu
    if lwp.l_bound or here.ci_runqueue.idle:
        return here
    best = _bestcpu(k, here)
    if best.ci_runqueue.idle:
        return best
    if not here.ci_runqueue.count:
        return here
    if lwp.eprio > curpriority(curcpu):
        return curcpu
    return best


def _bestcpu(k: Kernel, pivot: CpuInfo) -> CpuInfo:
    """The first idle CPU, or the one with the lowest priority, of equal ones the shortest queue."""
    best, lowest = pivot, _load(pivot)
    for ci in _from_package_of(k, pivot):
        if ci.ci_runqueue.idle:
            return ci
        there = _load(ci)
        if there > lowest or there == lowest and best.ci_runqueue.count < ci.ci_runqueue.count:
            continue
        best, lowest = ci, there
    return best


def _from_package_of(k: Kernel, pivot: CpuInfo) -> list[CpuInfo]:
    """All CPUs, package by package, beginning with that of *pivot*."""
    first = next(i for i, package in enumerate(k.packages) if pivot in package)
    return [ci for package in (*k.packages[first:], *k.packages[:first]) for ci in package]


def _load(ci: CpuInfo) -> int:
    """Highest priority that runs or waits on a CPU."""
    return max(curpriority(ci), ci.ci_runqueue.best())


class SchedEnqueue(TakesMutex, name="sched_enqueue", cause="scheduler"):
    insert = site("insert")


def sched_enqueue(k: Kernel, ci: CpuInfo, lwp: Lwp, target: CpuInfo) -> Proc:
    """Put *lwp* on the queue of *target* and tell that CPU if it should switch (sched_enqueue, cpu_need_resched)."""
    queue = target.ci_runqueue
    yield from mutex_enter(ci, queue.spc_mutex, SchedEnqueue)
    yield cost("enqueue_work", SchedEnqueue.insert)
    kassert(queue.spc_mutex.owner is ci.cpu, "sched_enqueue: spc_mutex owned")
    lwp.l_stat = LSRUN
    queue.add(lwp)
    k.hooks.lwp_runnable(target, lwp)
    if lwp.eprio > curpriority(target):
        yield from cpu_need_resched(k, ci, target, immediately=lwp.eprio >= PRI_KERNEL)
    yield from mutex_exit(ci, queue.spc_mutex, SchedEnqueue)


class CpuNeedResched(Procedure, name="cpu_need_resched", cause="scheduler"):
    ci_want_resched = site("ci_want_resched")
    x86_send_ipi = site("x86_send_ipi")


def cpu_need_resched(k: Kernel, ci: CpuInfo, target: CpuInfo, *, immediately: bool) -> Proc:
    """Ask *target*, whose spc_mutex is held, to reschedule: its flag, by a plain or, and perhaps an IPI.

    A CPU that idles in MWAIT gets none: the store wakes it.  One that is busy gets none unless it is to switch
    *immediately* (RESCHED_IMMED); else it finds the flag on its way to user mode.
    """
    asked = yield load(target.ci_want_resched, 0, CpuNeedResched.ci_want_resched)
    yield store(target.ci_want_resched, 0, asked | 1, CpuNeedResched.ci_want_resched)
    if target is not ci and (not k.mwait if target.ci_onproc is target.ci_idlelwp else immediately):
        yield ipi(VECTOR_RESCHED, 1 << target.ci_index, False, CpuNeedResched.x86_send_ipi)
        k.hooks.count(ci, "reschedule IPIs")


class SleepqBlock(TakesMutex, name="sleepq_block", cause="scheduler"): ...


def sleepq_block(k: Kernel, lwp: Lwp, channel: int | str) -> Proc:
    """Go to sleep on *channel* unless its wake-up came first.

    True if the LWP has to switch away; then ``sleepq_mtx`` is still held, and mi_switch lets go of it once
    ``l_ctxswtch`` is set: nobody can wake the LWP (and give it another CPU) before that.
    """
    ci = lwp.l_cpu
    yield from mutex_enter(ci, k.sleepq_mtx, SleepqBlock)
    kassert(k.sleepq_mtx.owner is ci.cpu, "sleepq_enqueue: sleepq_mtx owned")
    if k.tokens.get(channel, 0):
        k.tokens[channel] -= 1
        if not k.tokens[channel]:
            del k.tokens[channel]
        yield from mutex_exit(ci, k.sleepq_mtx, SleepqBlock)
        k.hooks.count(ci, "sleeps avoided")
        return False
    kassert(lwp.l_stat == LSONPROC, "sleepq_enqueue: the LWP is LSONPROC")
    kassert(channel not in k.channels, "sleepq_block: one sleeper a channel")
    k.channels[channel] = lwp
    lwp.l_stat = LSSLEEP
    lwp.channel = channel
    return True


class Wakeup(TakesMutex, name="wakeup", cause="scheduler"):
    sleepq_wake = site("sleepq_wake")


def wakeup(k: Kernel, ci: CpuInfo, channel: int | str) -> Proc:
    """Wake the sleeper on *channel*, or leave a wake-up behind for it (sleepq_wake, setrunnable)."""
    yield from mutex_enter(ci, k.sleepq_mtx, Wakeup)
    yield cost("wakeup_work", Wakeup.sleepq_wake)
    kassert(k.sleepq_mtx.owner is ci.cpu, "sleepq_wake: sleepq_mtx owned")
    lwp = k.channels.pop(channel, None)
    if lwp is None:
        k.tokens[channel] = k.tokens.get(channel, 0) + 1
    yield from mutex_exit(ci, k.sleepq_mtx, Wakeup)
    if lwp is None:
        return
    kassert(lwp.l_stat == LSSLEEP, "sleepq_remove: the LWP is LSSLEEP")
    lwp.channel = None
    lwp.l_kpriority = True
    k.hooks.count(ci, "wakeups")
    yield from sched_enqueue(k, ci, lwp, sched_takecpu(k, ci, lwp))


class SchedTick(Procedure, name="sched_tick", cause="scheduler"):
    ci_want_resched = site("ci_want_resched")


def sched_tick(k: Kernel, ci: CpuInfo) -> Proc:
    """Round robin: after its quantum an LWP yields to one of at least its priority."""
    lwp = ci.ci_curlwp
    if lwp is ci.ci_idlelwp:
        return
    lwp.l_slice += 1
    if lwp.l_slice >= RR_TICKS:
        lwp.l_slice = 0
        if ci.ci_runqueue.best() >= lwp.eprio:
            k.hooks.count(ci, "round-robin preemptions")
            yield store(ci.ci_want_resched, 0, 1, SchedTick.ci_want_resched)


def sched_idle(k: Kernel, ci: CpuInfo) -> Proc:
    """An idle CPU looks for work on the others, its own package first; True if it got some."""
    for other in _from_package_of(k, ci):
        if other is not ci and other.ci_runqueue.mcount >= MIN_CATCH and (yield from sched_catchlwp(k, ci, other)):
            return True
    return False


class SchedCatchlwp(TakesMutex, name="sched_catchlwp", cause="scheduler"): ...


class SchedIdle(TakesMutex, name="sched_idle", cause="scheduler"):
    splx = site("splx")


class SpcDlock(TakesMutex, name="spc_dlock", cause="scheduler"):
    splraise = site("splraise")


def sched_catchlwp(k: Kernel, ci: CpuInfo, victim: CpuInfo) -> Proc:
    """Move an LWP from *victim*'s queue to this CPU's, both locked in the order of the CPUs; True if there was one."""
    mine, theirs = ci.ci_runqueue, victim.ci_runqueue
    # The level stays up until both are released, whichever is released first.
    previous = yield spl(IPL_SCHED, SpcDlock.splraise)
    for queue in (mine, theirs) if ci.ci_index < victim.ci_index else (theirs, mine):
        yield from mutex_enter(ci, queue.spc_mutex, SpcDlock)
    kassert(all(queue.spc_mutex.owner is ci.cpu for queue in (mine, theirs)), "sched_catchlwp: both spc_mutex owned")
    lwp = theirs.catch(k.ticks) if theirs.mcount >= MIN_CATCH else None
    yield from mutex_exit(ci, theirs.spc_mutex, SchedCatchlwp)
    if lwp is not None:
        yield cost("enqueue_work", SchedEnqueue.insert)
        mine.add(lwp)
        k.hooks.lwp_runnable(ci, lwp)
        k.hooks.count(ci, "steals")
    yield from mutex_exit(ci, mine.spc_mutex, SchedIdle)
    yield spl(previous, SchedIdle.splx)
    return lwp is not None


class SchedPstats(Procedure, name="sched_pstats", cause="scheduler"):
    scan = site("scan")


def sched_pstats(k: Kernel, ci: CpuInfo) -> Proc:
    """The callout of once a second that goes through the queues; what it decays is not modelled."""
    yield cost("balance_work", SchedPstats.scan)
    k.hooks.count(ci, "sched_pstats")
