"""Which of the kernel's regions user mode can reach: what is present in its tables can leak (Meltdown)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.inspect.regions import (
    DATA,
    DIRECT,
    HEAP,
    IDT_LDT,
    OWN,
    PTE_SPACE,
    REGIONS,
    REMOTE,
    RSP0,
    TEXT,
    TEXT_USER,
    USER,
    UTLS,
)
from sim.experiments.inspect.graph import leaves, tables_below
from sim.hardware.paging import PAGE_SHIFT, P
from sim.kernel.layout import PAGE_SIZE, PCPU_ENTRY_PAGES, TEXT_USER_PAGES

if TYPE_CHECKING:
    from sim.experiments.inspect.moment import Moment
    from sim.kernel.layout import Layout


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


def meaning_of(moment: Moment, value: int) -> str:
    """Say what a value found in memory is, if it is a kernel address."""
    layout = moment.kernel.layout
    if value < layout.image:
        return "a number"
    for lwp_name, base, pages in _stacks(moment):
        if base <= value < base + pages * PAGE_SIZE:
            return f"an address on the kernel stack of {lwp_name}"
    return f"an address in: {region_of(layout, 0, value)}"


def _stacks(moment: Moment) -> list[tuple[str, int, int]]:
    """Kernel stacks of the LWPs that are on CPUs."""
    lwps = [lwp for ci in moment.kernel.cpus for lwp in (ci.ci_curlwp, ci.ci_idlelwp)]
    return [(lwp.l_name, lwp.kstack_va, len(lwp.kstack_pa)) for lwp in lwps]


def pages_by_region(moment: Moment, cpu: int, root: int) -> dict[str, int]:
    """Count the 4 KiB pages that the tables under *root* map, by region of the kernel; nothing for root 0."""
    found = dict.fromkeys(REGIONS, 0)
    if not root:
        return found
    kernel = moment.kernel
    for leaf in leaves(moment, root):
        region = region_of(kernel.layout, cpu, leaf.va)
        if region == USER:
            continue
        pages = leaf.size // PAGE_SIZE
        if region == TEXT and leaf.va <= kernel.layout.text_user < leaf.va + leaf.size:
            found[TEXT_USER] += TEXT_USER_PAGES
            pages -= TEXT_USER_PAGES
        found[region] += pages
    if moment.mem.table(root).v[kernel.geometry.pte_slot] & P:
        found[PTE_SPACE] = len(tables_below(moment, root))
    return found


def df_reach(moments: list[Moment]) -> pd.DataFrame:
    """Return which of the kernel user mode can reach.

    Columns: profile; cpu; region; kernel_pages (4 KiB pages mapped there in kernel mode); user_pages (pages of it that
    are present in the tables of user mode, and so readable through Meltdown whatever their U bit says).
    """
    rows = []
    for moment in moments:
        for ci in moment.kernel.cpus:
            inside = pages_by_region(moment, ci.ci_index, moment.kernel_root(ci))
            outside = pages_by_region(moment, ci.ci_index, moment.user_root(ci))
            rows += [
                {"profile": moment.profile, "cpu": ci.ci_index, "region": region, "kernel_pages": inside[region],
                 "user_pages": outside[region]}
                for region in REGIONS
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=["profile", "cpu", "region", "kernel_pages", "user_pages"])
