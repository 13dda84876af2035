"""Judging what user tables have of the kernel: only what entry and exit need, and nothing of another LWP in it."""

from __future__ import annotations

from collections.abc import Iterator

from sim.explore.judges.tally import Tally
from sim.explore.judges.view import View
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, PS, G, P, U
from sim.kernel.cpuinfo import UTLS_SCRATCH, CpuInfo
from sim.kernel.layout import PAGE_SIZE, PCPU_ENTRY_PAGES, TEXT_USER_PAGES


class UserTables:
    """The kernel pages that each CPU's user tables may have, by address: the frame, or 0 where it changes."""

    def __init__(self, view: View, tally: Tally) -> None:
        self.view = view
        self.premise, self.broken = tally.premise, tally.broken
        self._allowed: dict[int, dict[int, int]] = {}
        k = view.kernel
        self._redzones = frozenset(k.layout.entry_page(ci.ci_index, "rsp0") for ci in k.cpus)

    def knows(self, cpu: int) -> bool:
        """Whether what a CPU's tables may have is known: what the kernel had as it first went to user mode."""
        return cpu in self._allowed

    def to_user(self, ci: CpuInfo) -> None:
        """A CPU of an isolating design goes to user mode."""
        self.premise("removed-areas")
        index, name = ci.ci_index, self.view.named.address
        allowed = self._allowed.get(index)
        if allowed is None:
            allowed = self._allowed[index] = self._make(ci)
        for va, entry in self._leaves(ci.cpu.cr3_pa):
            if allowed.get(va, -1) not in (0, entry & FRAME):
                self.broken("removed-areas", f"cpu{index}: the kernel's page {name(va)} is reachable in user mode")
            if va in self._redzones:
                self.broken("entry-stack", f"cpu{index}: the page {name(va)} is mapped: what overruns "
                            "that entry stack is written there")  # fmt: skip
            if entry & U:
                self.broken("removed-areas", f"cpu{index}: user mode may access the kernel's page {name(va)}")
        cache = self.view.caches[index]
        for va in (*cache.vas, *cache.table_vas):
            if va >= self.view.user_limit and va not in allowed and cache.reaches(ci.cpu.pcid, va):
                self.broken("removed-areas", f"cpu{index}: the TLB may hold the kernel's page {name(va)} in user mode")
        if self.view.kernel.design.per_cpu:
            self._scratch(ci)

    def globals(self) -> None:
        """At rest: what user mode must not reach is not global, else translations would outlive the way there."""
        k = self.view.kernel
        if not k.design.isolates or not any(ci.cpu.pge for ci in k.cpus):
            return
        self.premise("removed-areas")
        allowed = {va for ci in k.cpus for va in self._make(ci)}
        if k.tables.text_g:
            allowed.add(k.layout.kernel_text)
        for va, entry in self._leaves(k.pmap_kernel.pm_pdirpa):
            if entry & G and va not in allowed:
                self.broken("removed-areas", f"the kernel's page {self.view.named.address(va)} is global: the "
                            "TLB keeps it in user mode")  # fmt: skip

    def _scratch(self, ci: CpuInfo) -> None:
        """What Xsyscall parked in the UTLS page may only be the LWP's own."""
        lwp = self.view.current[ci.ci_index]
        self.premise("scratch-private")
        parked = ci.ci_svs_utls.v[UTLS_SCRATCH]
        if parked not in (0, lwp.number):
            self.broken("scratch-private", f"cpu{ci.ci_index}: {lwp.l_name} goes to user mode, and the UTLS scratch "
                        f"word has a register of {self.view.named.lwp(parked)}")  # fmt: skip

    def _make(self, ci: CpuInfo) -> dict[int, int]:
        """Entry text, idt, ldt, entry pages and stacks: those of this CPU, or of all if the tables are a process's."""
        k = self.view.kernel
        layout, own = k.layout, k.design.per_cpu
        fixed = [layout.idt, layout.ldt, *(layout.text_user + i * PAGE_SIZE for i in range(TEXT_USER_PAGES))]
        for cpu in (ci,) if own else k.cpus:
            fixed += [layout.entry_page(cpu.ci_index, what) for what in PCPU_ENTRY_PAGES]
        allowed = {va: self._frame(va) for va in fixed}
        stacks = [layout.entry_page(cpu.ci_index, "rsp0") + PAGE_SIZE for cpu in ((ci,) if own else k.cpus)]
        return allowed | dict.fromkeys([*stacks, layout.utls] if own else stacks, 0)

    def _frame(self, va: int) -> int:
        """The frame at a kernel address; -1 if the kernel has none there."""
        entry = self.view.kernel.kernel_entry(va)
        if not entry & P:
            return -1
        return (entry & FRAME) + (va % self.view.kernel.layout.large if entry & PS else 0)

    def _leaves(self, root: int) -> Iterator[tuple[int, int]]:
        """The last entries of the part of a table that is above the user slots: address, entry."""
        k, mem = self.view.kernel, self.view.mem
        geometry = k.geometry

        def visit(table: Words, level: int, base: int, first: int) -> Iterator[tuple[int, int]]:
            span = PAGE_SIZE << geometry.bits * (level - 1)
            for at, entry in enumerate(table.v[first:], first):
                if not entry & P:
                    continue
                va = base + at * span
                if level == 1 or entry & PS or entry & FRAME == root:
                    yield va, entry
                else:
                    yield from visit(mem.table(entry & FRAME), level - 1, va, 0)

        return visit(mem.table(root), geometry.levels, 0, geometry.user_slots)
