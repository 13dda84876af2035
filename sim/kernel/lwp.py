"""LWPs and processes (sys/sys/lwp.h, proc.h; fields carry NetBSD's names)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.hardware.memory import Words
from sim.hardware.steps import Proc
from sim.kernel.program import OUTSIDE, Call, Who
from sim.kernel.rwlock import RwLock
from sim.kernel.vm_page import VmPage

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.pmap import Pmap

LSIDL, LSRUN, LSONPROC, LSSLEEP, LSZOMB = "LSIDL", "LSRUN", "LSONPROC", "LSSLEEP", "LSZOMB"

PRI_USER, PRI_KERNEL, PRI_KTHREAD, PRI_IDLE = 43, 64, 96, -1


Tally = dict[str, int]  # what was charged, by cause


class Process:
    """A process: an address space (``vm_map_lock``, ``vm_map_pmap``) and a count of live LWPs.

    ``pages`` are the entries of its map that lead to pages which others can lead to as well, by address.
    """

    __slots__ = ("name", "p_nlwps", "pages", "pmap", "vm_map_lock")

    def __init__(self, name: str, pmap: Pmap) -> None:
        self.name = name
        self.pmap = pmap
        self.p_nlwps = 0
        self.pages: dict[int, VmPage] = {}
        self.vm_map_lock = RwLock(f"{name}.vm_map")


class Lwp:
    """A thread of control.

    ``frames`` is its stack of generators: the program at the bottom, interrupt frames above; a CPU runs the top one.
    ``tallies`` is what the timed driver charged it, by call; ``tally`` the one it is charged on now; ``calls_made`` how
    often it has made each.
    ``pcb_rsp0`` is the kernel stack VA that the entry code uses, in the highest page of the stack (bytes).
    """

    __slots__ = (
        "calls_made",
        "channel",
        "frames",
        "key",
        "kstack_pa",
        "kstack_va",
        "l_bound",
        "l_cpu",
        "l_ctxswtch",
        "l_kpriority",
        "l_name",
        "l_ncsw",
        "l_priority",
        "l_proc",
        "l_rticks",
        "l_slice",
        "l_stat",
        "l_system",
        "md_gc_pmap",
        "md_gc_ptp",
        "nforks",
        "number",
        "pcb_rsp0",
        "lines",
        "resident",
        "saved",
        "tallies",
        "tally",
        "who",
    )

    def __init__(self, name: str, key: str, proc: Process, ci: CpuInfo, *, system: bool, priority: int) -> None:
        self.l_name = name
        self.key = key
        self.l_proc = proc
        self.l_cpu = ci
        self.l_system = system
        self.l_priority = priority
        self.l_kpriority = False
        self.l_bound = False
        self.l_stat = LSIDL
        self.l_ncsw = 0
        self.l_rticks = -1  # when it was last given a CPU, in ticks
        self.l_slice = 0
        self.number = 0
        self.l_ctxswtch = Words(f"{name}.l_ctxswtch")
        self.frames: list[Proc] = []
        self.channel: int | str | None = None
        self.nforks = 0
        self.md_gc_pmap: Pmap | None = None
        self.md_gc_ptp: list[int] = []
        self.pcb_rsp0 = 0
        self.kstack_va = 0
        self.kstack_pa: tuple[int, ...] = ()
        self.resident = False
        self.lines = 1
        self.saved: list[tuple[Any, ...]] = []
        self.who = Who(name)
        self.calls_made: dict[Call, int] = {}
        self.tally: Tally = {}
        self.tallies = {OUTSIDE: self.tally}

    def __repr__(self) -> str:
        return f"<lwp {self.l_name}>"

    @property
    def cpu_intr_p(self) -> bool:
        """Whether an interrupt has hit this LWP and its handler runs (cpu_intr_p, by ci_idepth)."""
        return len(self.frames) > 1

    @property
    def eprio(self) -> int:
        """Effective priority: raised to kernel level after a sleep (lwp_eprio)."""
        if self.l_kpriority and self.l_priority < PRI_KERNEL:
            return PRI_KERNEL + (self.l_priority >> 3)
        return self.l_priority
