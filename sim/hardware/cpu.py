"""A CPU's registers, and what its control-register and invalidation instructions do to the TLB."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from sim.errors import MachineCheck
from sim.hardware.caches import Caches
from sim.hardware.paging import Geometry
from sim.hardware.steps import Invpcid

IPL_NONE, IPL_VM, IPL_SCHED, IPL_HIGH = 0, 6, 7, 8

VECTOR_NMI, VECTOR_DEVICE, VECTOR_RESCHED, VECTOR_TIMER, VECTOR_TLB = 2, 0x60, 0xE0, 0xE1, 0xF0


class Flushes(Protocol):
    """What flushes reach of cached translations (SDM vol. 3, 4.10.4): a TLB, or the set of what a TLB may hold."""

    def flush_pcid(self, pcid: int) -> None:
        """Non-global translations and paging-structure caches of one PCID."""

    def flush_nonglobal(self) -> None:
        """Non-global translations and paging-structure caches of all PCIDs."""

    def flush_all(self) -> None:
        """Everything."""

    def invlpg(self, va: int, pcid: int) -> None:
        """The page of *va* in one PCID and as global, and all paging-structure caches of that PCID."""

    def invpcid_address(self, pcid: int, va: int) -> None:
        """The page of *va* in one PCID, globals kept, and that PCID's paging-structure caches for *va*."""


T = TypeVar("T", bound=Flushes)


class Cpu(Generic[T]):
    """Registers of one CPU, and its TLB.

    Attributes:
        cr3_pa, pcid: the fields of CR3; the PCID is 0 while ``pcide`` (CR4.PCIDE) is off.
        pge: CR4.PGE.
        tss_rsp0, rsp: VAs in bytes.
        user: ring 3.
        intr: RFLAGS.IF.
        ipl: the interrupt priority level (the kernel's, kept here as NetBSD keeps it in the CPU's data).
        where, walk_loads, pa, walked_freed: what the last translation did.
        caches: where the lines of the tables are; None where walks have no cost.
    """

    __slots__ = (
        "caches", "cr3_pa", "geometry", "index", "intr", "ipl", "pa", "pcid", "pcide", "pge", "rsp", "tlb", "tss_rsp0",
        "user", "walk_loads", "walked_freed", "where",
    )  # fmt: skip

    def __init__(self, index: int, tlb: T, geometry: Geometry) -> None:
        self.index = index
        self.tlb = tlb
        self.geometry = geometry
        self.cr3_pa = 0
        self.pcid = 0
        self.pcide = False
        self.pge = False
        self.tss_rsp0 = 0
        self.rsp = 0
        self.user = False
        self.intr = True
        self.ipl = IPL_NONE
        self.where = 0
        self.walk_loads = 0
        self.walked_freed = 0
        self.caches: Caches | None = None
        self.pa = 0

    def __repr__(self) -> str:
        return f"<Cpu {self.index}>"

    def write_cr3(self, pa: int, pcid: int, noflush: bool) -> None:
        """MOV to CR3; without the no-flush bit the loaded PCID's non-global entries go."""
        if not self.pcide and (pcid or noflush):
            raise MachineCheck(f"cpu{self.index}: CR3 with PCID {pcid} or no-flush bit while CR4.PCIDE is off (#GP)")
        self.cr3_pa = pa
        self.pcid = pcid
        if not self.pcide:
            self.tlb.flush_nonglobal()
        elif not noflush:
            self.tlb.flush_pcid(pcid)

    def write_pge(self, on: bool) -> None:
        """MOV to CR4 that sets PGE to *on*; a change drops everything, globals included."""
        if on != self.pge:
            self.pge = on
            self.tlb.flush_all()

    def invlpg(self, va: int) -> None:
        """INVLPG in the current PCID."""
        self.tlb.invlpg(va, self.pcid)

    def invpcid(self, kind: Invpcid, pcid: int, va: int) -> None:
        """INVPCID of one of its four types."""
        if kind is Invpcid.ADDRESS:
            self.tlb.invpcid_address(pcid, va)
        elif kind is Invpcid.CONTEXT:
            self.tlb.flush_pcid(pcid)
        elif kind is Invpcid.ALL:
            self.tlb.flush_all()
        else:
            self.tlb.flush_nonglobal()
