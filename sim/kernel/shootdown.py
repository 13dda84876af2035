"""TLB shootdown, what both generations share (sys/arch/x86/x86/x86_tlb.c).

A request is only queued, in the packet of the current CPU; ``shootnow`` sends it.  The two generations of the protocol
are :mod:`sim.kernel.shootdown2018` and :mod:`sim.kernel.shootdown2020`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from sim.errors import Overrun, kassert
from sim.hardware.cpu import IPL_VM, VECTOR_TLB
from sim.hardware.memory import Words
from sim.hardware.paging import PS, G
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Proc, add, bit_clear, cost, ipi, load, rmw, spl, store
from sim.kernel.cpuinfo import TLBSTATE_LAZY, TLBSTATE_STALE

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp
    from sim.kernel.pmap import Pmap

EVERYTHING = -1


class Shootdown(Protocol):
    """A generation of the protocol.

    Attributes:
        maxva: more VAs than that become "flush everything".
        room: how many VAs the array of a packet holds; None if it has none, but a range.
    """

    maxva: int

    @property
    def room(self) -> int | None: ...

    def shootnow(self, k: Kernel, ci: CpuInfo) -> Proc:
        """Send and wait."""

    def intr(self, k: Kernel, ci: CpuInfo) -> Proc:
        """Handle the IPI."""


class Request(NamedTuple):
    """A packet's contents as receivers see them.

    Attributes:
        pages: the number of VAs, or ``EVERYTHING``.
        pmap, gens: where address spaces count their changes: the number of the pmap that changed, and the first and
            the last of these changes.  -1: of several pmaps, or others changed it meanwhile.
        kernel_pmap: pages of the kernel pmap are among them; only contexts need to know.
    """

    pages: int
    vas: tuple[int, ...]
    global_pages: bool
    user_pmap: bool
    initiator: int
    pmap: int = -1
    gens: tuple[int, int] = (0, 0)
    kernel_pmap: bool = False


class Packet:
    """A CPU's pending shootdowns.  ``tp_count`` is a word because an interrupt here may send the packet for us."""

    __slots__ = ("why", "tp_count", "tp_cpumask", "tp_gens", "tp_kernpmap", "tp_pmap", "tp_pte", "tp_userpmap", "tp_va")

    def __init__(self, cpu: int) -> None:
        self.tp_count = Words(f"cpu{cpu}.tp_count", shared=False)
        self.tp_va: list[int] = []
        self.tp_pte = 0
        self.tp_userpmap = False
        self.tp_kernpmap = False
        self.tp_cpumask = 0
        self.tp_pmap = -1
        self.tp_gens = (0, 0)
        self.why = ""

    def clear(self) -> None:
        """Empty the fields besides tp_count."""
        self.tp_va = []
        self.tp_pte = 0
        self.tp_userpmap = False
        self.tp_kernpmap = False
        self.tp_cpumask = 0
        self.tp_pmap = -1
        self.tp_gens = (0, 0)
        self.why = ""

    def put(self, va: int, room: int | None) -> None:
        """Add a VA to an array that has *room*.  Overrun: it is full."""
        if room is not None and len(self.tp_va) >= room:
            raise Overrun(f"pmap_tlb_shootdown: tp_va has {room} elements, and {va:#x} is written behind them")
        self.tp_va.append(va)

    def changed(self, pmap: int, gen: int, *, first: bool) -> None:
        """Note change *gen* of a pmap; *first*: nothing else is queued."""
        if first:
            self.tp_pmap, self.tp_gens = pmap, (gen, gen)
        elif self.tp_pmap == pmap and self.tp_gens[1] == gen - 1:
            self.tp_gens = (self.tp_gens[0], gen)
        else:
            self.tp_pmap = -1

    def request(self, cpu: int) -> Request:
        """Return an immutable copy, as the mailbox holds it."""
        count = self.tp_count.v[0]
        return Request(count, tuple(self.tp_va), bool(self.tp_pte & G), self.tp_userpmap, cpu, self.tp_pmap,
                       self.tp_gens, self.tp_kernpmap)  # fmt: skip


def count_request(k: Kernel, ci: CpuInfo, pmap: Pmap, va: int, why: str) -> None:
    """TLBSTATS: count a request by cause as kernel, local and remote."""
    if va != EVERYTHING:
        k.hooks.count(ci, "tlbshoot single page requests")
    if pmap is k.pmap_kernel:
        k.hooks.count(ci, f"tlbshoot kernel {why}")
        return
    cpus = pmap.pm_cpus.v[0]
    if va == EVERYTHING or va >= k.user_limit:
        cpus |= pmap.pm_kernel_cpus.v[0]
    if cpus >> ci.ci_index & 1:
        k.hooks.count(ci, f"tlbshoot local {why}")
    if cpus & ~(1 << ci.ci_index):
        k.hooks.count(ci, f"tlbshoot remote {why}")


class PmapTlbShootdown(Procedure, name="pmap_tlb_shootdown", cause="pmap"):
    splvm = site("splvm")
    tp_count = site("tp_count")
    add_va = site("add va")
    flush_everything = site("flush everything")
    splx = site("splx")
    inc_mm_tlb_gen = site("inc_mm_tlb_gen")
    pm_cpus = site("pm_cpus")
    pm_kernel_cpus = site("pm_kernel_cpus")


def pmap_tlb_shootdown(k: Kernel, lwp: Lwp, pmap: Pmap, va: int, pte: int, why: str) -> Proc:
    """Queue the invalidation of *va* (``EVERYTHING``: all) for all CPUs that use *pmap*; *pte* is the old entry."""
    kassert(not pte & G or pmap is k.pmap_kernel, "pmap_tlb_shootdown: G only in the kernel pmap")
    if lwp.md_gc_pmap is pmap:
        return
    ci = lwp.l_cpu
    if pte & PS:
        va -= va % k.layout.large
    previous = yield spl(max(IPL_VM, ci.cpu.ipl), PmapTlbShootdown.splvm)
    packet = ci.ci_pmap_data
    packet.tp_pte |= pte
    count = yield load(packet.tp_count, 0, PmapTlbShootdown.tp_count)
    if count != EVERYTHING:
        if count < k.design.shootdown.maxva and va != EVERYTHING:
            packet.put(va, k.design.shootdown.room)
            yield store(packet.tp_count, 0, count + 1, PmapTlbShootdown.add_va)
        else:
            yield store(packet.tp_count, 0, EVERYTHING, PmapTlbShootdown.flush_everything)
    if k.design.contexts is not None and pmap is not k.pmap_kernel:
        # Locked, and before the look at pm_cpus: a CPU that loads the pmap meanwhile sees the count or gets the IPI.
        before = yield rmw(pmap.pm_tlb_gen, 0, add, 1, PmapTlbShootdown.inc_mm_tlb_gen)
        packet.changed(pmap.number, before + 1, first=count == 0)
    yield from _merge_targets(k, packet, pmap, va)
    packet.why = packet.why or why
    count_request(k, ci, pmap, va, why)
    yield spl(previous, PmapTlbShootdown.splx)


def _merge_targets(k: Kernel, packet: Packet, pmap: Pmap, va: int) -> Proc:
    """kcpuset_merge of the sets that want this VA."""
    if pmap is k.pmap_kernel:
        packet.tp_cpumask = k.kcpuset_running
        packet.tp_kernpmap = True
        return
    cpus = yield load(pmap.pm_cpus, 0, PmapTlbShootdown.pm_cpus)
    packet.tp_cpumask |= cpus
    if va == EVERYTHING or va >= k.user_limit:
        cpus = yield load(pmap.pm_kernel_cpus, 0, PmapTlbShootdown.pm_kernel_cpus)
        packet.tp_cpumask |= cpus
    packet.tp_userpmap = True


class MarksUserHalf(Procedure):
    """A procedure that may leave a flush of the user half to the next return there."""

    user_pcid_flush_mask = site("user_pcid_flush_mask")


class Flushes(MarksUserHalf):
    """A procedure that flushes the TLB."""

    loaded_mm = site("loaded mm")
    ctx_tlb_gen = site("ctx tlb_gen")
    mm_tlb_gen = site("mm tlb_gen")

    invlpg = site("invlpg")
    invpcid_user = site("invpcid user")
    tlbflush = site("tlbflush")
    tlbflushg = site("tlbflushg")


class PmapTlbShootnow(Flushes, name="pmap_tlb_shootnow", cause="shootdown IPI send"):
    pre_check = site("pre-check")
    splvm = site("splvm")
    check = site("check")
    splx = site("splx")
    clear_tp_count = site("clear tp_count")
    cas_pmap_tlb_pendcount = site("cas pmap_tlb_pendcount")
    spin_for_mailbox = site("spin for mailbox", "shootdown mailbox wait")
    sent_meanwhile = site("sent meanwhile?")
    pmap_tlb_gen = site("pmap_tlb_gen")
    bump_pmap_tlb_gen = site("bump pmap_tlb_gen")
    copy_packet = site("copy packet")
    pending = site("pending?")
    wait_for_ack = site("wait for ack", "shootdown ack wait")
    pmap_tlb_pendcount = site("pmap_tlb_pendcount")
    cas_pmap_tlb_packet = site("cas pmap_tlb_packet")
    user_pcid_flush_mask = site("user_pcid_flush_mask", "shootdown local flush")
    loaded_mm = site("loaded mm", "shootdown local flush")
    ctx_tlb_gen = site("ctx tlb_gen", "shootdown local flush")
    mm_tlb_gen = site("mm tlb_gen", "shootdown local flush")
    invlpg = site("invlpg", "shootdown local flush")
    invpcid_user = site("invpcid user", "shootdown local flush")
    tlbflush = site("tlbflush", "shootdown local flush")
    tlbflushg = site("tlbflushg", "shootdown local flush")


class PmapTlbIntr(Flushes, name="pmap_tlb_intr", cause="shootdown receiver"):
    handler = site("handler")
    ci_tlbstate = site("ci_tlbstate")
    clear_pm_cpus = site("clear pm_cpus")
    tlbstate_stale = site("ci_tlbstate STALE")
    pmap_tlb_pendcount = site("pmap_tlb_pendcount")
    read_packet = site("read packet")
    ack = site("ack")
    read_pointer = site("read pointer")
    copy_packet = site("copy packet")
    clear_pointer = site("clear pointer")
    done = site("done")


def pmap_tlb_invalidate(k: Kernel, ci: CpuInfo, request: Request, who: type[Flushes]) -> Proc:
    """Do what the packet says on this CPU, if it concerns what is loaded here where that is known."""
    contexts = k.design.contexts
    if contexts is not None:
        yield from contexts.invalidate(k, ci, request, who)
    else:
        yield from flush_request(k, ci, request, who)


def flush_request(k: Kernel, ci: CpuInfo, request: Request, who: type[Flushes]) -> Proc:
    """Flush what a request names."""
    if request.pages == EVERYTHING:
        if request.global_pages:
            yield from k.design.tlbflushg(k, ci, who)
        else:
            yield from k.design.tlbflush(k, ci, who)
        return
    for va in reversed(request.vas):
        yield from k.design.invlpg(k, ci, va, who)


class PmapTlbProcesspacket(Procedure, name="pmap_tlb_processpacket", cause="shootdown IPI send"):
    broadcast = site("broadcast")
    x86_ipi = site("x86_ipi")


def send_ipis(k: Kernel, ci: CpuInfo, targets: int) -> Proc:
    """One broadcast if every other attached CPU is a target, else one IPI a CPU (pmap_tlb_processpacket)."""
    everyone = (1 << len(k.cpus)) - 1
    if targets | 1 << ci.ci_index == everyone and targets >> ci.ci_index & 1:
        yield ipi(VECTOR_TLB, everyone & ~(1 << ci.ci_index), True, PmapTlbProcesspacket.broadcast)
        return True
    for other in k.cpus:
        if other is not ci and targets >> other.ci_index & 1:
            yield ipi(VECTOR_TLB, 1 << other.ci_index, False, PmapTlbProcesspacket.x86_ipi)
    return False


def handler_work() -> Proc:
    """Fixed instructions of the handler around the invalidation."""
    yield cost("tlb_handler_work", PmapTlbIntr.handler)


def leave_if_lazy(k: Kernel, ci: CpuInfo, request: Request) -> Proc:
    """A lazy CPU leaves pm_cpus at its first shootdown of a user pmap and becomes STALE."""
    state = yield load(ci.ci_tlbstate, 0, PmapTlbIntr.ci_tlbstate)
    if state == TLBSTATE_LAZY and request.user_pmap:
        pmap = k.curpmap(ci)
        yield rmw(pmap.pm_cpus, 0, bit_clear, 1 << ci.ci_index, PmapTlbIntr.clear_pm_cpus)
        yield store(ci.ci_tlbstate, 0, TLBSTATE_STALE, PmapTlbIntr.tlbstate_stale)
