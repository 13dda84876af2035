"""The designs under comparison, as objects with one interface.

The kernel calls a design where it enters, leaves, switches LWP, switches pmap, changes an L4 user entry or flushes.  A
design is data plus the few procedures in which it differs, in a file of its own.  Source: cpufunc.S 1.55.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sim.errors import ModelError
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Invpcid, Proc, invlpg, invpcid, write_cr3, write_pge
from sim.kernel import entry, segments
from sim.kernel.svs import PCID_KERN, PCID_USER

if TYPE_CHECKING:
    from sim.kernel.contexts import Contexts
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp
    from sim.kernel.pmap import Pmap
    from sim.kernel.shootdown import Flushes, Shootdown


class CpuLoadPmap(Procedure, name="cpu_load_pmap", cause="context switch"):
    lcr3 = site("lcr3")


class Disabling(NamedTuple):
    """How ``machdep.svs.enabled`` turns SVS off.

    Attributes:
        intr_off: interrupts are off from before the first barrier to the end, not only while CPU 0 patches.
        one_is_invalid: writing 1 is always EINVAL; else it is 0 while SVS is on, and EOPNOTSUPP once it is off.
    """

    intr_off: bool
    one_is_invalid: bool


DISABLING_1_11 = Disabling(intr_off=False, one_is_invalid=True)
DISABLING_1_16 = Disabling(intr_off=True, one_is_invalid=False)


class Design:
    """No isolation: one set of tables, G on kernel pages.

    Attributes:
        pcid: whether CR4.PCIDE is on and the two halves have PCIDs of their own.
        pge: whether CR4.PGE is on.
        isolates: whether user mode runs on tables of its own.
        per_cpu: whether those tables belong to a CPU (SVS) rather than to a process.
        remove_in_batches: whether pmap_remove_all removes the mappings itself, as in NetBSD 10.
        page_locks: whether pages have locks of their own (pp_lock) and ``pm_lock`` serves pmap_page_remove (NetBSD 10).
        owner_until_update: whether who unmaps a page keeps its owner locked until pmap_update, as in NetBSD 10; or has
            a reference until then, as in Linux.
        contexts: the address spaces that CPUs remember, as in Linux; None: only the loaded one.
    """

    isolates = False
    per_cpu = False
    remove_in_batches = False
    page_locks = False
    owner_until_update = False
    contexts: Contexts | None = None

    def __init__(self, name: str, *, pcid: bool, shootdown: Shootdown) -> None:
        self.name = name
        self.pcid = pcid
        self.pge = True
        self.shootdown = shootdown

    @property
    def disabling(self) -> Disabling | None:
        """What ``machdep.svs.enabled`` does, None if it is read-only.

        Without SVS it does what it does in 1.16 where svs_init has left SVS off.
        """
        return DISABLING_1_16

    def boot(self, k: Kernel) -> None:
        """Build what the design needs before the first LWP runs."""
        for ci in k.cpus:
            ci.cpu.pge = self.pge
            ci.cpu.pcide = self.pcid
        if self.contexts is not None:
            self.contexts.boot(k)

    def disabled(self) -> Design:
        """What is left once SVS is turned off at run time."""
        raise ModelError(f"{self.name} is never turned off")

    def enter_syscall(self, k: Kernel, lwp: Lwp) -> Proc:
        """From the syscall instruction to the kernel's stack."""
        return entry.syscall_plain(k, lwp)

    def enter_trap(self, k: Kernel, lwp: Lwp) -> Proc:
        """From an interrupt or trap out of user mode to the kernel's stack."""
        return entry.trap_plain(k, lwp)

    def enter_nmi(self, k: Kernel, lwp: Lwp, from_user: bool) -> Proc:
        """NMI entry; returns what :meth:`leave_nmi` needs."""
        return entry.alt_plain(k, lwp, from_user, 1)

    def leave_nmi(self, k: Kernel, lwp: Lwp, from_user: bool, token: object) -> Proc:
        """NMI exit."""
        return entry.leave_alt_plain(k, lwp, from_user)

    def leave(self, k: Kernel, lwp: Lwp, how: str) -> Proc:
        """The way out, after the last check with interrupts off; *how* is ``sysret`` or ``iret``."""
        return entry.leave_plain(k, lwp, how)

    def leave_to_kernel(self, k: Kernel, ci: CpuInfo) -> None:
        """What an interrupt that hit the kernel finds on its way back there; no step."""

    def lwp_switch(self, k: Kernel, ci: CpuInfo, old: Lwp | None, new: Lwp) -> Proc:
        """First thing of a context switch."""
        return entry.nothing()

    def segment_fault(self, k: Kernel, lwp: Lwp, where: str) -> Proc:
        """The trap of a fault on the way out, in kernel mode, after the CR3 switch; *where*: ``segments.PLACES``."""
        return segments.segment_fault_plain(k, lwp)

    def rsp0(self, ci: CpuInfo, new: Lwp) -> int:
        """What TSS.rsp0 becomes when *new* runs."""
        return new.pcb_rsp0

    def pdir_switch(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """Just before the CR3 write of a pmap switch."""
        return entry.nothing()

    def load_cr3(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """Load a pmap's tables in kernel mode; without contexts this flushes the (kernel) PCID's entries."""
        if self.contexts is not None:
            yield from self.contexts.switch(k, ci, pmap)
        else:
            yield write_cr3(pmap.pm_pdirpa, PCID_KERN, False, CpuLoadPmap.lcr3)

    def pmap_create(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """What a new pmap gets besides its L4 page."""
        return entry.nothing()

    def pmap_destroy(self, k: Kernel, pmap: Pmap) -> None:
        """Undo :meth:`pmap_create`."""

    def pmap_sync(self, k: Kernel, ci: CpuInfo, pmap: Pmap, slot: int) -> Proc:
        """After a change of an L4 user entry."""
        return entry.nothing()

    def sync_now(self, k: Kernel, pmap: Pmap, slot: int) -> None:
        """The effect of :meth:`pmap_sync` in no time, for pages that were there before time began."""

    def invlpg(self, k: Kernel, ci: CpuInfo, va: int, who: type[Flushes]) -> Proc:
        """Invalidate one page on this CPU."""
        yield invlpg(va, who.invlpg)

    def tlbflush(self, k: Kernel, ci: CpuInfo, who: type[Flushes]) -> Proc:
        """Invalidate what is not global on this CPU, as far as it is loaded."""
        if self.contexts is not None:
            yield from self.contexts.flush(k, ci, who)
        else:
            yield write_cr3(ci.cpu.cr3_pa, ci.cpu.pcid, False, who.tlbflush)

    def tlbflushg(self, k: Kernel, ci: CpuInfo, who: type[Flushes]) -> Proc:
        """Invalidate everything on this CPU; without PGE a plain flush."""
        if not ci.cpu.pge:
            yield from self.tlbflush(k, ci, who)
            return
        yield write_pge(False, who.tlbflushg)
        yield write_pge(True, who.tlbflushg)


class Isolated(Design):
    """What SVS and PTI share: two halves, and with PCID flushes that must reach both."""

    isolates = True

    def invlpg(self, k: Kernel, ci: CpuInfo, va: int, who: type[Flushes]) -> Proc:
        """INVPCID single-address on the user PCID, then INVLPG (cpufunc.S)."""
        if self.pcid:
            yield invpcid(Invpcid.ADDRESS, PCID_USER, va, who.invpcid_user)
        yield invlpg(va, who.invlpg)

    def tlbflush(self, k: Kernel, ci: CpuInfo, who: type[Flushes]) -> Proc:
        """INVPCID of all non-global contexts, or a CR3 reload."""
        if self.pcid and self.contexts is None:
            yield invpcid(Invpcid.ALL_NONGLOBAL, 0, 0, who.tlbflush)
        else:
            yield from super().tlbflush(k, ci, who)


class Profile(NamedTuple):
    """A name under which a design is run.

    Attributes:
        says: what it is, in a line.
        make: a fresh design, with PCIDs or without.
        pcid: whether it uses PCIDs where the machine has them.
        isolates: whether there is anything to check about user tables.
    """

    name: str
    says: str
    make: Callable[[bool], Design]
    pcid: bool
    isolates: bool = True
