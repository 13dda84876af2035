"""TLB shootdown as of 2018 (x86_tlb.c 1.1.2.1): one global packet, claimed through the count of pending CPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.cpu import IPL_VM
from sim.hardware.steps import Proc, add, compare_and_swap, load, rmw, spl, store, wait
from sim.kernel.shootdown import (
    PmapTlbIntr,
    PmapTlbShootnow,
    handler_work,
    leave_if_lazy,
    pmap_tlb_invalidate,
    send_ipis,
)

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel


def _is_free(pendcount: int) -> bool:
    return pendcount == 0


def _differs_from(seen: int) -> Callable[[int], bool]:
    return lambda value: value != seen


class Shootdown2018:
    """The protocol of profiles up to ``svs-netbsd9``.

    Attributes:
        maxva: VAs a packet holds before it becomes "flush everything" (TP_MAXVA, 6).
        local_first: whether this CPU flushes before it sends, as Linux did before 2019, and not while the IPIs fly.
    """

    def __init__(self, *, local_first: bool = False) -> None:
        self.maxva = 6
        self.local_first = local_first

    @property
    def room(self) -> int:
        """TP_MAXVA."""
        return self.maxva

    def shootnow(self, k: Kernel, ci: CpuInfo) -> Proc:
        """Send the current CPU's queued shootdowns and wait for all targets (pmap_tlb_shootnow)."""
        packet = ci.ci_pmap_data
        count = yield load(packet.tp_count, 0, PmapTlbShootnow.pre_check)
        if count == 0:
            return
        previous = yield spl(max(IPL_VM, ci.cpu.ipl), PmapTlbShootnow.splvm)
        count = yield load(packet.tp_count, 0, PmapTlbShootnow.check)
        if count == 0:
            yield spl(previous, PmapTlbShootnow.splx)
            return
        me = 1 << ci.ci_index
        targets = packet.tp_cpumask
        remote = (targets & ~me).bit_count()
        k.hooks.shootdown_begin(ci, packet)
        generation = 0
        local = packet.request(ci.ci_index) if targets & me else None
        if local is not None and self.local_first:
            yield from pmap_tlb_invalidate(k, ci, local, PmapTlbShootnow)
            local = None
        if remote:
            if not (yield from self._claim(k, ci, remote, previous)):
                k.hooks.shootdown_end(ci)
                return
            generation = yield from self._send(k, ci, targets, remote)
        if local is not None:
            yield from pmap_tlb_invalidate(k, ci, local, PmapTlbShootnow)
        if count > 0:
            k.hooks.count(ci, "tlbshoot single page issues", count)
        packet.clear()
        yield store(packet.tp_count, 0, 0, PmapTlbShootnow.clear_tp_count)
        yield spl(previous, PmapTlbShootnow.splx)
        if remote:
            yield from self._wait(k, generation)
        k.hooks.shootdown_end(ci)

    def _claim(self, k: Kernel, ci: CpuInfo, remote: int, previous: int) -> Proc:
        """Own the mailbox; while it is taken, spin at the old level.  False: an interrupt sent our packet."""
        packet = ci.ci_pmap_data
        while True:
            kassert(remote < len(k.cpus), "pmap_tlb_shootnow: fewer remote targets than CPUs")
            found = yield rmw(
                k.pmap_tlb_pendcount, 0, compare_and_swap, (0, remote), PmapTlbShootnow.cas_pmap_tlb_pendcount
            )
            if found == 0:
                return True
            # Others' flushes need not keep interrupts waiting here.  Once the mailbox is ours the level stays up: a
            # handler on this CPU that wanted it would wait for the code that it interrupted.
            yield spl(previous, PmapTlbShootnow.splx)
            yield wait(k.pmap_tlb_pendcount, 0, _is_free, PmapTlbShootnow.spin_for_mailbox)
            yield spl(max(IPL_VM, ci.cpu.ipl), PmapTlbShootnow.splvm)
            count = yield load(packet.tp_count, 0, PmapTlbShootnow.sent_meanwhile)
            # A handler that had pages to flush has sent this CPU's packet, and our requests with its own.
            if count == 0:
                yield spl(previous, PmapTlbShootnow.splx)
                return False

    def _send(self, k: Kernel, ci: CpuInfo, targets: int, remote: int) -> Proc:
        """New generation, copy the packet, IPIs."""
        old = yield load(k.pmap_tlb_gen, 0, PmapTlbShootnow.pmap_tlb_gen)
        yield store(k.pmap_tlb_gen, 0, old + 1, PmapTlbShootnow.bump_pmap_tlb_gen)
        request = ci.ci_pmap_data.request(ci.ci_index)
        yield store(k.pmap_tlb_packet, 0, request, PmapTlbShootnow.copy_packet)
        k.hooks.count(ci, "TLB shootdown")
        broadcast = yield from send_ipis(k, ci, targets)
        k.hooks.shootdown_sent(ci, remote, broadcast, old + 1)
        return old + 1

    def _wait(self, k: Kernel, generation: int) -> Proc:
        """Until nobody is pending or somebody else's generation has begun: both words are polled in turn."""
        pending = yield load(k.pmap_tlb_pendcount, 0, PmapTlbShootnow.pending)
        kassert(pending < len(k.cpus), "pmap_tlb_shootnow: pmap_tlb_pendcount < ncpu")
        # The count is not ours any more once it has come to 0 and another CPU has claimed it: the generation tells.
        if pending:
            begun = (k.pmap_tlb_gen, 0, _differs_from(generation))
            yield wait(k.pmap_tlb_pendcount, 0, _is_free, PmapTlbShootnow.wait_for_ack, begun)

    def intr(self, k: Kernel, ci: CpuInfo) -> Proc:
        """The IPI handler (pmap_tlb_intr): invalidate, maybe leave pm_cpus, acknowledge."""
        yield from handler_work()
        pending = yield load(k.pmap_tlb_pendcount, 0, PmapTlbIntr.pmap_tlb_pendcount)
        kassert(pending > 0, "pmap_tlb_intr: pmap_tlb_pendcount > 0")
        request = yield load(k.pmap_tlb_packet, 0, PmapTlbIntr.read_packet)
        yield from pmap_tlb_invalidate(k, ci, request, PmapTlbIntr)
        # Before the acknowledgement: then the initiator may go on, and the next shootdown asks pm_cpus whom to tell.
        yield from leave_if_lazy(k, ci, request)
        yield rmw(k.pmap_tlb_pendcount, 0, add, -1, PmapTlbIntr.ack)
