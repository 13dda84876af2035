"""The user slots of a directory copied as one, for the fast engine, where no other CPU can see the difference.

The plain engine reads and writes slot by slot: some 500 steps for each load of a pmap under SVS.  If nothing is pending
here, nobody spins on either page and no event lies before the end of the copy, all of that happens undisturbed; then
the slots change together, the lines of both pages come over as they would one after another, and the ledger is
charged the same counts and cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import NamedTuple

from sim.hardware.memory import WORDS_PER_LINE, Words
from sim.hardware.sites import Site
from sim.timed.ledger import CHARGE
from sim.timed.meter import NO_DEBT
from sim.timed.short_steps import Parts


class SlotCopy(NamedTuple):
    """What is to be copied: so many *slots*, read by locked updates or plain loads, at two sites."""

    source: Words
    target: Words
    slots: int
    locked: bool
    read: Site
    write: Site


Copier = Callable[[SlotCopy], bool]


def copier(parts: Parts, pending: Sized, count: Callable[[int], None]) -> Copier:
    """Make what copies slots on one CPU, or returns false where it cannot.

    *pending*: its pending interrupts; *count* counts cache lines that come over.
    """
    clock, account, costs = parts.clock, parts.account, parts.steps.costs
    queue, watchers, transfer = clock.waiting(), parts.steps.watchers, parts.steps.meter.transfer
    furthest = max(transfer)

    def copy(what: SlotCopy) -> bool:
        source, target, slots, locked, _, _ = what
        read, write = costs["locked_rmw" if locked else "load"], costs["store"]
        lines = -(-slots // WORDS_PER_LINE)
        latest = clock.cycle + slots * (read + write) + 2 * lines * furthest
        if not read or not write or pending or id(source) in watchers or id(target) in watchers:
            return False
        if latest >= account.window_end or queue and queue[0][0] <= latest:
            return False
        target.v[:slots] = source.v[:slots]
        moved = _lines_that_move(what, lines, parts.core.index)
        _charge(parts, what, slots * read, slots * write, [transfer[cpu] for cpu in moved])
        if moved:
            count(len(moved))
        return True

    return copy


def _lines_that_move(what: SlotCopy, lines: int, cpu: int) -> list[int]:
    """The CPUs from which lines come over to this one."""
    found = []
    for line in range(lines):
        index = line * WORDS_PER_LINE
        for words, written in ((what.source, what.locked), (what.target, True)):
            if words.shared:
                found.append(words.write_miss(index, cpu) if written else words.read_miss(index, cpu))
    return [cpu for cpu in found if cpu >= 0]


def _charge(parts: Parts, what: SlotCopy, reads: int, writes: int, transfers: list[int]) -> None:
    """Let the time pass, and charge it as so many single charges."""
    core, account, clock = parts.core, parts.account, parts.clock
    if clock.cycle != account.until:
        raise account.gap(str(what.read), clock.cycle)
    tally = account.charged = account.charging
    for cause, charges, cycles in (
        (what.read.cause, what.slots, reads),
        ("cache-line transfer", sum(map(bool, transfers)), sum(transfers)),
        (what.write.cause, what.slots, writes),
    ):
        if charges:
            tally[cause] = tally.get(cause, 0) + CHARGE * charges + cycles
            if cause not in NO_DEBT:
                core.debt[0] += cycles
    total = reads + writes + sum(transfers)
    account.current = what.write.cause
    account.until += total
    clock.pass_quietly(total)
    parts.core.copies += 1
