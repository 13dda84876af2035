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


def copier(parts: Parts, pending: Sized, count: Callable[[int], None]) -> Copier:
    """Make what copies slots on one CPU, as far as it can.

    *pending*: its pending interrupts; *count* counts cache lines that come over.
    """
    clock, account, costs = parts.clock, parts.account, parts.steps.costs
    queue, watchers, transfer = clock.waiting(), parts.steps.watchers, parts.steps.meter.transfer
    index, furthest = parts.core.index, max(parts.steps.meter.transfer)

    def copy(what: SlotCopy) -> int:
        source, target, first, end, locked, _, _ = what
        read, write = costs["locked_rmw" if locked else "load"], costs["store"]
        if not read or not write or pending or id(source) in watchers or id(target) in watchers:
            return first
        left = min(account.window_end, *(event[0] for event in queue[:1])) - clock.cycle - 1
        slot, moved = first, []
        while slot < end and left >= read + write + 2 * furthest:  # both lines may have to come
            coming = [transfer[cpu] for cpu in _come(what, slot // WORDS_PER_LINE, index)]
            moved += coming
            left -= sum(coming)
            slots = min(WORDS_PER_LINE - slot % WORDS_PER_LINE, end - slot, left // (read + write))
            left -= slots * (read + write)
            slot += slots
        if slot > first:
            target.v[first:slot] = source.v[first:slot]
            _charge(parts, what, slot - first, (slot - first) * read, (slot - first) * write, moved)
            if moved:
                count(len(moved))
        return slot

    return copy


def _come(what: SlotCopy, line: int, cpu: int) -> list[int]:
    """The CPUs from which one line of both pages comes over to this one."""
    found = []
    for words, written in ((what.source, what.locked), (what.target, True)):
        have = words.sharers.get(line, 0)
        if words.shared and (have != 1 << cpu or words.owner.get(line) != cpu if written else not have >> cpu & 1):
            at = line * WORDS_PER_LINE
            found.append(words.write_miss(at, cpu) if written else words.read_miss(at, cpu))
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
