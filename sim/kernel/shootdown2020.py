"""TLB shootdown as of 2020 (x86_tlb.c 1.20): packets on the initiator's stack, a pointer as mailbox, early acks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.cpu import IPL_VM
from sim.hardware.memory import Words
from sim.hardware.steps import Proc, add, compare_and_swap, load, rmw, spl, store, wait
from sim.kernel.shootdown import Request, handler_work, leave_if_lazy, pmap_tlb_invalidate, send_ipis

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel


def _is_null(pointer: object) -> bool:
    return pointer == 0


def _is_done(done: int) -> bool:
    return done == 1


class StackPacket:
    """A packet on the initiator's stack: contents, count of CPUs still to acknowledge, and the done flag."""

    __slots__ = ("request", "tp_done", "tp_refcnt")

    def __init__(self, request: Request, remote: int) -> None:
        name = f"cpu{request.initiator}.packet"
        self.request = request
        self.tp_refcnt = Words(f"{name}.tp_refcnt", 1, remote)
        self.tp_done = Words(f"{name}.tp_done")


class Shootdown2020:
    """The protocol of ``svs-netbsd10``; ``maxva`` is TP_MAXVA, 16."""

    def __init__(self) -> None:
        self.maxva = 16

    def shootnow(self, k: Kernel, ci: CpuInfo) -> Proc:
        """Send the current CPU's queued shootdowns; local ones skip the mailbox (pmap_tlb_shootnow)."""
        packet = ci.ci_pmap_data
        count = yield load(packet.tp_count, 0, "pmap_tlb_shootnow:pre-check")
        if count == 0:
            return
        previous = yield spl(max(IPL_VM, ci.cpu.ipl), "pmap_tlb_shootnow:splvm")
        count = yield load(packet.tp_count, 0, "pmap_tlb_shootnow:check")
        if count == 0:
            yield spl(previous, "pmap_tlb_shootnow:splx")
            return
        me = 1 << ci.ci_index
        targets = packet.tp_cpumask
        remote = (targets & ~me).bit_count()
        request = packet.request(ci.ci_index)
        k.hooks.shootdown_begin(ci, packet)
        packet.clear()
        yield store(packet.tp_count, 0, 0, "pmap_tlb_shootnow:clear tp_count")
        if count > 0:
            k.hooks.count(ci, "tlbshoot single page issues", count)
        sent: StackPacket | None = None
        if remote:
            sent = StackPacket(request, remote)
            yield from self._claim(k, ci, sent)
            k.hooks.count(ci, "TLB shootdown")
            broadcast = yield from send_ipis(k, ci, targets)
            k.hooks.shootdown_sent(ci, remote, broadcast, 0)
        yield spl(previous, "pmap_tlb_shootnow:splx")
        if targets & me:
            yield from pmap_tlb_invalidate(k, ci, request, "pmap_tlb_shootnow")
        if sent is not None:
            yield wait(sent.tp_done, 0, _is_done, "pmap_tlb_shootnow:wait for ack")
        k.hooks.shootdown_end(ci)

    def _claim(self, k: Kernel, ci: CpuInfo, sent: StackPacket) -> Proc:
        """Put our packet's address into the mailbox; interrupts stay deliverable (TLB IPIs ignore the level)."""
        while True:
            found = yield rmw(
                k.pmap_tlb_packet, 0, compare_and_swap, (0, sent), "pmap_tlb_shootnow:cas pmap_tlb_packet"
            )
            if found == 0:
                return
            yield wait(k.pmap_tlb_packet, 0, _is_null, "pmap_tlb_shootnow:spin for mailbox")

    def intr(self, k: Kernel, ci: CpuInfo) -> Proc:
        """The IPI handler (pmap_tlb_intr): copy, acknowledge, then flush, all with interrupts off."""
        kassert(not ci.cpu.intr, "pmap_tlb_intr: interrupts off")
        yield from handler_work("pmap_tlb_intr")
        source = yield load(k.pmap_tlb_packet, 0, "pmap_tlb_intr:read pointer")
        kassert(source != 0, "pmap_tlb_intr: a packet is posted")
        request: Request = source.request
        before = yield rmw(source.tp_refcnt, 0, add, -1, "pmap_tlb_intr:ack")
        if before == 1:
            yield store(k.pmap_tlb_packet, 0, 0, "pmap_tlb_intr:clear pointer")
            yield store(source.tp_done, 0, 1, "pmap_tlb_intr:done")
        yield from pmap_tlb_invalidate(k, ci, request, "pmap_tlb_intr")
        yield from leave_if_lazy(k, ci, request)
