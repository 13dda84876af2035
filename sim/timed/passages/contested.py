"""Counted operations whose pages push one another out of a set of the first-level TLB, and stay in the second level.

Such an operation leaves everything as it is but for the sets that its pages contend for, and what it costs depends on
what these hold when it begins, in which order of use.  So it comes in *cases*: each takes one content of the sets to
another, with the hits in the second level that this takes.  Operations that come again and again soon meet the same
contents again, and then there is a case for each already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sim.hardware.cpu import Cpu
from sim.hardware.known_hits import Entry, Place, Uses
from sim.hardware.steps import EXEC
from sim.hardware.tlb import GLOBAL, STAMP_SHIFT, Tlb
from sim.timed.ledger import CHARGE
from sim.timed.meter import NO_DEBT
from sim.timed.passages.members import Choice, Held, Member
from sim.timed.passages.passage import Entry as Made
from sim.timed.passages.played import Played, added

MOST = 256  # contents of the sets met, and cases known; only operations in no fixed order lead to more

Pairs = Sequence[tuple[int, tuple[int, int]]]


class Translation(NamedTuple):
    """Where a page's translation is cached: its sets in both levels, how much the first holds, and its key there.

    *alone*: whether there is no other for the page, of another size or PCID, which would hit if this one were gone.
    """

    ways: dict[int, Entry]
    most: int
    second: dict[int, Entry]
    key: int
    alone: bool


class Contested:
    """The sets that the operations counted on one CPU contend for.

    Attributes:
        cases: all that are known.
    """

    def __init__(self, members: Choice, cpu: Cpu[Tlb], hit: int) -> None:
        self.cases: list[Member] = []
        self._members = members
        self._cpu = cpu
        self._hit = hit
        self._pages: dict[Member, list[list[Translation]]] = {}  # by passage
        self._sets: dict[int, dict[int, Entry]] = {}  # by id
        self._uses: dict[Member, Sequence[Uses]] = {}
        self._entries: dict[int, Entry] = {}
        self._choices: dict[Held, Choice] = {}

    def find(self) -> bool:
        """Find the sets; false if what happens there is not known: a page of theirs is not in the second level."""
        for member in self._members.values():
            found = [_cached(self._cpu.tlb, part.pairs or ()) for part in member.parts]
            self._pages[member] = [part for part in found if part is not None]
            if None in found:
                return False
        pages = [page for parts in self._pages.values() for part in parts for page in part]
        touched = [place for member in self._members.values() if not member.parts for place in _places(member.uses)]
        for ways, key in (*((page.ways, page.key) for page in pages), *touched):
            if key not in ways:
                self._sets[id(ways)] = ways
        for member, parts in self._pages.items():
            places = [(page.ways, page.key) for part in parts for page in part if id(page.ways) not in self._sets]
            self._uses[member] = [Uses(places, ())] if parts else member.uses
        self._entries.update((page.key, page.second[page.key]) for page in pages if page.key in page.second)
        return not any(id(ways) in self._sets for ways, _ in touched) and all(
            page.alone and page.key in page.second for page in pages if id(page.ways) in self._sets
        )

    # --- what the sets hold -----------------------------------------------------------------------------------------

    def choice(self) -> Choice | None:
        """What can be counted next; None if nothing, because something flushed is still in one of the sets."""
        tlb = self._cpu.tlb
        if tlb.known.noted:
            tlb.known.order()
        held = tuple(tuple(ways) for ways in self._sets.values())
        found = self._choices.get(held)
        if found is not None:
            return found
        valid = set(tlb.stamps.values())
        if any(key >> STAMP_SHIFT << STAMP_SHIFT not in valid for keys in held for key in keys):
            return None
        for ways in self._sets.values():
            self._entries.update(ways)
        return self._holding(held)

    def _holding(self, held: Held) -> Choice | None:
        if held not in self._choices:
            if len(self._choices) >= MOST:
                return None
            self._choices[held] = Choice(held, self._case)
        return self._choices[held]

    def leave(self, choice: Choice) -> None:
        """Let the sets hold what they hold before *choice*."""
        for ways, keys in zip(self._sets.values(), choice.held, strict=True):
            if tuple(ways) != keys:
                for key in ways.keys() - set(keys):
                    self._cpu.tlb.known.lose(key)
                ways.clear()
                ways.update((key, self._entries[key]) for key in keys)

    # --- cases ------------------------------------------------------------------------------------------------------

    def _case(self, choice: Choice, key: Any) -> Member | None:
        """The case of an operation, by its kind, where the sets hold what they hold before *choice*."""
        base = self._members.get(key)
        if base is None or len(self.cases) >= MOST:
            return None
        sets = {at: dict.fromkeys(keys) for at, keys in zip(self._sets, choice.held, strict=True)}
        moves: list[Place] = []
        missed = [_use(pages, sets, moves) for pages in self._pages[base]]
        nexts = self._holding(tuple(map(tuple, sets.values())))
        if nexts is None:
            return None
        parts = [
            _refilled(part, pages, self._cpu, self._hit) if pages else part
            for part, pages in zip(base.parts, missed, strict=True)
        ]
        case = Member(base.operation, parts, self._uses[base], nexts)
        case.base, case.follower, case.moves = base, nexts.before, moves
        self.cases.append(case)
        return case


def _places(several: Iterable[Uses]) -> list[Place]:
    return [place for uses in several for place in uses.places]


def _cached(tlb: Tlb, pairs: Pairs) -> list[Translation] | None:
    """Where the pages' translations are cached; None if one is nowhere."""
    pages = []
    for mode, (va, kind) in pairs:
        found = []
        parts = tlb.l1i if kind is EXEC else tlb.l1d
        for large, (part, number) in enumerate(zip(parts, (va >> 12, va >> tlb.large_shift), strict=True)):
            ways, second = part.sets[number % part.mask], tlb.stlb.sets[number % tlb.stlb.mask]
            for pcid in (mode >> 1, GLOBAL):
                key = tlb.stamp(pcid) | number << 1 | large
                if key in ways or key in second:
                    found.append((ways, part.ways, second, key))
        if not found:
            return None
        pages.append(Translation(*found[0], len(found) == 1))
    return pages


def _use(pages: Iterable[Translation], sets: dict[int, dict[int, None]], moves: list[Place]) -> list[int]:
    """Use pages in turn, as far as they are in these sets: numbers of those that the second level had to give."""
    missed = []
    for number, page in enumerate(pages):
        keys = sets.get(id(page.ways))
        if keys is None:
            continue
        if page.key in keys:
            del keys[page.key]
        else:
            if len(keys) >= page.most:
                del keys[next(iter(keys))]
            missed.append(number)
            moves.append((page.second, page.key))
        keys[page.key] = None
    return missed


def _refilled(played: Played, missed: Collection[int], cpu: Cpu[Tlb], hit: int) -> Played:
    """The passage where the second level has to give some of its translations, by their numbers; *hit*: cycles."""
    entries: list[Made] = []
    at, last = 0, played.passage.last
    for entry in played.passage.entries:
        hits = sum(at <= number < at + len(entry.pages) for number in missed)
        at += len(entry.pages)
        if hits:
            user = entry.pages[0][0] & 1
            mode, cycles = ("kernel", "user")[user], hit * hits
            cause = f"{mode} TLB refill"
            charges = {cause: CHARGE + cycles} if cycles else {}
            entry = entry._replace(
                cycles=entry.cycles + cycles,
                charges=added([charges, entry.charges]),
                owed=entry.owed + (0 if cause in NO_DEBT else cycles),
                counts=added([entry.counts, {f"STLB hits, {mode}": hits}]),
            )
        last = next(reversed(entry.charges), last)
        entries.append(entry)
    return Played(played.passage._replace(entries=entries, last=last), cpu)
