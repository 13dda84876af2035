"""Judging the use of translations: what a TLB may still hold must be legal, and no freed table walkable."""

from __future__ import annotations

from collections.abc import Sequence

from sim.explore.cached import Cached, translate
from sim.explore.judges.lifetimes import Lifetimes
from sim.explore.judges.modified import Modified
from sim.explore.judges.protected import Protected
from sim.explore.judges.tally import Tally
from sim.explore.judges.view import View
from sim.explore.touched import Touched
from sim.hardware.memory import Words
from sim.hardware.paging import Fault, P, W
from sim.hardware.sites import Site
from sim.hardware.steps import Access
from sim.kernel.contexts import USER_BIT
from sim.kernel.layout import KSTACK_PAGES, PAGE_SIZE
from sim.kernel.pmap import Pmap
from sim.kernel.svs import PCID_KERN

Place = tuple[int, int]  # pmap number, virtual address
Usable = tuple[int, int, bool]  # page pa, its birth, writable

_WHY = {
    "stale-use": "whose shootdown has completed",
    "entered-page": "in whose place pmap_enter has put another page",
    "removed-by-others": "that pmap_remove has not found any more",
}
_EARLY = "which was freed before its shootdown has completed"


class Uses:
    """What each pmap's user may use, and judging who uses what.

    Attributes:
        user_vas, kernel_vas: the addresses of user and of kernel memory that are followed.
        followed: the pmaps that are followed.
        legal: what may be used, by pmap number and address, in the order in which it came.
        promises: what else than pmap_update has promised something of that address: invariants, by the same key.
        replaced: which of them keeps a page, by pmap number, address, page pa and its birth, from being used.
        protecting: the entries from which somebody is taking write permission, by name of the LWP, pmap number and
            address, as table and index; not those that somebody has made writable since.
    """

    def __init__(
        self, view: View, tally: Tally, touched: Touched, lifetimes: Lifetimes, protected: Protected,
        modified: Modified, user_vas: tuple[int, ...], kernel_vas: tuple[int, ...],
    ) -> None:  # fmt: skip
        self.view = view
        self.tally = tally
        self.premise, self.broken = tally.premise, tally.broken
        self.touched = touched
        self.lifetimes = lifetimes
        self.protected, self.modified = protected, modified
        self.user_vas, self.kernel_vas = user_vas, kernel_vas
        self.followed: list[Pmap] = []
        self.legal: dict[Place, tuple[Usable, ...]] = {}
        self.promises: dict[Place, tuple[str, ...]] = {}
        self.replaced: dict[tuple[int, int, int, int], str] = {}
        self.protecting: dict[tuple[str, int, int], tuple[str, int]] = {}

    def vas(self, cpu: int) -> tuple[int, ...]:
        """Addresses whose translations are followed on a CPU."""
        k = self.view.kernel
        rsp0 = (k.layout.entry_page(cpu, "rsp0") + PAGE_SIZE,) if k.design.per_cpu else ()
        return self.user_vas + rsp0 + self.kernel_vas

    def tables_at(self) -> dict[int, dict[int, int]]:
        """Where the kernel reaches the tables that serve each user address, by level, but ``top_at``, the highest."""
        k = self.view.kernel
        levels = range(1, k.geometry.levels)
        return {va: {level: k.layout.recursive(va, level) for level in levels} for va in self.user_vas}

    # --- what is legal ----------------------------------------------------------------------------------------------

    def follow(self, pmap: Pmap) -> None:
        """A pmap's translations count from now on."""
        self.followed.append(pmap)

    def learn(self) -> None:
        """What a pmap's tables lead to may be used until its removal is promised."""
        for pmap in self.followed:
            for va in self.user_vas:
                self._learn(pmap, va)
        for va in self.kernel_vas:
            self._learn(self.view.kernel.pmap_kernel, va)

    def _learn(self, pmap: Pmap, va: int) -> None:
        found, _ = translate(self.view.mem, pmap.pm_pdirpa, va)
        if found is not None:
            usable, known = (found.pa, found.birth, found.write), self.legal.get((pmap.number, va), ())
            if usable not in known:
                self.legal[pmap.number, va] = (*known, usable)
                self.touched.wrote(("promised", pmap.name))

    def promise_gone(self, pmap: Pmap, va: int, pa: int) -> None:
        """pmap_update returned: the page that was removed there, not freed yet, must not be used from here on."""
        self._drop(pmap, va, ((pa, self.view.mem.births[pa]),))

    def promise_entered(self, pmap: Pmap, va: int, pa: int) -> None:
        """pmap_enter and pmap_update returned: pages that were there before *pa* must not be used from here on.

        That may not be left to who removed them, and has not sent his shootdown yet.
        """
        now = (pa, self.view.mem.births[pa])
        pages = [entry[:2] for entry in self.legal.get((pmap.number, va), ())]
        self._drop(pmap, va, pages[: pages.index(now)] if now in pages else (), "entered-page")

    def promise_left(self, pmap: Pmap, va: int) -> None:
        """The same of an address where the other page has not been entered yet: the tables have nothing there."""
        self.premise("entered-page")
        found = self.view.mapping(pmap, va)
        if found is not None:
            self.broken(
                "entered-page",
                f"pmap {pmap.name} still maps {self.view.named.page(found.pa)} at {self.view.named.address(va)}, "
                "where its map has a copy",
            )
        self._drop(pmap, va, [entry[:2] for entry in self.legal.get((pmap.number, va), ())], "entered-page")

    def usable(self, pmap: Pmap, va: int) -> tuple[tuple[int, int], ...]:
        """The pages that may be used there, as somebody begins to remove what there is."""
        self.view.mapping(pmap, va)
        self.touched.looked(("promised", pmap.name))
        return tuple(entry[:2] for entry in self.legal.get((pmap.number, va), ()))

    def promise_none(self, pmap: Pmap, va: int, before: tuple[tuple[int, int], ...], invariant: str = "") -> None:
        """pmap_remove and pmap_update returned: the pages of *before* must not be used from here on."""
        self._drop(pmap, va, before, invariant)

    def _drop(self, pmap: Pmap, va: int, pages: Sequence[tuple[int, int]], invariant: str = "") -> None:
        """Pages that must not be used from here on, because *invariant* says so if it is not ``stale-use``."""
        self.touched.wrote(("promised", pmap.name))
        self.modified.judge(pmap, va, pages)
        place = (pmap.number, va)
        self.legal[place] = tuple(entry for entry in self.legal.get(place, ()) if entry[:2] not in pages)
        if invariant:
            promises = {*self.promises.get(place, ()), invariant}
            self.promises[place] = tuple(sorted(promises))
            self.replaced.update({(*place, *page): invariant for page in pages})
        self._in_user_mode(pmap, va)

    def protects(self, who: str, pmap: Pmap, vas: Sequence[int]) -> None:
        """An LWP begins to take write permission from what is there."""
        for va in vas:
            found, words = self.view.walk(pmap, va)
            if found is not None:
                self.protecting[who, pmap.number, va] = words[-1][0].name, words[-1][1]

    def granted(self, table: Words, index: int) -> None:
        """An entry of a table gets W."""
        for key in [key for key, entry in self.protecting.items() if entry == (table.name, index)]:
            del self.protecting[key]

    def promise_protected(self, who: str, pmap: Pmap, va: int) -> None:
        """pmap_update returned: a page that the tables map read-only must not be written from here on.

        They do map it so, unless somebody has made it writable since the LWP *who* has begun.
        """
        self.touched.wrote(("promised", pmap.name))
        found, words = self.view.walk(pmap, va)
        meant = self.protecting.pop((who, pmap.number, va), None)
        if meant is not None:
            self.premise("write-protected")
            table, index = words[-1]
            if meant == (table.name, index) and table.v[index] & P and table.v[index] & W:
                self.broken("write-protected", f"{who} has taken write permission from pmap {pmap.name} at "
                            f"{self.view.named.address(va)}, but the entry there has it still")  # fmt: skip
        if found is not None:
            self.modified.judge(pmap, va, [found[:2]])
        if found is not None and not found.write:
            gone, place = (found.pa, found.birth, True), (pmap.number, va)
            self.legal[place] = tuple(entry for entry in self.legal.get(place, ()) if entry != gone)
            self._in_user_mode(pmap, va)

    def promise_all_protected(self, who: str, pmap: Pmap) -> None:
        """The same for a whole pmap."""
        for va in self.user_vas:
            self.promise_protected(who, pmap, va)

    # --- at any time ------------------------------------------------------------------------------------------------

    def to_user(self, cpu: int) -> None:
        """A CPU is in user mode: its program may use any address next, whether or not the litmus program does."""
        view, pmap = self.view, self.view.current[cpu].l_proc.pmap
        if self.tally.armed and pmap in self.followed:
            self.touched.looked(("promised", pmap.name))
            for va in sorted({va for _, va in view.caches[cpu].entries if va < view.user_limit}):
                self._at_once(cpu, va, pmap)

    def _at_once(self, cpu: int, va: int, pmap: Pmap) -> None:
        """What a CPU in user mode could hit now, and what on its behalf a system call could, which flushes nothing."""
        pcid = self.view.kernel.cpus[cpu].cpu.pcid
        self._stale(cpu, va, Access.WRITE, "user mode", pmap)
        if pcid != self._of_kernel(pcid):
            self._stale(cpu, va, Access.WRITE, "a system call", pmap, self._of_kernel(pcid))

    def _of_kernel(self, pcid: int) -> int:
        """The PCID under which a system call out of a program that runs under *pcid* works."""
        return PCID_KERN if self.view.kernel.design.contexts is None else pcid & ~USER_BIT

    def _in_user_mode(self, pmap: Pmap, va: int) -> None:
        """From here on something must not be used there: CPUs that run the pmap's program can't hit it any more."""
        if pmap not in self.followed:
            return
        for cpu, ci in enumerate(self.view.kernel.cpus):
            if self.view.in_user_mode(ci) and self.tally.armed and self.view.current[cpu].l_proc.pmap is pmap:
                self._at_once(cpu, va, pmap)

    def freed(self, pa: int) -> None:
        """A page is given back: no program in user mode can hit it, or make a system call that does."""
        view, named, page = self.view, self.view.named, (pa, self.view.mem.births.get(pa, 0))
        for cpu, ci in enumerate(view.kernel.cpus) if self.tally.armed else ():
            if not view.in_user_mode(ci):
                continue
            pcids = {ci.cpu.pcid, self._of_kernel(ci.cpu.pcid)}
            for (pcid, va), entries in view.caches[cpu].entries.items():
                ours = pcid in pcids
                if va < view.user_limit and any(
                    entry.walked and entry[:2] == page and (ours or entry.globl) for entry in entries
                ):
                    self.broken("stale-use", f"cpu{cpu} in user mode may hit a TLB entry {named.address(va)} -> "
                                f"{named.page(pa)}, which is freed before its shootdown has completed")  # fmt: skip

    # --- at steps ---------------------------------------------------------------------------------------------------

    def access(self, cpu: int, va: int, kind: Access, user: bool, site: Site) -> Fault | None:
        """An access through the MMU: what the tables say, after judging what the TLB might say instead."""
        if va < self.view.user_limit:
            self._stale(cpu, va, kind, site, self.view.current[cpu].l_proc.pmap)
        elif va in self.kernel_vas:
            self._stale(cpu, va, kind, site, self.view.kernel.pmap_kernel)
        else:
            self._kernel_access(cpu, va, site)
        fault = self.view.fault(cpu, va, kind, user)
        if kind is Access.WRITE and va < self.view.user_limit:
            self.protected.written(cpu, va, fault, site)
        return fault

    def _kernel_access(self, cpu: int, va: int, site: Site) -> None:
        """Entry stacks and the recursive space: what may be cached must not be a page of the past."""
        view = self.view
        registers = view.kernel.cpus[cpu].cpu
        page = va // PAGE_SIZE * PAGE_SIZE
        if site.stack:
            self.premise("entry-stack")
            self._stack(cpu, page, site)
        self.premise("kernel-mapped")
        self.lifetimes.accessed(cpu, page, site)
        cache = view.caches[cpu]
        if page not in cache.vas and page not in cache.table_vas:
            return
        now, _ = translate(view.mem, registers.cr3_pa, page)
        for entry in cache.at(registers.pcid, page):
            if now is not None and (entry.pa, entry.birth) != (now.pa, now.birth):
                self.broken(
                    "entry-stack" if site.stack else "stale-use",
                    f"cpu{cpu} in {site}: the TLB may hold {view.named.held(*entry[:2])} for "
                    f"{view.named.address(page)}, where the tables have {view.named.page(now.pa)}",
                )

    def _stack(self, cpu: int, page: int, site: Site) -> None:
        """What is pushed or popped lies where RSP is, or in the page below; IST stacks and the TSS need none of it.

        Inside the kernel any of its stacks will do: between two LWPs RSP is ahead of who is said to run.
        """
        k, lwp = self.view.kernel, self.view.current[cpu]
        here = k.cpus[cpu].cpu.rsp // PAGE_SIZE * PAGE_SIZE
        fixed = [k.layout.entry_page(cpu, what) for what in ("tss", "ist0", "ist1", "ist2", "ist3")]
        own = page - lwp.kstack_va in range(KSTACK_PAGES * PAGE_SIZE) and k.layout.heap <= here < k.layout.direct
        if page not in (here, here - PAGE_SIZE, *fixed) and not own:
            name = self.view.named.address
            self.broken("entry-stack", f"cpu{cpu} in {site} uses the stack at {name(page)}, but RSP is at {name(here)}")

    def _stale(self, cpu: int, va: int, kind: Access, site: Site | str, pmap: Pmap, pcid: int | None = None) -> None:
        """Access to user memory, or to kernel memory that is followed: all that may be cached must still be legal."""
        view = self.view
        registers = view.kernel.cpus[cpu].cpu
        page = va // PAGE_SIZE * PAGE_SIZE
        legal = self.legal.get((pmap.number, page), ())
        for invariant in self.promises.get((pmap.number, page), ()):
            self.premise(invariant)
        for entry in view.caches[cpu].at(registers.pcid if pcid is None else pcid, page):
            self.premise("stale-use")
            alive = view.mem.alive(entry.pa, entry.birth)
            good = alive and any(
                (entry.pa, entry.birth) == (pa, birth) and (w or not entry.write or kind is not Access.WRITE)
                for pa, birth, w in legal
            )
            if not good:
                why = self.replaced.get((pmap.number, page, entry.pa, entry.birth), "stale-use")
                early = not alive and (entry.pa, entry.birth) in [known[:2] for known in legal]
                self.broken(why, self._stale_text(cpu, page, site, pmap, entry) + (_EARLY if early else _WHY[why]))

    def _stale_text(self, cpu: int, va: int, site: Site | str, pmap: Pmap, entry: Cached) -> str:
        rights, named = "writable " if entry.write else "", self.view.named
        return (
            f"cpu{cpu} in {site} may hit a {rights}TLB entry {named.address(va)} -> {named.held(*entry[:2])} that pmap "
            f"{pmap.name} no longer has and "
        )

    def no_freed_walk(self) -> None:
        """After each transition: no CPU outside a shootdown handler can walk through a freed table."""
        if not self.tally.armed:
            return
        view = self.view
        for cpu, ci in enumerate(view.kernel.cpus):
            if view.in_tlb_handler[cpu]:
                continue
            self.tally.premises["freed-walk"] += 1
            dead = view.caches[cpu].dead_table(ci.cpu.pcid)
            if dead:
                table = view.mem.former(dead)
                self.broken("freed-walk", f"cpu{cpu} can still walk through table {table}, which was freed")
