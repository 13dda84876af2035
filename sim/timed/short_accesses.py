"""Accesses made short, for the fast engine: pages that are known to hit are noted, not looked up."""

from __future__ import annotations

from collections.abc import Callable

from sim.errors import ModelError
from sim.hardware.caches import LINE_SHIFT, PAGE_SHIFT, PAGES
from sim.hardware.known_hits import KnownHits, Place, Uses
from sim.hardware.mmu import L1_HIT, WALK
from sim.hardware.quick_mmu import translate_quickly
from sim.hardware.sites import Site
from sim.hardware.steps import EXEC, Step
from sim.timed.parts import Parts, Pay
from sim.timed.quick_steps import Handler

_NOTHING: dict[tuple[int, int], Uses] = {}


def access_handler(parts: Parts, pay: Pay, plain: Handler) -> Handler:
    """An access to a page that is known to hit."""
    core, cpu, far = parts.core, parts.core.cpu, parts.steps.far
    known, caches = cpu.tlb.known, parts.steps.caches
    pages, noted, last, find = known.pages, known.noted, caches.last, caches.find

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
            key = uses.keys[0]
            if last.get(key) is caches.now:
                return 0
            missed = far[find(key)]
            return pay(site, missed) if missed else 0
        cycles = plain(step)
        if cpu.where == L1_HIT and core.value is None:
            key = PAGES | cpu.pa >> PAGE_SHIFT if user else cpu.pa >> LINE_SHIFT
            known.learn(mode, (va, kind), cpu.tlb.first_level(va, cpu.pcid, kind is EXEC), key)
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
            keys: list[int] = []
            for pair in pairs:
                page = there.get(pair)
                if page is None:
                    return one_by_one(step)
                places += page.places
                keys += page.keys
            uses = Uses(places, keys)
            known.add_sequence(pairs, mode, uses)
        noted.pop(uses, None)
        noted[uses] = None
        core.value = -1
        return 0 if uses.cached is caches.now else use_lines(site, uses, user)

    return touch


def _use_lines(parts: Parts, pay: Pay) -> Callable[[Site, Uses, bool], int]:
    """The data caches' part of a sequence, as :class:`~sim.timed.quick_steps.QuickSteps` has it."""
    core, caches, far = parts.core, parts.steps.caches, parts.steps.far
    last, find = caches.last, caches.find

    def use_lines(site: Site, uses: Uses, user: bool) -> int:
        before, data = caches.now, 0
        lines = core.lwp.lines if user else 1
        for key in uses.keys:
            if last.get(key) is not caches.now:
                data += far[find(key, lines)]
        if caches.now is before:
            uses.cached = before
        return pay(site, data) if data and not user else 0  # a program's own misses are in its own time

    return use_lines


def _one_by_one(parts: Parts, pay: Pay, known: KnownHits) -> Handler:
    """A run of accesses not all of which are known to hit."""
    core, cpu, mem, refill, far = parts.core, parts.core.cpu, parts.mem, parts.steps.refill, parts.steps.far
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
                va, kind = pair
                fault = translate_quickly(cpu, mem, va, kind, user)
                key = PAGES | cpu.pa >> PAGE_SHIFT if user else cpu.pa >> LINE_SHIFT
                if cpu.where == WALK:
                    walks += 1
                    loads += cpu.walk_loads
                elif cpu.where:
                    hits += 1
                else:  # not one that others of its set push out each time
                    known.learn(mode, pair, cpu.tlb.first_level(va, cpu.pcid, kind is EXEC), key)
                there = pages.get(mode, _NOTHING)
                if fault is not None:
                    if not user:
                        raise ModelError(f"{site}: kernel page {va:#x} is not mapped")
                    core.value = at
                    break
            if last.get(key) is not caches.now:
                data += far[find(key, lines)]
        cycles = refill(hits, walks, loads, user) if hits or walks else 0
        return cycles + (pay(site, data, cycles) if data and not user else 0)

    return touch
