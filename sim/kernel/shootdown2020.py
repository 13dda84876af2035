"""TLB shootdown as of x86_tlb.c 1.20: packets on the initiator's stack, a pointer as mailbox, early acks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.cpu import IPL_VM
from sim.hardware.memory import Words
from sim.hardware.steps import Proc, add, compare_and_swap, load, rmw, spl, store, wait
from sim.kernel.shootdown import (
    Packet,
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

TP_STORE, TP_DONE = 0, 3
TP_WORDS = 16


def _is_null(pointer: object) -> bool:
    return pointer == 0


def _is_done(done: int) -> bool:
    return done == 1


class StackPacket:
    """A packet on the initiator's stack: 128 bytes, of which one word stands for the contents and one is the done flag.

    Both share a cache line, as in NetBSD, where the flag is a low bit of the fourth address.
    """

    __slots__ = ("tp_store",)

    def __init__(self, request: Request) -> None:
        self.tp_store = Words(f"cpu{request.initiator}.packet", TP_WORDS)
        self.tp_store.v[TP_STORE] = request

    def __repr__(self) -> str:
        return f"<{self.tp_store.name}>"


class Shootdown2020:
    """The protocol of ``svs-netbsd10``; ``maxva`` is TP_MAXVA, 16."""

    def __init__(self) -> None:
        self.maxva = 16

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
        k.hooks.shootdown_begin(ci, packet)
        request = packet.request(ci.ci_index)
        me = 1 << ci.ci_index
        targets = packet.tp_cpumask
        if not targets & ~me:
            yield from pmap_tlb_invalidate(k, ci, request, PmapTlbShootnow)
            yield from self._clear(packet, previous)
        else:
            sent = StackPacket(request)
            if (yield from self._send(k, ci, sent, targets, previous)) and count > 0:
                k.hooks.count(ci, "tlbshoot single page issues", count)
            sent.tp_store.end()
            k.hooks.stack_left(sent.tp_store)
        k.hooks.shootdown_end(ci)

    def _clear(self, packet: Packet, previous: int) -> Proc:
        """Empty this CPU's packet for the next user and lower the level."""
        packet.clear()
        yield store(packet.tp_count, 0, 0, PmapTlbShootnow.clear_tp_count)
        yield spl(previous, PmapTlbShootnow.splx)

    def _send(self, k: Kernel, ci: CpuInfo, sent: StackPacket, targets: int, previous: int) -> Proc:
        """Claim the mailbox, send, flush here meanwhile, wait.  False: an interrupt sent our packet."""
        me = 1 << ci.ci_index
        remote = (targets & ~me).bit_count()
        kassert(remote < len(k.cpus), "pmap_tlb_shootnow: fewer remote targets than CPUs")
        if not (yield from self._claim(k, ci, sent, previous)):
            return False
        # Plain, as the owner of the pointer alone writes it; the ICR write that follows is ordered after it.
        yield store(k.pmap_tlb_pendcount, 0, remote, PmapTlbShootnow.pmap_tlb_pendcount)
        k.hooks.count(ci, "TLB shootdown")
        broadcast = yield from send_ipis(k, ci, targets)
        k.hooks.shootdown_sent(ci, remote, broadcast, 0)
        yield from self._clear(ci.ci_pmap_data, previous)
        if targets & me:
            request: Request = sent.tp_store.v[TP_STORE]
            yield from pmap_tlb_invalidate(k, ci, request, PmapTlbShootnow)
        yield wait(sent.tp_store, TP_DONE, _is_done, PmapTlbShootnow.wait_for_ack)
        return True

    def _claim(self, k: Kernel, ci: CpuInfo, sent: StackPacket, previous: int) -> Proc:
        """Put our packet's address into the mailbox; while it is taken, spin at the old level."""
        packet = ci.ci_pmap_data
        while True:
            found = yield rmw(k.pmap_tlb_packet, 0, compare_and_swap, (0, sent), PmapTlbShootnow.cas_pmap_tlb_packet)
            if found == 0:
                return True
            kassert(found is not sent, "pmap_tlb_shootnow: the mailbox does not hold this packet yet")
            # Others' flushes need not keep interrupts waiting here.  Once the mailbox is ours the level stays up: a
            # handler on this CPU that wanted it would wait for the code that it interrupted.
            yield spl(previous, PmapTlbShootnow.splx)
            yield wait(k.pmap_tlb_packet, 0, _is_null, PmapTlbShootnow.spin_for_mailbox)
            yield spl(max(IPL_VM, ci.cpu.ipl), PmapTlbShootnow.splvm)
            count = yield load(packet.tp_count, 0, PmapTlbShootnow.sent_meanwhile)
            if count == 0:
                yield spl(previous, PmapTlbShootnow.splx)
                return False

    def intr(self, k: Kernel, ci: CpuInfo) -> Proc:
        """The IPI handler (pmap_tlb_intr): copy, acknowledge, then flush, all with interrupts off."""
        kassert(not ci.cpu.intr, "pmap_tlb_intr: interrupts off")
        yield from handler_work()
        source = yield load(k.pmap_tlb_packet, 0, PmapTlbIntr.read_pointer)
        kassert(source != 0, "pmap_tlb_intr: a packet is posted")
        request: Request = yield load(source.tp_store, TP_STORE, PmapTlbIntr.copy_packet)
        before = yield rmw(k.pmap_tlb_pendcount, 0, add, -1, PmapTlbIntr.ack)
        kassert(before > 0, "pmap_tlb_intr: pmap_tlb_pendcount > 0")
        # In this order: the packet is on the initiator's stack, and gone once it sees the mark.
        if before == 1:
            yield store(k.pmap_tlb_packet, 0, 0, PmapTlbIntr.clear_pointer)
            yield store(source.tp_store, TP_DONE, 1, PmapTlbIntr.done)
        yield from pmap_tlb_invalidate(k, ci, request, PmapTlbIntr)
        yield from leave_if_lazy(k, ci, request)
