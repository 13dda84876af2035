"""Judging one execution: each check counts how often its premise held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx

from sim.explore.cached import Cached, translate
from sim.explore.rest import EndJudge
from sim.hardware.cpu import VECTOR_NMI
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, Fault, P, walk
from sim.hardware.steps import Access
from sim.kernel.cpuinfo import TLBSTATE_VALID, UTLS_KPDIRPA, CpuInfo
from sim.kernel.layout import PAGE_SIZE, TRAPFRAME
from sim.kernel.pmap import Pmap

if TYPE_CHECKING:
    from sim.explore.driver import KernelRun
    from sim.hardware.sites import Site


class Judge(EndJudge):
    """All invariants of one execution."""

    def __init__(self, run: KernelRun) -> None:
        super().__init__(run)
        self.legal: dict[tuple[int, int], set[tuple[int, int, bool]]] = {}
        self.held: list[list[Mutex]] = [[] for _ in range(run.n)]
        self.order: set[tuple[str, str]] = set()
        self.stores_made: set[int] = set()
        litmus = run.litmus
        pages = {page for pages in litmus.pmaps.values() for page in pages}
        pages |= {
            (op.slot, op.page)
            for lwp in litmus.lwps
            for op in lwp.ops
            if op.verb in ("enter", "replace", "remove", "zap", "protect", "read", "write", "copyin", "copyout")
        }
        self.user_vas = tuple(sorted(litmus.va(*page) for page in pages))

    # --- what is followed -------------------------------------------------------------------------------------------

    def vas(self, cpu: int) -> tuple[int, ...]:
        """Addresses whose translations are followed on a CPU."""
        k = self.run.kernel
        recursive = {k.layout.recursive(va, 1) for va in self.user_vas}
        rsp0 = (k.layout.entry_page(cpu, "rsp0") + PAGE_SIZE,) if k.design.per_cpu else ()
        return self.user_vas + tuple(sorted(recursive)) + rsp0

    def follow(self, pmap: Pmap) -> None:
        """A pmap's translations count from now on."""
        self.followed.append(pmap)

    def begin(self) -> None:
        """Exploration begins here."""
        if self.run.kernel.design.per_cpu:
            self.updirs = {id(ci.ci_svs_updir): ci for ci in self.run.kernel.cpus}
        self.learn()
        for cpu, ci in enumerate(self.run.kernel.cpus):
            self.run.caches[cpu].refresh(ci.cpu.cr3_pa, ci.cpu.pcid, ci.cpu.pge)

    def learn(self) -> None:
        """What a pmap's tables lead to may be used until its removal is promised."""
        for pmap in self.followed:
            for va in self.user_vas:
                found, _ = translate(self.run.mem, pmap.pm_pdirpa, va)
                if found is not None:
                    self.legal.setdefault((pmap.number, va), set()).add((found.pa, found.birth, found.write))

    def promise_gone(self, pmap: Pmap, va: int, pa: int) -> None:
        """pmap_update returned: the page that was removed there, not freed yet, must not be used from here on."""
        self.run.also(("promised", pmap.name))
        birth = self.run.mem.births[pa]
        found = self.legal.get((pmap.number, va), set())
        self.legal[pmap.number, va] = {entry for entry in found if entry[:2] != (pa, birth)}

    def promise_protected(self, pmap: Pmap, va: int) -> None:
        """pmap_update returned: a page that the tables map read-only must not be written from here on."""
        self.run.also(("promised", pmap.name))
        self.run.looks_at(pmap, va)
        found, _ = translate(self.run.mem, pmap.pm_pdirpa, va)
        if found is not None and not found.write:
            self.legal.get((pmap.number, va), set()).discard((found.pa, found.birth, True))

    def promise_all_protected(self, pmap: Pmap) -> None:
        """The same for a whole pmap."""
        for va in self.user_vas:
            self.promise_protected(pmap, va)

    # --- at steps ---------------------------------------------------------------------------------------------------

    def stores(self, cpu: int, words: Words, site: Site, *, changes: bool = True) -> None:
        """A store or locked update is made."""
        owner = self.updirs.get(id(words))
        if owner is not None and changes:
            self.premise("updir-mutex")
            if owner.ci_svs_mtx.owner is not self.run.kernel.cpus[cpu].cpu:
                self.broken("updir-mutex", f"cpu{cpu} in {site} writes {words.name} without {owner.ci_svs_mtx.name}")

    def acquired(self, cpu: int, mutex: Mutex) -> None:
        """A mutex was taken: the order must stay acyclic."""
        self.premise("lock-order")
        new = {(held.lock_class, mutex.lock_class) for held in self.held[cpu]} - self.order
        self.held[cpu].append(mutex)
        if new:
            self.order |= new
            graph = nx.DiGraph(sorted(self.order))
            if not nx.is_directed_acyclic_graph(graph):
                cycle = " -> ".join(edge[0] for edge in nx.find_cycle(graph))
                self.broken("lock-order", f"cpu{cpu} takes {mutex.name}: the order has the cycle {cycle}")

    def releasing(self, cpu: int, mutex: Mutex) -> None:
        """A mutex is given back."""
        if mutex in self.held[cpu]:
            self.held[cpu].remove(mutex)

    def released(self, mutex: Mutex) -> None:
        """Others see the mutex free: directories in use must be in step."""
        if mutex.lock_class == "pm_lock":
            for ci in self.run.kernel.cpus:
                if ci.cpu.user and self._pmap(ci) is not None:
                    self._updir_current(ci)

    def _pmap(self, ci: CpuInfo) -> Pmap | None:
        return self.run.kernel.pmaps.get(ci.ci_pmap.v[0])

    def access(self, cpu: int, va: int, kind: Access, user: bool, site: Site) -> Fault | None:
        """An access through the MMU: what the tables say, after judging what the TLB might say instead."""
        run = self.run
        registers = run.kernel.cpus[cpu].cpu
        if va < run.user_limit:
            self._stale(cpu, va, kind, site)
        else:
            self._kernel_access(cpu, va, site)
        return walk(run.mem, run.mem.geometry, registers.cr3_pa, va, kind, user, set_ad=False).fault

    def _kernel_access(self, cpu: int, va: int, site: Site) -> None:
        """Entry stacks and the recursive space: what may be cached must not be a page of the past."""
        run = self.run
        registers = run.kernel.cpus[cpu].cpu
        page = va // PAGE_SIZE * PAGE_SIZE
        if site.stack:
            self.premise("entry-stack")
        self.premise("kernel-mapped")
        if page not in run.caches[cpu].vas:
            return
        now, _ = translate(run.mem, registers.cr3_pa, page)
        for entry in run.caches[cpu].at(registers.pcid, page):
            if now is not None and entry.pa != now.pa:
                self.broken(
                    "entry-stack" if site.stack else "stale-use",
                    f"cpu{cpu} in {site}: the TLB may hold {run.mem.name(entry.pa)} ({entry.pa:#x}) for {page:#x} "
                    f"where the tables have {run.mem.name(now.pa)} ({now.pa:#x})",
                )

    def _stale(self, cpu: int, va: int, kind: Access, site: Site) -> None:
        """User access: everything that may be cached must still be legal for the CPU's LWP."""
        run = self.run
        registers = run.kernel.cpus[cpu].cpu
        pmap = run.current[cpu].l_proc.pmap
        page = va // PAGE_SIZE * PAGE_SIZE
        legal = self.legal.get((pmap.number, page), set())
        for entry in run.caches[cpu].at(registers.pcid, page):
            self.premise("stale-use")
            good = any(
                (entry.pa, entry.birth) == (pa, birth) and (w or not entry.write or kind is not Access.WRITE)
                for pa, birth, w in legal
            )
            if not good:
                self.broken("stale-use", self._stale_text(cpu, page, site, pmap, entry))

    def _stale_text(self, cpu: int, va: int, site: Site, pmap: Pmap, entry: Cached) -> str:
        rights = "writable " if entry.write else ""
        return (
            f"cpu{cpu} in {site} may hit a {rights}TLB entry {va:#x} -> {entry.pa:#x} that pmap {pmap.name} no longer "
            "has and whose shootdown has completed"
        )

    def to_user(self, cpu: int) -> None:
        """A CPU goes to user mode."""
        ci = self.run.kernel.cpus[cpu]
        k = self.run.kernel
        pmap = self._pmap(ci)
        lwp = self.run.current[cpu]
        self.premise("one-pmap")
        if pmap is None or pmap is not lwp.l_proc.pmap:
            self.broken(
                "one-pmap", f"cpu{cpu} goes to user mode with ci_pmap {pmap}, LWP {lwp.l_name} of {lwp.l_proc.name}"
            )
            return
        if not self._in_tables(ci, pmap):
            self.broken("one-pmap", f"cpu{cpu} goes to user mode with CR3 = {self.run.mem.name(ci.cpu.cr3_pa)}")
        if k.design.per_cpu:
            self._to_user_svs(ci, pmap)
        elif not k.design.isolates and ci.cpu.cr3_pa != pmap.pm_pdirpa:
            self.premise("disabled-quiet")
            self.broken("disabled-quiet", f"cpu{cpu} goes to user mode with CR3 = {self.run.mem.name(ci.cpu.cr3_pa)}")
        elif not k.svs_enabled.v[0] and not k.design.isolates:
            self.premise("disabled-quiet")
        self._registered(ci, pmap)
        self._updir_current(ci)
        if k.design.isolates:
            self._removed_areas(ci)

    def _in_tables(self, ci: CpuInfo, pmap: Pmap) -> bool:
        design = self.run.kernel.design
        if design.per_cpu:
            return ci.cpu.cr3_pa == ci.ci_svs_updirpa
        return ci.cpu.cr3_pa == (pmap.pm_updirpa if design.isolates else pmap.pm_pdirpa) or not design.isolates

    def _to_user_svs(self, ci: CpuInfo, pmap: Pmap) -> None:
        cpu = ci.ci_index
        lwp = self.run.current[cpu]
        k = self.run.kernel
        if ci.ci_svs_utls.v[UTLS_KPDIRPA] != pmap.pm_pdirpa or ci.ci_svs_kpdirpa != pmap.pm_pdirpa:
            found = self.run.mem.name(ci.ci_svs_utls.v[UTLS_KPDIRPA])
            self.broken("one-pmap", f"cpu{cpu} goes to user mode as {pmap.name} with kpdirpa of {found}")
        self.premise("rsp0-current")
        table, index = ci.ci_svs_rsp0_pte
        stack = k.tables.l1(lwp.pcb_rsp0)
        entry = self.run._read(cpu, table, index)
        if entry & FRAME != stack & FRAME or ci.ci_svs_krsp0 != lwp.pcb_rsp0 - TRAPFRAME:
            self.broken("rsp0-current", f"cpu{cpu}: {lwp.l_name} goes to user mode with another LWP's stack at rsp0")
        if ci.ci_svs_krsp0 % PAGE_SIZE != ci.ci_svs_ursp0 % PAGE_SIZE:
            self.broken("rsp0-current", f"cpu{cpu}: ci_svs_krsp0 is not congruent to ci_svs_ursp0")

    def _registered(self, ci: CpuInfo, pmap: Pmap) -> None:
        bit = 1 << ci.ci_index
        self.premise("kernel-cpus-cover")
        self.premise("cpus-cover")
        if not pmap.pm_kernel_cpus.v[0] & bit:
            self.broken("kernel-cpus-cover", f"cpu{ci.ci_index} is in user mode but not in {pmap.pm_kernel_cpus.name}")
        state = self.run._read(ci.ci_index, ci.ci_tlbstate, 0)
        if not pmap.pm_cpus.v[0] & bit or state != TLBSTATE_VALID:
            self.broken(
                "cpus-cover", f"cpu{ci.ci_index} is in user mode, TLB state {state}, not in {pmap.pm_cpus.name}"
            )

    def _updir_current(self, ci: CpuInfo) -> None:
        """The user slots in use are the pmap's, unless its lock is held: then an update may be on its way."""
        k, pmap = self.run.kernel, self._pmap(ci)
        if pmap is None or not k.design.isolates:
            return
        self.run.looked(pmap.pm_lock.name)
        if id(pmap.pm_lock) in self.run.busy:
            return
        updir = ci.ci_svs_updir if k.design.per_cpu else pmap.pm_updir
        assert updir is not None
        self.premise("updir-current")
        for slot in range(k.geometry.user_slots):
            self.run.looked((updir.name, slot))
            self.run.looked((pmap.pm_pdir.name, slot))
            if updir.v[slot] != pmap.pm_pdir.v[slot]:
                self.broken(
                    "updir-current",
                    f"cpu{ci.ci_index} is in user mode with {updir.word_name(slot)} = {updir.v[slot]:#x}, but "
                    f"{pmap.pm_pdir.word_name(slot)} = {pmap.pm_pdir.v[slot]:#x} and nobody is updating it",
                )

    def _removed_areas(self, ci: CpuInfo) -> None:
        """Nothing of the five areas is reachable from the loaded tables."""
        k = self.run.kernel
        mem, layout = self.run.mem, k.layout
        self.premise("removed-areas")
        root = mem.table(ci.cpu.cr3_pa)
        slot = k.geometry.pte_slot
        for name, at in (("PTE space", slot), ("kernel heap", slot + 2), ("direct map", slot + 3)):
            if root.v[at] & P:
                self.broken("removed-areas", f"cpu{ci.ci_index}: {name} is reachable in user mode through slot {at}")
        places = [("kernel text", layout.kernel_text), ("kernel data", layout.kernel_data)]
        if k.design.per_cpu:
            places += [
                (f"pcpu area of cpu{o.ci_index}", layout.entry_page(o.ci_index, "tss")) for o in k.cpus if o is not ci
            ]
        for name, va in places:
            if translate(mem, ci.cpu.cr3_pa, va)[0] is not None:
                self.broken("removed-areas", f"cpu{ci.ci_index}: {name} is reachable in user mode at {va:#x}")

    def returned(self, cpu: int, vector: int, before: tuple[bool, int, int]) -> None:
        """An interrupt frame ended."""
        registers = self.run.kernel.cpus[cpu].cpu
        after = (registers.user, registers.cr3_pa, registers.pcid)
        if vector == VECTOR_NMI or not before[0]:
            self.premise("transparent-interrupt")
            if after != before:
                was, now = self.run.mem.name(before[1]), self.run.mem.name(after[1])
                self.broken("transparent-interrupt", f"cpu{cpu} comes back with CR3 = {now} (was {was})")

    def after(self, actor: int) -> None:
        """After each transition: no CPU outside a shootdown handler can walk through a freed table."""
        if not self.armed:
            return
        for cpu, ci in enumerate(self.run.kernel.cpus):
            if self.run.in_tlb_handler[cpu]:
                continue
            self.premises["freed-walk"] += 1
            dead = self.run.caches[cpu].dead_table(ci.cpu.pcid)
            if dead:
                self.broken("freed-walk", f"cpu{cpu} can still walk through table page {dead:#x}, which was freed")
