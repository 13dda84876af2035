"""The user slots of a directory copied as one, for the fast engine, where no other CPU can see the difference.

The plain engine reads and writes slot by slot: some 500 steps for each load of a pmap under SVS.  If nothing is pending
here and nobody spins on either page, all that is copied before the next event happens undisturbed; then these slots
change together, the lines of both pages come over as they would one after another, and the ledger is charged the same
counts and cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import NamedTuple

from sim.hardware.memory import WORDS_PER_LINE, Words
from sim.hardware.sites import Site
from sim.timed.ledger import CHARGE
from sim.timed.meter import NO_DEBT
from sim.timed.parts import Parts


class SlotCopy(NamedTuple):
    """What is to be copied: slots [first, end), read by locked updates or plain loads, at two sites."""

    source: Words
    target: Words
    first: int
    end: int
    locked: bool
    read: Site
    write: Site


Copier = Callable[[SlotCopy], int]  # returns the first slot that is left
FEWEST = 4  # slots that are worth the trouble


def copier(parts: Parts, pending: Sized, count: Callable[[int], None]) -> Copier:
    """Make what copies slots on one CPU, as far as it can.

    *pending*: its pending interrupts; *count* counts cache lines that come over.
    """
    clock, account, costs = parts.clock, parts.account, parts.steps.costs
    queue, watchers, transfer = clock.waiting(), parts.steps.watchers, parts.steps.meter.transfer
    furthest = max(transfer)

    def copy(what: SlotCopy) -> int:
        source, target, first, end, locked, _, _ = what
        read, write = costs["locked_rmw" if locked else "load"], costs["store"]
        if not read or not write or pending or id(source) in watchers or id(target) in watchers:
            return first
        # Two lines for every eight slots, and two for those that the first and the last lie in.
        left = min(account.window_end, *(event[0] for event in queue[:1])) - clock.cycle - 4 * furthest
        slots = min(end - first, (left - 1) * WORDS_PER_LINE // (WORDS_PER_LINE * (read + write) + 2 * furthest))
        if slots < min(FEWEST, end - first):
            return first
        end = first + slots
        target.v[first:end] = source.v[first:end]
        moved = _lines_that_move(what, end, parts.core.index)
        _charge(parts, what, slots, slots * read, slots * write, [transfer[cpu] for cpu in moved])
        if moved:
            count(len(moved))
        return end

    return copy


def _lines_that_move(what: SlotCopy, end: int, cpu: int) -> list[int]:
    """The CPUs from which lines come over to this one, up to slot *end*."""
    found = []
    for index in range(what.first // WORDS_PER_LINE * WORDS_PER_LINE, end, WORDS_PER_LINE):
        for words, written in ((what.source, what.locked), (what.target, True)):
            if words.shared:
                found.append(words.write_miss(index, cpu) if written else words.read_miss(index, cpu))
    return [cpu for cpu in found if cpu >= 0]


def _charge(parts: Parts, what: SlotCopy, slots: int, reads: int, writes: int, transfers: list[int]) -> None:
    """Let the time pass, and charge it as so many single charges."""
    core, account, clock = parts.core, parts.account, parts.clock
    if clock.cycle != account.until:
        raise account.gap(str(what.read), clock.cycle)
    tally = account.charging
    for cause, charges, cycles in (
        (what.read.cause, slots, reads),
        ("cache-line transfer", sum(map(bool, transfers)), sum(transfers)),
        (what.write.cause, slots, writes),
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
