"""Which region of the kernel an address lies in."""

from __future__ import annotations

from analysis.inspect.regions import (
    DATA,
    DIRECT,
    HEAP,
    IDT_LDT,
    OWN,
    PTE_SPACE,
    REMOTE,
    RSP0,
    TEXT,
    TEXT_USER,
    USER,
    UTLS,
)
from sim.hardware.paging import PAGE_SHIFT
from sim.kernel.layout import PAGE_SIZE, PCPU_ENTRY_PAGES, TEXT_USER_PAGES, Layout


def region_of(layout: Layout, cpu: int, va: int) -> str:
    """Return the region of a virtual address (low 48 bits) as CPU *cpu* sees it."""
    slot = va >> PAGE_SHIFT + layout.geometry.bits * (layout.geometry.levels - 1)
    if slot < layout.geometry.user_slots:
        return USER
    if slot == layout.geometry.pte_slot:
        return PTE_SPACE
    if va < layout.heap:
        if layout.text_user <= va < layout.text_user + TEXT_USER_PAGES * PAGE_SIZE:
            return TEXT_USER
        return TEXT if va < layout.kernel_data else DATA
    if va < layout.direct:
        return HEAP
    return DIRECT if va < layout.pcpuarea else _pcpu(layout, cpu, va)


def _pcpu(layout: Layout, cpu: int, va: int) -> str:
    """The part of ``pcpu_area``."""
    page = va & -PAGE_SIZE
    if page == layout.utls:
        return UTLS
    if page in (layout.idt, layout.ldt):
        return IDT_LDT
    own = layout.entry(cpu)
    if not own <= page < layout.entry(cpu + 1):
        return REMOTE
    return OWN if page < own + len(PCPU_ENTRY_PAGES) * PAGE_SIZE else RSP0
