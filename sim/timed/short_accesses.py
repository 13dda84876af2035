"""Accesses made short, for the fast engine: pages that are known to hit are noted, not looked up."""

from __future__ import annotations

from collections.abc import Callable
from operator import mul

from sim.errors import ModelError
from sim.hardware.caches import LINE_SHIFT, PAGE_SHIFT, PAGES
from sim.hardware.known_hits import Page, Pair, Run
from sim.hardware.mmu import STLB_HIT
from sim.hardware.quick_mmu import Translate, translator
from sim.hardware.sites import Site
from sim.hardware.steps import Step
from sim.timed.meter import NO_DEBT
from sim.timed.parts import Parts, Pay
from sim.timed.quick_steps import Handler

_NOTHING: dict[Pair, Page] = {}
Refill = Callable[[int, int, int, bool], int]


def access_handlers(parts: Parts, pay: Pay) -> tuple[Handler, Handler]:
    """What makes an access, and a run of them."""
    translate, refill = translator(parts.core.cpu, parts.mem), _refill(parts)
    return _access(parts, pay, translate, refill), _touch(parts, pay, translate, refill)


def _access(parts: Parts, pay: Pay, translate: Translate, refill: Refill) -> Handler:
    """An access to a page."""
    core, cpu, far = parts.core, parts.core.cpu, parts.steps.far
    known, caches = cpu.tlb.known, parts.steps.caches
    pages, noted, last, find = known.pages, known.noted, caches.last, caches.find

    def access(step: Step) -> int:
        _, site, va, kind, user = step
        there = pages.get(cpu.pcid << 1 | user)
        uses = there.get((va, kind)) if there is not None else None
        cycles = 0
        if uses is not None:
            noted.pop(uses, None)
            noted[uses] = None
            core.value = None
            key = uses.keys[0]
        else:
            core.value = translate((va, kind), user)
            key = cpu.pa >> LINE_SHIFT
            where = cpu.where
            if where:
                cycles = refill(1, 0, 0, user) if where == STLB_HIT else refill(0, 1, cpu.walk_loads, user)
            if core.value is not None:
                return cycles
        if user or last.get(key) is caches.now:
            return cycles
        missed = far[find(key)]
        return cycles + pay(site, missed, cycles) if missed else cycles

    return access


def _touch(parts: Parts, pay: Pay, translate: Translate, refill: Refill) -> Handler:
    """A run of accesses, all of which are known to hit as a sequence."""
    core, cpu, known = parts.core, parts.core.cpu, parts.core.cpu.tlb.known
    sequences, pages, noted, caches = known.sequences, known.pages, known.noted, parts.steps.caches
    use_lines, one_by_one = _use_lines(parts, pay), _one_by_one(parts, pay, translate, refill)

    def touch(step: Step) -> int:
        _, site, pairs, first, user = step
        mode = cpu.pcid << 1 | user
        found = sequences.get(id(pairs))
        if found is not None and found[0] is pairs and found[1] == mode and not first:
            run = found[2]
            known.sequences_noted += 1
        else:
            there = pages.get(mode)
            if there is None or first:
                return one_by_one(step)
            found_pages = []
            for pair in pairs:
                page = there.get(pair)
                if page is None:
                    return one_by_one(step)
                found_pages.append(page)
            run = known.add_sequence(pairs, mode, found_pages)
        noted.pop(run, None)
        noted[run] = None
        core.value = -1
        return 0 if run.cached is caches.now else use_lines(site, run, user)

    return touch


def _use_lines(parts: Parts, pay: Pay) -> Callable[[Site, Run, bool], int]:
    """The data caches' part of a sequence, as :class:`~sim.timed.quick_steps.QuickSteps` has it."""
    core, caches, far = parts.core, parts.steps.caches, parts.steps.far
    last, find = caches.last, caches.find

    def use_lines(site: Site, run: Run, user: bool) -> int:
        before, data = caches.now, 0
        lines = core.lwp.lines if user else 1
        if caches.are_here(run, lines):
            return 0
        for key in run.keys:
            if last.get(key) is not caches.now:
                data += far[find(key, lines)]
        run.cached = before
        return pay(site, data) if data and not user else 0  # a program's own misses are in its own time

    return use_lines


def _one_by_one(parts: Parts, pay: Pay, translate: Translate, refill: Refill) -> Handler:
    """A run of accesses not all of which are known to hit."""
    core, cpu, known, far = parts.core, parts.core.cpu, parts.core.cpu.tlb.known, parts.steps.far
    pages, noted, caches = known.pages, known.noted, parts.steps.caches
    last, find = caches.last, caches.find

    def touch(step: Step) -> int:
        _, site, pairs, first, user = step
        mode, lines = cpu.pcid << 1 | user, core.lwp.lines if user else 1
        hits = walks = loads = data = 0
        core.value = -1
        there = pages.get(mode, _NOTHING)
        for at in range(first, len(pairs)):
            pair = pairs[at]
            uses = there.get(pair)
            if uses is not None:
                noted.pop(uses, None)
                noted[uses] = None
                key = uses.keys[0]
            else:
                fault = translate(pair, user)
                there = pages.get(mode, _NOTHING)  # where it may have been learnt
                if cpu.where == STLB_HIT:
                    hits += 1
                elif cpu.where:
                    walks += 1
                    loads += cpu.walk_loads
                    if fault is not None:
                        if not user:
                            raise ModelError(f"{site}: kernel page {pair[0]:#x} is not mapped")
                        core.value = at
                        break
                key = PAGES | cpu.pa >> PAGE_SHIFT if user else cpu.pa >> LINE_SHIFT
            if last.get(key) is not caches.now:
                data += far[find(key, lines)]
        cycles = refill(hits, walks, loads, user) if hits or walks else 0
        return cycles + (pay(site, data, cycles) if data and not user else 0)

    return touch


def _refill(parts: Parts) -> Refill:
    """What pays for translations, as :meth:`~sim.timed.quick_steps.QuickSteps.refill`."""
    core, clock, account, steps, caches = parts.core, parts.clock, parts.account, parts.steps, parts.steps.caches
    costs, count, ci, far = steps.costs, steps.count, parts.core.ci, steps.far[1:]
    hit, base, load = costs["stlb_hit_data"], costs["walk_base"], costs["walk_load"]
    names = [
        (f"STLB hits, {mode}", f"page walks, {mode}", f"page-walk loads beyond the first-level cache, {mode}",
         f"{mode} TLB refill") for mode in ("kernel", "user")
    ]  # fmt: skip

    def refill(hits: int, walks: int, loads: int, user: bool) -> int:
        hits_name, walks_name, beyond_name, cause = names[user]
        if hits:
            count(ci, hits_name, hits)
        cycles = hit * hits
        core.refilled += cycles
        if walks:
            core.walks += 1
            count(ci, walks_name, walks)
            cycles += base * walks + load * loads
            beyond = caches.take()
            if beyond is not None:
                count(ci, beyond_name, sum(beyond))
                cycles += sum(map(mul, beyond, far))
        if cycles:
            account.charge(cause, clock.cycle, cycles)
            if cause not in NO_DEBT:
                core.debt[0] += cycles
        return cycles

    return refill
