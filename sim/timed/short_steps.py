"""Steps made short, for the fast engine: what nearly always happens in one piece, everything else by the plain way.

:mod:`sim.timed.quick_steps` is the reference.  Each function here makes the handler of one kind of step for one CPU;
what it needs at every step is in local names, and what it cannot decide at a glance it hands to the plain handler.
"""

from __future__ import annotations

from sim.hardware.memory import WORDS_PER_LINE
from sim.hardware.sites import Site, unknown_site
from sim.hardware.steps import Op, Step
from sim.timed.ledger import CHARGE
from sim.timed.meter import NO_DEBT
from sim.timed.parts import Parts, Pay
from sim.timed.quick_steps import LASTS, Handler
from sim.timed.short_accesses import access_handlers


def shorten(parts: Parts) -> None:
    """Put the short handlers in place of the plain ones."""
    handlers, pay, costs = parts.steps.handlers, _pay(parts), parts.steps.costs
    for op, name, make in (
        (Op.LOAD, "load", _load), (Op.STORE, "store", _store), (Op.RMW, "locked_rmw", _rmw),
        (Op.CLI, "cli", _cli), (Op.STI, "sti", _sti), (Op.SPL, "store", _spl), (Op.ACQUIRE, "locked_rmw", _acquire),
    ):  # fmt: skip
        if costs[name]:  # a step that costs nothing is not charged
            handlers[op] = make(parts, pay, handlers[op])
    handlers[Op.ACCESS], touch = access_handlers(parts, pay)
    handlers[Op.TOUCH] = touch
    handlers[Op.COST] = _cost(parts, pay, touch)
    handlers[Op.WORK] = handlers[Op.USER] = _work(parts, pay)
    handlers[Op.SWITCH] = _switch(parts, handlers[Op.SWITCH])


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
        tally = account.charging
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


def _acquire(parts: Parts, pay: Pay, plain: Handler) -> Handler:
    """A mutex that nobody holds, and whose line is nowhere else."""
    core, clock, index, mine = parts.core, parts.clock, parts.core.index, 1 << parts.core.index
    cycles = parts.steps.costs["locked_rmw"]

    def acquire(step: Step) -> int:
        _, site, mutex = step
        word = mutex.word
        if mutex.owner is not None or word.sharers.get(0) != mine or word.owner.get(0) != index:
            return plain(step)
        mutex.owner = core.cpu
        mutex.since = clock.cycle
        return pay(site, cycles)

    return acquire


# --- the rest -------------------------------------------------------------------------------------------------------


def _work(parts: Parts, pay: Pay) -> Handler:
    """Computing during which nothing happens."""
    clock, queue = parts.clock, parts.clock.waiting()

    def work(step: Step) -> int:
        _, site, cycles = step
        if queue and queue[0][0] <= clock._now + cycles:
            return LASTS
        return pay(site, cycles)

    return work


def _cost(parts: Parts, pay: Pay, touch: Handler) -> Handler:
    """A fixed cost; what the CPU reads by itself first is a run of accesses like any other."""
    core, costs = parts.core, parts.steps.costs
    reads = parts.steps.descriptors

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
