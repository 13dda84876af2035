"""Which of the kernel's regions user mode can reach: what is present in its tables can leak (Meltdown)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.inspect.regions import PTE_SPACE, REGIONS, TEXT, TEXT_USER, USER
from sim.experiments.inspect.graph import leaves, tables_below
from sim.experiments.inspect.regions import region_of
from sim.hardware.paging import P
from sim.kernel.layout import PAGE_SIZE, TEXT_USER_PAGES

if TYPE_CHECKING:
    from sim.experiments.inspect.moment import Moment


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
