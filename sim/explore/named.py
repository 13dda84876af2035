"""Values for people: sets of CPUs, states, page-table entries and addresses by their names."""

from __future__ import annotations

from typing import Any

from sim.explore.cached import BornMem
from sim.hardware.cpu import VECTOR_DEVICE, VECTOR_NMI, VECTOR_RESCHED, VECTOR_TIMER, VECTOR_TLB
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, NX, PS, A, D, G, P, U, W
from sim.kernel.cpuinfo import TLBSTATE_LAZY, TLBSTATE_STALE, TLBSTATE_VALID, CpuInfo
from sim.kernel.kernel import Kernel
from sim.kernel.kmem import FREE, IN_USE, LEAVING
from sim.kernel.layout import PAGE_SIZE, PCPU_ENTRY_PAGES, TEXT_USER_PAGES
from sim.kernel.lwp import Lwp
from sim.kernel.rwlock import READ_INCR, WRITE_LOCKED, WRITE_WANTED
from sim.kernel.shootdown import EVERYTHING, Request

VECTOR_NAMES = {
    VECTOR_TLB: "TLB IPI",
    VECTOR_RESCHED: "reschedule IPI",
    VECTOR_TIMER: "timer interrupt",
    VECTOR_DEVICE: "device interrupt",
    VECTOR_NMI: "NMI",
}
_SETS = ("pm_cpus", "pm_kernel_cpus")
_TLBSTATES = {TLBSTATE_VALID: "VALID", TLBSTATE_LAZY: "LAZY", TLBSTATE_STALE: "STALE"}
_TAGS = {FREE: "free", IN_USE: "in use", LEAVING: "leaving"}
_FLAGS = ((P, "P"), (W, "W"), (U, "U"), (A, "A"), (D, "D"), (PS, "PS"), (G, "G"), (NX, "NX"))


def cpu_set(mask: int) -> str:
    """A set of CPUs: ``{0,1}``."""
    return "{" + ",".join(str(cpu) for cpu in range(mask.bit_length()) if mask >> cpu & 1) + "}"


def queued(ci: CpuInfo) -> list[Lwp]:
    """Who waits for a CPU, the most important first.  Not as judges look, whose looks are in footprints."""
    queue = ci.ci_runqueue
    slot = next(vars(kind)["queues"] for kind in reversed(type(queue).__mro__) if "queues" in vars(kind))
    return [lwp for _, lwps in sorted(slot.__get__(queue).items(), reverse=True) for lwp in lwps]


def address(k: Kernel, va: int) -> str:
    """A virtual address by what is there: ``SLOT.PAGE``, as programs have it, or an area of the kernel; or in hex."""
    if va % PAGE_SIZE:
        return f"{va:#x}"
    if va < k.user_limit:
        slot = k.geometry.index(va, k.geometry.levels)
        return f"{slot}.{(va - k.geometry.va_of_slot(slot)) // PAGE_SIZE}"
    kmem = getattr(k, "kmem", None)
    if kmem is not None and (page := (va - kmem.base) // PAGE_SIZE) in range(len(kmem.tags.v)):
        return f"kernel memory {page}"
    return _areas(k).get(va, f"{va:#x}")


def _areas(k: Kernel) -> dict[int, str]:
    """Pages of the kernel that user mode needs, and their neighbours."""
    layout = k.layout
    found = {layout.text_user + i * PAGE_SIZE: f".text.user page {i}" for i in range(TEXT_USER_PAGES)}
    found |= {layout.kernel_text: "kernel text", layout.kernel_data: "kernel data"}
    found |= {layout.utls: "UTLS", layout.idt: "IDT", layout.ldt: "LDT"}
    for cpu in range(len(k.cpus)):
        found |= {layout.entry_page(cpu, what): f"cpu{cpu} {what}" for what in PCPU_ENTRY_PAGES}
        redzone = layout.entry_page(cpu, "rsp0")
        found |= {redzone: f"below cpu{cpu} rsp0", redzone + PAGE_SIZE: f"cpu{cpu} rsp0"}
    return found


def _rw_owner(value: int) -> str:
    """Who holds a reader/writer lock, and who wants it."""
    readers = value // READ_INCR
    held = "a writer" if value & WRITE_LOCKED else f"{readers} reader{'s' * (readers != 1)}" if readers else "nobody"
    return held + (", a writer waits" if value & WRITE_WANTED else "")


class Named:
    """Names of what words of a kernel hold."""

    def __init__(self, kernel: Kernel, mem: BornMem) -> None:
        self.kernel = kernel
        self.mem = mem

    def word(self, words: Words, value: Any) -> str:
        """What a value of a word means."""
        if isinstance(value, Request):
            return self._packet(value)
        if not isinstance(value, int):
            packet = getattr(value, "tp_store", None)  # on a stack
            return str(value) if packet is None else str(packet.name)
        field = words.name.rpartition(".")[2]
        if field in _SETS:
            return cpu_set(value)
        if field == "ci_tlbstate":
            return _TLBSTATES.get(value, str(value))
        if field == "kmem_arena":
            return _TAGS.get(value, str(value))
        if field == "rw_owner":
            return _rw_owner(value)
        if field == "ci_pmap":
            return self.kernel.pmaps[value].name if value in self.kernel.pmaps else str(value)
        if field == "ci_curlwp":
            return self.lwp(value)
        if id(words) in self.mem.table_of:
            return self.entry(value)
        return f"{value:#x}" if value > 9 else str(value)

    def entry(self, value: int) -> str:
        """A page-table entry: what it leads to, and its flags."""
        if not value & FRAME:
            return f"{value:#x}" if value else "0"
        flags = " ".join(name for flag, name in _FLAGS if value & flag)
        return f"{self.page(value & FRAME)} ({flags})"

    def _packet(self, packet: Request) -> str:
        """What a shootdown packet asks for, of whom, and by whom."""
        pages = "everything" if packet.pages == EVERYTHING else ", ".join(map(self.address, packet.vas))
        of = f" of {self.kernel.pmaps[packet.pmap].name}" if packet.pmap in self.kernel.pmaps else ""
        return f"{{{pages}{of}{', global' if packet.global_pages else ''}, from cpu{packet.initiator}}}"

    def address(self, va: int) -> str:
        """A virtual address."""
        return address(self.kernel, va)

    def page(self, pa: int) -> str:
        """A page by what it was allocated as; pages of one name are told apart by their addresses."""
        name = self.mem.name(pa)
        if name == "free" and pa in self.mem.table_of.values():
            return f"freed {self.mem.former(pa)}"
        if name == "free":
            return f"a free page {pa:#x}"
        return f"{name} {pa:#x}" if name.endswith(" page") else name

    def held(self, pa: int, birth: int) -> str:
        """A page that a cache may hold: it may have been freed meanwhile."""
        return self.page(pa) if self.mem.alive(pa, birth) else f"a freed page {pa:#x}"

    def lwp(self, number: int) -> str:
        """An LWP by its number, if a CPU runs it or has it in its queue."""
        for ci in self.kernel.cpus:
            for lwp in (ci.ci_onproc, ci.ci_curlwp, ci.ci_idlelwp, *queued(ci)):
                if lwp.number == number:
                    return lwp.l_name
        return str(number)
