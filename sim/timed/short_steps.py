"""Steps made short, for the fast engine: what nearly always happens in one piece, everything else by the plain way.

:mod:`sim.timed.quick_steps` is the reference.  Each function here makes the handler of one kind of step for one CPU;
what it needs at every step is in local names, and what it cannot decide at a glance it hands to the plain handler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from sim.errors import ModelError
from sim.hardware.caches import LINE_SHIFT, PAGE_SHIFT, PAGES
from sim.hardware.known_hits import KnownHits, Place, Uses
from sim.hardware.memory import WORDS_PER_LINE
from sim.hardware.mmu import WALK
from sim.hardware.paging import PhysMem
from sim.hardware.quick_mmu import translate_quickly
from sim.hardware.sites import Site, unknown_site
from sim.hardware.steps import EXEC, READ, Op, Step
from sim.timed.clock import Clock
from sim.timed.core import Core
from sim.timed.debts import Debts
from sim.timed.ledger import CHARGE
from sim.timed.meter import NO_DEBT
from sim.timed.quick_account import QuickAccount
from sim.timed.quick_steps import Handler, QuickSteps


class Pay(Protocol):
    """Charges a step's cycles to its site's cause; *after*: cycles of the step that are charged already."""

    def __call__(self, site: Site, cycles: int, after: int = 0, /) -> int: ...


class Parts(NamedTuple):
    """What the handlers of one CPU need."""

    steps: QuickSteps
    core: Core
    clock: Clock
    account: QuickAccount
    debts: Debts
    mem: PhysMem


def shorten(parts: Parts) -> None:
    """Put the short handlers in place of the plain ones."""
    handlers, pay, costs = parts.steps.handlers, _pay(parts), parts.steps.costs
    for op, name, make in (
        (Op.LOAD, "load", _load), (Op.STORE, "store", _store), (Op.RMW, "locked_rmw", _rmw),
        (Op.CLI, "cli", _cli), (Op.STI, "sti", _sti), (Op.SPL, "store", _spl),
    ):  # fmt: skip
        if costs[name]:  # a step that costs nothing is not charged
            handlers[op] = make(parts, pay, _plain(parts, op))
    handlers[Op.ACCESS] = _access(parts, pay, _plain(parts, Op.ACCESS))
    touch = handlers[Op.TOUCH] = _touch(parts, pay)
    handlers[Op.COST] = _cost(parts, pay, touch)
    handlers[Op.SWITCH] = _switch(parts, _plain(parts, Op.SWITCH))


def _plain(parts: Parts, op: Op) -> Handler:
    handler = parts.steps.handlers[op]
    assert handler is not None
    return handler


def _pay(parts: Parts) -> Pay:
    """What charges a step's cycles, as :meth:`~sim.timed.meter.Meter.pay`."""
    core, clock, account = parts.core, parts.clock, parts.account

    def pay(site: Site, cycles: int, after: int = 0) -> int:
        start = clock._now + after
        if start != account.until:
            raise account.gap(str(site), int(start))
        if start >= account.window_end:
            account.close_window(int(start))
        try:
            cause = site.cause
        except AttributeError:
            raise unknown_site(("?", site)) from None
        account.until = start + cycles  # type: ignore[assignment]
        account.current = cause
        tally = account.charged = account.charging
        tally[cause] = tally.get(cause, 0) + CHARGE + cycles
        if cause not in NO_DEBT:
            core.debt[0] += cycles
        return cycles

    return pay


# --- memory ---------------------------------------------------------------------------------------------------------


def _load(parts: Parts, pay: Pay, plain: Handler) -> Handler:
    """A load of a word whose line is here."""
    core, index, cycles = parts.core, parts.core.index, parts.steps.costs["load"]

    def load(step: Step) -> int:
        _, site, words, at = step
        if words.shared and not words.sharers.get(at // WORDS_PER_LINE, 0) >> index & 1:
            return plain(step)
        core.value = words.v[at]
        return pay(site, cycles)

    return load


def _store(parts: Parts, pay: Pay, plain: Handler) -> Handler:
    """A store to a word that nobody watches, and whose line is nowhere else."""
    index, mine, watchers = parts.core.index, 1 << parts.core.index, parts.steps.watchers
    cycles = parts.steps.costs["store"]

    def store(step: Step) -> int:
        _, site, words, at, value = step
        if words.shared:
            line = at // WORDS_PER_LINE
            if words.sharers.get(line) != mine or words.owner.get(line) != index or id(words) in watchers:
                return plain(step)
        elif id(words) in watchers:
            return plain(step)
        words.v[at] = value
        return pay(site, cycles)

    return store


def _rmw(parts: Parts, pay: Pay, plain: Handler) -> Handler:
    """A locked update of such a word."""
    core, index, mine, watchers = parts.core, parts.core.index, 1 << parts.core.index, parts.steps.watchers
    cycles = parts.steps.costs["locked_rmw"]

    def rmw(step: Step) -> int:
        _, site, words, at, function, operand = step
        if words.shared:
            line = at // WORDS_PER_LINE
            if words.sharers.get(line) != mine or words.owner.get(line) != index:
                return plain(step)
        if id(words) in watchers:
            return plain(step)
        old = core.value = words.v[at]
        words.v[at] = function(old, operand)
        return pay(site, cycles)

    return rmw


# --- translations ---------------------------------------------------------------------------------------------------


def _access(parts: Parts, pay: Pay, plain: Handler) -> Handler:
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


def _touch(parts: Parts, pay: Pay) -> Handler:
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


# --- the rest -------------------------------------------------------------------------------------------------------


def _cost(parts: Parts, pay: Pay, touch: Handler) -> Handler:
    """A fixed cost; what the CPU reads by itself first is a run of accesses like any other."""
    core, costs = parts.core, parts.steps.costs
    reads = {name: tuple((va, READ) for va in addresses) for name, addresses in parts.steps.descriptors.items()}

    def cost(step: Step) -> int:
        _, site, name = step
        before = 0
        if name in reads:
            before = touch((Op.TOUCH, site, reads[name], 0, False))
            core.value = None
        cycles = costs[name]
        if not cycles:
            return before
        pay(site, cycles, before)
        if site.cause == "kernel work":  # as QuickSteps has it: charged as work, and owed
            core.debt[0] += cycles
        return before + cycles

    return cost


def _cli(parts: Parts, pay: Pay, _plain: Handler) -> Handler:
    """Interrupts off."""
    cpu, cycles = parts.core.cpu, parts.steps.costs["cli"]

    def cli(step: Step) -> int:
        cpu.intr = False
        return pay(step[1], cycles)

    return cli


def _sti(parts: Parts, pay: Pay, _plain: Handler) -> Handler:
    """Interrupts on."""
    cpu, cycles = parts.core.cpu, parts.steps.costs["sti"]

    def sti(step: Step) -> int:
        cpu.intr = True
        return pay(step[1], cycles)

    return sti


def _spl(parts: Parts, pay: Pay, _plain: Handler) -> Handler:
    """The priority level."""
    core, cpu, cycles = parts.core, parts.core.cpu, parts.steps.costs["store"]

    def spl(step: Step) -> int:
        core.value = cpu.ipl
        cpu.ipl = step[2]
        return pay(step[1], cycles)

    return spl


def _switch(parts: Parts, plain: Handler) -> Handler:
    """Another LWP, which owes on its own account."""
    core, account, debts = parts.core, parts.account, parts.debts

    def switch(step: Step) -> int:
        account.leave()
        core.debt = debts.cell(step[2])
        return plain(step)

    return switch
