"""Where the kernel lives: virtual addresses, and the kernel page tables made at boot.

Slots of the L4 page, upwards: user slots, the recursive PTE space, kernel image, heap, direct map, ``pcpu_area``.
The image and the direct map use large pages; heap and ``pcpu_area`` 4 KiB pages.  Source: amd64 pmap.h, locore.S and
``struct pcpu_area`` in x86 cpuvar.h; only the order and the kinds of pages matter here, not the true slot numbers.
"""

from __future__ import annotations

from sim.hardware.cpu import IPL_VM
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, NX, PS, A, D, G, Geometry, P, PhysMem, W

PAGE_SIZE = 4096
TRAPFRAME = 208  # sizeof(struct trapframe), bytes
PCPU_ENTRY_PAGES = ("gdt", "tss", "ist0", "ist1", "ist2", "ist3", "ldt")  # ldt: only since 2020, else not mapped
TEXT_USER_PAGES = 2
KSTACK_PAGES = 2
DIRECT_PAGES = 64  # large pages of the direct map that a crossing can touch


class Layout:
    """Virtual addresses of the kernel's areas for one table geometry (bytes)."""

    def __init__(self, geometry: Geometry) -> None:
        first = geometry.pte_slot + 1
        self.geometry = geometry
        self.image = geometry.va_of_slot(first)
        self.heap = geometry.va_of_slot(first + 1)
        self.direct = geometry.va_of_slot(first + 2)
        self.pcpuarea = geometry.va_of_slot(first + 3)
        self.large = geometry.entries * PAGE_SIZE
        self.kernel_text = self.image
        self.text_user = self.image + self.large - TEXT_USER_PAGES * PAGE_SIZE
        self.kernel_data = self.image + self.large
        self.utls = self.pcpuarea
        self.idt = self.pcpuarea + PAGE_SIZE
        self.ldt = self.pcpuarea + 2 * PAGE_SIZE
        self._entries = self.pcpuarea + 3 * PAGE_SIZE

    def entry(self, cpu: int) -> int:
        """VA of ``pcpuarea->ent[cpu]``."""
        return self._entries + cpu * (len(PCPU_ENTRY_PAGES) + 2) * PAGE_SIZE

    def entry_page(self, cpu: int, what: str) -> int:
        """VA of a page of ``pcpuarea->ent[cpu]``: gdt, tss, ist0 to ist3, ldt, or rsp0 (two pages)."""
        offset = len(PCPU_ENTRY_PAGES) if what == "rsp0" else PCPU_ENTRY_PAGES.index(what)
        return self.entry(cpu) + offset * PAGE_SIZE

    def recursive(self, va: int, level: int) -> int:
        """VA, in the recursive PTE space, of the level-*level* table page that serves *va* (1: the page of PTEs)."""
        geometry = self.geometry
        index = va >> 12
        for _ in range(level):
            index >>= geometry.bits
        top = 0
        for _ in range(level):
            top = top << geometry.bits | geometry.pte_slot
        keep = geometry.bits * (geometry.levels - level)
        return (top << keep | index & ((1 << keep) - 1)) << 12


class KernelTables:
    """The kernel pmap's page tables, filled at boot and extended when stacks are made.

    ``pg_g`` is the G bit that new kernel mappings get (pmap_pg_g), 0 once a design has taken it away; ``text_g`` that
    of new pages of text.
    """

    def __init__(self, mem: PhysMem, layout: Layout) -> None:
        self.mem = mem
        self.layout = layout
        self.pdirpa = mem.alloc_table("kernel pm_pdir")
        self._heap_next = layout.heap
        self._free_stacks: list[int] = []
        self.pg_g = self.text_g = G
        geometry = layout.geometry
        for slot in range(geometry.pte_slot + 1, geometry.pte_slot + 5):
            self._table(geometry.va_of_slot(slot), geometry.levels - 1)
        mem.table(self.pdirpa).v[geometry.pte_slot] = self.pdirpa | P | W | NX
        self._large(layout.kernel_text, 0)
        self._large(layout.kernel_data, W | NX)
        self._direct = 0
        self.map_direct(min(8, geometry.entries))
        for va in (layout.idt, layout.ldt):
            self.enter(va, mem.alloc_page("pcpuarea"), NX)

    def _table(self, va: int, level: int) -> Words:
        """Return the level-*level* table that serves *va*, made if missing."""
        top = self.mem.table(self.pdirpa)
        return self.mem.grow(top, va, lambda made: self.mem.alloc_table(f"kernel L{made}") | P | W | A, level)

    def _large(self, va: int, flags: int) -> None:
        """Map a large page with memory of its own."""
        entry = self._table(va, 2)
        pa = self.mem.alloc_large("large")
        entry.v[self.layout.geometry.index(va, 2)] = pa | P | PS | self.pg_g | A | D | flags

    def map_text(self, pages: int) -> tuple[int, ...]:
        """Let the kernel's text have so many large pages; return their VAs."""
        base, large = self.layout.kernel_data, self.layout.large
        more = tuple(base + (i + 1) * large for i in range(pages - 1))
        for va in more:
            self._large(va, self.text_g & ~self.pg_g)
        return (self.layout.kernel_text, *more)

    def map_direct(self, pages: int) -> None:
        """Let the direct map have so many large pages, if it has fewer."""
        for i in range(self._direct, pages):
            self._large(self.layout.direct + i * self.layout.large, W | NX)
        self._direct = max(self._direct, pages)

    def pte(self, va: int) -> tuple[Words, int]:
        """Return (table, index) of the L1 entry of a kernel VA."""
        return self._table(va, 1), self.layout.geometry.index(va, 1)

    def enter(self, va: int, pa: int, flags: int) -> None:
        """Map one 4 KiB page at boot (pmap_kenter_pa): writable, with ``pg_g``, accessed and dirty."""
        self._table(va, 1).v[self.layout.geometry.index(va, 1)] = pa | P | W | self.pg_g | A | D | flags

    def kva(self, pages: int) -> int:
        """uvm_km_alloc of *pages* pages of kernel VA; returns the VA."""
        va = self._heap_next
        self._heap_next += pages * PAGE_SIZE
        return va

    def stack(self, name: str) -> tuple[int, tuple[int, ...]]:
        """Return (VA, physical pages) of a kernel stack, mapped; freed stacks are used again."""
        if self._free_stacks:
            va = self._free_stacks.pop()
        else:
            va = self.kva(KSTACK_PAGES + 1) + PAGE_SIZE
            for i in range(KSTACK_PAGES):
                self.enter(va + i * PAGE_SIZE, self.mem.alloc_page(f"kstack {name}"), NX)
        return va, tuple(self.l1(va + i * PAGE_SIZE) & FRAME for i in range(KSTACK_PAGES))

    def free_stack(self, va: int) -> None:
        """Give a kernel stack back (uvm_uarea_free keeps it mapped)."""
        self._free_stacks.append(va)

    def l1(self, va: int) -> int:
        """Value of the L1 entry that maps a kernel VA."""
        value: int = self._table(va, 1).v[self.layout.geometry.index(va, 1)]
        return value


class KernelMemory:
    """Addresses of kernel memory at which pages come and go (:mod:`sim.kernel.kmem`).

    Attributes:
        base: the first of them (bytes); the pages follow each other.
        vm_lock: the arena's lock, taken by interrupts as well.
        tags: what the arena knows of each address.
    """

    def __init__(self, tables: KernelTables, pages: int) -> None:
        self.base = tables.kva(pages)
        self.vm_lock = Mutex("kmem_arena.vm_lock", "vm_lock", IPL_VM)
        self.tags = Words("kmem_arena", pages)
        for page in range(pages):
            tables.pte(self.va(page))  # the tables are there from the start

    def va(self, page: int) -> int:
        """The address of a page."""
        return self.base + page * PAGE_SIZE
