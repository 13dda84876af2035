"""TLB shootdown as Linux does it (kernel/smp.c, arch/x86/mm/tlb.c): a queue of calls for each CPU, no common mailbox.

An initiator locks an entry of its own for each target, puts it into the target's queue, and sends an IPI only to those
whose queue was empty.  It flushes its own TLB before that or meanwhile, then waits until every entry is unlocked.  A
target takes its whole queue at once and unlocks each entry when it has done what it says, or has seen by the count of
changes that it has flushed that already (:mod:`sim.kernel.contexts`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.hardware.cpu import IPL_VM
from sim.hardware.memory import Words
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Proc, load, rmw, spl, store, wait
from sim.kernel.shootdown import (
    PmapTlbIntr,
    PmapTlbShootnow,
    Request,
    handler_work,
    leave_if_lazy,
    pmap_tlb_invalidate,
    send_ipis,
)

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel

MOST_PAGES = 33  # tlb_single_page_flush_ceiling
LOCKED = 1


class CallMany(Procedure, name="smp_call_function_many", cause="shootdown IPI send"):
    csd_lock = site("csd_lock")
    enqueue = site("llist_add")
    csd_wait = site("csd_lock_wait", "shootdown ack wait")


class CallQueue(Procedure, name="flush_smp_call_function_queue", cause="shootdown receiver"):
    take = site("llist_del_all")
    read = site("read flush_tlb_info")
    unlock = site("csd_unlock")


def _push(queue: tuple[Any, ...], entry: Any) -> tuple[Any, ...]:
    """Locked: put an entry into a queue."""
    return (*queue, entry)


def _take(queue: tuple[Any, ...], empty: tuple[Any, ...]) -> tuple[Any, ...]:
    """XCHG: leave the queue empty."""
    return empty


def _unlocked(flag: int) -> bool:
    return flag != LOCKED


class ShootdownQueues:
    """The protocol.

    Attributes:
        maxva: pages that are flushed one by one; more become "flush everything".
        local_first: whether this CPU flushes before it sends (before Linux 5.13), and not while the IPIs fly.
    """

    def __init__(self, *, local_first: bool = False) -> None:
        self.maxva = MOST_PAGES
        self.room = None  # flush_tlb_info has a start and an end
        self.local_first = local_first
        self._queues: dict[int, Words] = {}
        self._entries: dict[tuple[int, int], Words] = {}

    def _queue(self, cpu: int) -> Words:
        """A CPU's queue, in a cache line of its own."""
        if cpu not in self._queues:
            queue = self._queues[cpu] = Words(f"cpu{cpu}.call_single_queue")
            queue.v[0] = ()
        return self._queues[cpu]

    def _entry(self, source: int, target: int) -> Words:
        """An initiator's entry for a target, in a cache line of its own: its lock."""
        key = source, target
        if key not in self._entries:
            self._entries[key] = Words(f"cpu{source}.csd for cpu{target}")
        return self._entries[key]

    def shootnow(self, k: Kernel, ci: CpuInfo) -> Proc:
        """Flush what this CPU has queued, here and on all targets, and wait for them."""
        packet = ci.ci_pmap_data
        count = yield load(packet.tp_count, 0, PmapTlbShootnow.pre_check)
        if count == 0:
            return
        previous = yield spl(max(IPL_VM, ci.cpu.ipl), PmapTlbShootnow.splvm)
        count = yield load(packet.tp_count, 0, PmapTlbShootnow.check)
        if count == 0:
            yield spl(previous, PmapTlbShootnow.splx)
            return
        k.hooks.shootdown_begin(ci, packet)
        request, targets, me = packet.request(ci.ci_index), packet.tp_cpumask, 1 << ci.ci_index
        packet.clear()
        yield store(packet.tp_count, 0, 0, PmapTlbShootnow.clear_tp_count)
        if targets & me and self.local_first:
            yield from pmap_tlb_invalidate(k, ci, request, PmapTlbShootnow)
        info = Words(f"cpu{ci.ci_index}.flush_tlb_info")
        info.v[0] = request  # on this CPU's stack
        sent = (yield from self._send(k, ci, info, targets & ~me)) if targets & ~me else []
        if targets & me and not self.local_first:
            yield from pmap_tlb_invalidate(k, ci, request, PmapTlbShootnow)
        yield spl(previous, PmapTlbShootnow.splx)
        for entry in sent:
            yield wait(entry, 0, _unlocked, CallMany.csd_wait)
        if sent:
            info.end()
            k.hooks.stack_left(info)
        if count > 0:
            k.hooks.count(ci, "tlbshoot single page issues", count)
        k.hooks.shootdown_end(ci)

    def _send(self, k: Kernel, ci: CpuInfo, info: Words, targets: int) -> Proc:
        """Put an entry into the queue of each target, then IPIs to those that had nothing to do; return the entries."""
        entries: list[Words] = []
        idle = 0
        for other in k.cpus:
            if targets >> other.ci_index & 1:
                entry = self._entry(ci.ci_index, other.ci_index)
                yield store(entry, 0, LOCKED, CallMany.csd_lock)
                before = yield rmw(self._queue(other.ci_index), 0, _push, (entry, info), CallMany.enqueue)
                idle |= 0 if before else 1 << other.ci_index
                entries.append(entry)
        k.hooks.count(ci, "TLB shootdown")
        broadcast = (yield from send_ipis(k, ci, idle | 1 << ci.ci_index)) if idle else False
        k.hooks.shootdown_sent(ci, len(entries), broadcast, 0)
        return entries

    def intr(self, k: Kernel, ci: CpuInfo) -> Proc:
        """The IPI: whatever is in this CPU's queue by now; nothing, if an earlier IPI's handler took it."""
        yield from handler_work()
        entries = yield rmw(self._queue(ci.ci_index), 0, _take, (), CallQueue.take)
        for entry, info in entries:
            request: Request = yield load(info, 0, CallQueue.read)
            yield from pmap_tlb_invalidate(k, ci, request, PmapTlbIntr)
            yield from leave_if_lazy(k, ci, request)
            yield store(entry, 0, 0, CallQueue.unlock)
