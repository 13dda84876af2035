"""Accesses made short, for the fast engine: pages that are known to hit are noted, not looked up."""

from __future__ import annotations

from collections.abc import Callable

from sim.errors import ModelError
from sim.hardware.caches import LINE_SHIFT, PAGE_SHIFT, PAGES
from sim.hardware.known_hits import KnownHits, Place, Uses
from sim.hardware.mmu import WALK
from sim.hardware.quick_mmu import translate_quickly
from sim.hardware.sites import Site
from sim.hardware.steps import EXEC, Step
from sim.timed.parts import Parts, Pay
from sim.timed.quick_steps import Handler


def access_handler(parts: Parts, pay: Pay, plain: Handler) -> Handler:
    """An access to a page that is known to hit."""
    core, cpu, far = parts.core, parts.core.cpu, parts.steps.far
    known, find = cpu.tlb.known, parts.steps.caches.find
    pages, noted = known.pages, known.noted

    def access(step: Step) -> int:
        _, site, va, kind, user = step
        mode = cpu.pcid << 1 | user
        there = pages.get(mode)
        uses = there.get((va, kind)) if there is not None else None
        if uses is not None:
            noted.pop(uses, None)
            noted[uses] = None
            core.value = None
            if user:
                return 0
            missed = far[find(uses.addresses[0] >> LINE_SHIFT)]
            return pay(site, missed) if missed else 0
        cycles = plain(step)
        if cpu.where != WALK and core.value is None:
            known.learn(mode, (va, kind), cpu.tlb.first_level(va, cpu.pcid, kind is EXEC), cpu.pa)
        return cycles

    return access


def touch_handler(parts: Parts, pay: Pay) -> Handler:
    """A run of accesses, all of which are known to hit as a sequence."""
    core, cpu, known = parts.core, parts.core.cpu, parts.core.cpu.tlb.known
    sequences, pages, noted, caches = known.sequences, known.pages, known.noted, parts.steps.caches
    use_lines, one_by_one = _use_lines(parts, pay), _one_by_one(parts, pay, known)

    def touch(step: Step) -> int:
        _, site, pairs, first, user = step
        mode = cpu.pcid << 1 | user
        found = sequences.get(id(pairs))
        if found is not None and found[0] is pairs and found[1] == mode and not first:
            uses = found[2]
            known.sequences_noted += 1
        else:
            there = pages.get(mode)
            if there is None or first:
                return one_by_one(step)
            places: list[Place] = []
            addresses: list[int] = []
            for pair in pairs:
                page = there.get(pair)
                if page is None:
                    return one_by_one(step)
                places += page.places
                addresses += page.addresses
            uses = Uses(places, addresses)
            known.add_sequence(pairs, mode, uses)
        noted.pop(uses, None)
        noted[uses] = None
        core.value = -1
        return 0 if uses.cached is caches.now else use_lines(site, uses, user)

    return touch


def _use_lines(parts: Parts, pay: Pay) -> Callable[[Site, Uses, bool], int]:
    """The data caches' part of a sequence, as :class:`~sim.timed.quick_steps.QuickSteps` has it."""
    core, caches, far = parts.core, parts.steps.caches, parts.steps.far
    find = caches.find

    def use_lines(site: Site, uses: Uses, user: bool) -> int:
        before, data = caches.now, 0
        if user:
            lines = core.lwp.lines
            for pa in uses.addresses:
                find(PAGES | pa >> PAGE_SHIFT, lines)
        else:
            for pa in uses.addresses:
                data += far[find(pa >> LINE_SHIFT)]
        if caches.now is before:
            uses.cached = before
        return pay(site, data) if data else 0

    return use_lines


def _one_by_one(parts: Parts, pay: Pay, known: KnownHits) -> Handler:
    """A run of accesses not all of which are known to hit."""
    core, cpu, mem, refill, far = parts.core, parts.core.cpu, parts.mem, parts.steps.refill, parts.steps.far
    pages, noted, find = known.pages, known.noted, parts.steps.caches.find

    def touch(step: Step) -> int:
        _, site, pairs, first, user = step
        mode, lines = cpu.pcid << 1 | user, core.lwp.lines
        hits = walks = loads = data = 0
        core.value = -1
        for at in range(first, len(pairs)):
            pair = pairs[at]
            there = pages.get(mode)
            uses = there.get(pair) if there is not None else None
            if uses is not None:
                noted.pop(uses, None)
                noted[uses] = None
                pa = uses.addresses[0]
            else:
                va, kind = pair
                fault = translate_quickly(cpu, mem, va, kind, user)
                pa = cpu.pa
                if cpu.where == WALK:
                    walks += 1
                    loads += cpu.walk_loads
                else:
                    hits += cpu.where
                    known.learn(mode, pair, cpu.tlb.first_level(va, cpu.pcid, kind is EXEC), pa)
                if fault is not None:
                    if not user:
                        raise ModelError(f"{site}: kernel page {va:#x} is not mapped")
                    core.value = at
                    break
            if user:  # a program's own misses are in its own time
                find(PAGES | pa >> PAGE_SHIFT, lines)
            else:
                data += far[find(pa >> LINE_SHIFT)]
        cycles = refill(hits, walks, loads, user) if hits or walks else 0
        return cycles + (pay(site, data, cycles) if data else 0)

    return touch
