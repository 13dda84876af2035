"""The whole modelled kernel: its CPUs, memory, global variables and the design under comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.errors import StalePmap
from sim.hardware.cpu import IPL_SCHED, Cpu
from sim.hardware.lock import Mutex
from sim.hardware.memory import Kept, Words
from sim.hardware.paging import NX, PS, Geometry, P, PhysMem
from sim.hardware.steps import Access
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.ctxswitch import idle_loop
from sim.kernel.hooks import Hooks
from sim.kernel.layout import KSTACK_PAGES, PAGE_SIZE, TRAPFRAME, KernelMemory, KernelTables, Layout
from sim.kernel.lwp import LSONPROC, PRI_IDLE, Lwp, Process
from sim.kernel.pmap import Pmap
from sim.kernel.sched import RunQueue
from sim.kernel.shootdown import Packet
from sim.kernel.vm_page import VmPage

if TYPE_CHECKING:
    from sim.hardware.topology import Topology
    from sim.kernel.designs.base import Design

DEFAULT_PAGES = {"syscall": 7, "fault": 9, "interrupt": 4}


class Kernel:
    """Global state of the modelled kernel.

    Attributes:
        design: the isolation profile, an object of :mod:`sim.kernel.designs`.
        pmaps: live pmaps by number (``ci_pmap`` holds numbers).
        kmem: memory of the kernel that is mapped and unmapped as it runs, where there is any.
        channels: LWP sleeping, or wake-ups remembered, by channel.
        mwait: idle CPUs wait in MWAIT, as on Intel's with MONITOR; else in HLT.
        vm_pages: the pages in memory that more than one map entry can lead to, by physical address.
        sysctl_queue: channels of the LWPs that change a sysctl node; the first one is at it, the others sleep.
    """

    def __init__(
        self, cpus: list[Cpu[Any]], mem: PhysMem, geometry: Geometry, design: Design, topology: Topology | None = None,
        *, mwait: bool = True,
    ) -> None:  # fmt: skip
        self.geometry = geometry
        self.mem = mem
        self.layout = Layout(geometry)
        self.user_limit = geometry.va_of_slot(geometry.user_slots)
        self.topology = topology
        self.mwait = mwait
        self.hooks = Hooks()
        self.tables = KernelTables(mem, self.layout)
        self.pmaps: dict[int, Pmap] = {}
        self.pmap_numbers = 0
        self.vm_pages: dict[int, VmPage] = {}
        self.pmap_kernel = Pmap(self, "kernel", self.tables.pdirpa)
        self.pmap_kernel.pm_obj_refs.v[0] = 1 << 30
        self.design = design
        self.svs_enabled = Words("svs_enabled", 1, int(design.per_cpu))
        self.svs_code = Words("svs_code", 4)
        self.barriers = (Words("svs_cpu_barrier1"), Words("svs_cpu_barrier2"))
        self.xcall_done = Words("xc_wait")
        self.cpu_lock = Mutex("cpu_lock", "cpu_lock")
        self.sysctl_interlock = Mutex("sysctl_lock", "sysctl_lock")
        self.sysctl_queue: list[str] = []
        self.pmap_tlb_pendcount = Words("pmap_tlb_pendcount")
        self.pmap_tlb_gen = Words("pmap_tlb_gen")
        self.pmap_tlb_packet = Words("pmap_tlb_packet")
        self.ticks = 0
        self.lwp_numbers = 0
        self.sleepq_mtx = Mutex("sleepq_mtx", "sleepq_mtx", IPL_SCHED)
        self.pti_shared: Words
        self.kmem: KernelMemory
        self.channels: dict[int | str, Lwp] = {}
        self.tokens: dict[int | str, int] = {}
        self.kernel_proc = Process("kernel", self.pmap_kernel)
        self.cpus = [CpuInfo(cpu) for cpu in cpus]
        self.packages = self._packages()
        self.kcpuset_running = (1 << len(cpus)) - 1
        for ci in self.cpus:
            self._boot_cpu(ci)
        self._pages: dict[str, tuple[tuple[int, Access], ...]] = {}
        design.boot(self)
        self.set_working_set({})

    def _packages(self) -> list[list[CpuInfo]]:
        """The CPUs of each package (socket), in order; one package if nothing else is known."""
        if self.topology is None:
            return [self.cpus]
        shape = self.topology.shape
        size = shape.threads_per_core * shape.cores_per_cluster * shape.clusters_per_socket
        return [self.cpus[i : i + size] for i in range(0, len(self.cpus), size)]

    def _boot_cpu(self, ci: CpuInfo) -> None:
        """Give a CPU its pcpu_area pages, packet, run queue and idle LWP, and load the kernel pmap."""
        for what in ("gdt", "tss", "ist0", "ist1", "ist2", "ist3"):
            name = f"cpu{ci.ci_index} {what}"
            self.tables.enter(self.layout.entry_page(ci.ci_index, what), self.mem.alloc_page(name), NX)
        ci.ci_pmap_data = Packet(ci.ci_index)
        ci.ci_runqueue = RunQueue(ci)
        ci.ci_pmap.v[0] = self.pmap_kernel.number
        ci.cpu.cr3_pa = self.pmap_kernel.pm_pdirpa
        idle = Lwp(f"idle/{ci.ci_index}", f"idle/{ci.ci_index}", self.kernel_proc, ci, system=True, priority=PRI_IDLE)
        self.new_stack(idle)
        idle.l_bound = True
        idle.l_stat = LSONPROC
        idle.frames = [idle_loop(self, idle)]
        ci.ci_idlelwp = ci.ci_curlwp = ci.ci_onproc = ci.ci_prevlwp = idle
        ci.cpu.tss_rsp0 = ci.cpu.rsp = idle.pcb_rsp0

    def new_stack(self, lwp: Lwp) -> None:
        """Give an LWP a number and a kernel stack; ``pcb_rsp0`` leaves one trapframe in the highest page."""
        self.lwp_numbers += 1
        lwp.number = self.lwp_numbers
        lwp.kstack_va, lwp.kstack_pa = self.tables.stack(lwp.l_name)
        lwp.pcb_rsp0 = lwp.kstack_va + (KSTACK_PAGES - 1) * PAGE_SIZE + TRAPFRAME

    def reap(self, lwp: Lwp) -> None:
        """An exited LWP is off its CPU: its stack can be used again (lwp_free)."""
        self.tables.free_stack(lwp.kstack_va)
        lwp.frames = []
        self.hooks.lwp_exited(lwp)

    def set_working_set(self, pages: dict[str, int], *, direct: bool = False, text: int = 1) -> None:
        """Fix how many kernel pages system calls, faults and interrupts touch, by those names.

        They are 4 KiB pages of the heap, as NetBSD's are; *direct*: large pages of the direct map, as Linux's are.
        *text*: large pages of the kernel's text that each crossing runs through.
        """
        most = max(DEFAULT_PAGES.values()) if not pages else max(*pages.values(), *DEFAULT_PAGES.values())
        base = self.tables.kva(most)
        for i in range(most):
            self.tables.enter(base + i * PAGE_SIZE, self.mem.alloc_page("kernel heap"), NX)
        self._with_stack = Kept()
        code = tuple((va, Access.EXEC) for va in self.tables.map_text(text))
        large = (*code, (self.layout.kernel_data, Access.READ))
        if direct:
            self.tables.map_direct(most)
        start, size = (self.layout.direct, self.layout.large) if direct else (base, PAGE_SIZE)
        for kind, count in {**DEFAULT_PAGES, **pages}.items():
            heap = tuple((start + i * size, Access.WRITE) for i in range(count))
            self._pages[kind] = (*large, (self.layout.direct, Access.READ), *heap)

    def pages_of(self, lwp: Lwp, kind: str) -> tuple[tuple[int, Access], ...]:
        """Kernel pages touched by a crossing of that kind, the LWP's own stack included."""
        key = (kind, lwp.kstack_va)
        pages = self._with_stack.get(key)
        if pages is None:
            pages = self._with_stack[key] = (*self._pages[kind], (lwp.kstack_va, Access.WRITE))
        return pages

    def svs_turn_off(self) -> None:
        """The hot patch of svs_disable: from here on the kernel runs without isolation."""
        self.design = self.design.disabled()

    def kernel_entry(self, va: int) -> int:
        """The leaf entry that maps a kernel VA in the kernel tables (L2 with PS, or L1); 0 if there is none."""
        table = self.mem.descend(self.pmap_kernel.pm_pdir, va, 2)
        entry: int = table.v[self.geometry.index(va, 2)] if table is not None else 0
        return self.tables.l1(va) if entry & P and not entry & PS else entry

    def curpmap(self, ci: CpuInfo) -> Pmap:
        """The pmap that this CPU has in CR3, by ``ci_pmap``; StalePmap if it was destroyed."""
        number = ci.ci_pmap.v[0]
        if number not in self.pmaps:
            raise StalePmap(f"a pmap that no longer exists is used ({number})")
        return self.pmaps[number]
