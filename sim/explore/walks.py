"""Which entries of user pages the CPUs' page walkers may set A in at any time, whether or not the program uses them.

Hardware sets A before it caches a translation, by a locked update, and it may do so as soon as tables that lead to the
entry are loaded. Each entry without A that was reached is therefore an actor: its walk comes at some time, or too late,
once A was set by an access or the entry was overwritten; then it does nothing. That it comes too late instead of never
lets reduction see that it could have come earlier. Only who looks at the entry can tell, so it comes
right before somebody does, or after.
Source: SDM vol. 3, 4.8 and 4.10.2.3.
"""

from __future__ import annotations

from collections.abc import Iterable

from sim.explore.cached import BornMem, Cached, translate
from sim.explore.touched import Touched
from sim.hardware.memory import Words
from sim.hardware.paging import A, P
from sim.kernel.pmap import Pmap

Place = tuple[Words, int]


class Walks:
    """Walks to come, by number: which pmap, and which of its addresses.

    Attributes:
        followed, vas: the pmaps and user addresses that are followed.
        waiting: the walks that have not come yet.
        live: those of them whose entry was reached as it is now.
        seen: those of them whose entry somebody looked at meanwhile: they must come.
    """

    def __init__(self, mem: BornMem, touched: Touched) -> None:
        self.mem = mem
        self.touched = touched
        self.followed: list[Pmap] = []
        self.vas: tuple[int, ...] = ()
        self.waiting: set[int] = set()
        self.live: set[int] = set()
        self.seen: set[int] = set()
        self._numbers: dict[tuple[int, int], int] = {}  # by id of the table, whose words are kept, and index

    @property
    def most(self) -> int:
        """The numbers of all walks there may be are below this."""
        return len(self.followed) * len(self.vas)

    def reached(self, va: int, table: Words, index: int) -> bool:
        """An entry without A can be walked to; whether that is new."""
        known = (id(table), index) in self._numbers
        number = self._number(va, table, index)
        if number is None or known and number in self.live and number in self.waiting:
            return False
        self.live.add(number)
        if number not in self.waiting:
            self.waiting.add(number)
            self.touched.enabled(("walk", number))
        return True

    def _number(self, va: int, table: Words, index: int) -> int | None:
        """The walk of the entry that leads from *va* to its page; none if no pmap that is followed has it."""
        number = self._numbers.get((id(table), index))
        if number is None:
            for at, pmap in enumerate(self.followed):
                if self._place(pmap, va) == (table, index):
                    number = self._numbers[id(table), index] = at * len(self.vas) + self.vas.index(va)
        return number

    def owner(self, va: int, table: Words, index: int) -> Pmap | None:
        """The pmap whose entry leads from *va* to its page; none if no pmap that is followed has it."""
        number = self._number(va, table, index)
        return None if number is None else self.followed[number // len(self.vas)]

    def _place(self, pmap: Pmap, va: int) -> Place | None:
        words = translate(self.mem, pmap.pm_pdirpa, va)[1]
        return words[-1] if len(words) == self.mem.geometry.levels else None

    def place(self, number: int) -> tuple[int, tuple[Place, ...], Cached | None]:
        """Where a walk leads: its address, the words on its way, and the translation that it finds."""
        at, where = divmod(number, len(self.vas))
        found, words = translate(self.mem, self.followed[at].pm_pdirpa, self.vas[where])
        return self.vas[where], words, found

    def at(self, places: Iterable[Place]) -> set[int]:
        """The walks to come of these entries."""
        found = {self._numbers.get((id(table), index), -1) for table, index in places}
        return found & self.waiting

    def looked(self, table: Words, index: int) -> None:
        """Somebody looks at an entry, or is about to change it."""
        number = self._numbers.get((id(table), index))
        if number in self.waiting:
            self.seen.add(number)

    def overwritten(self, table: Words, index: int) -> int | None:
        """The entry changes, not by a walk; if nobody can have cached what it led to: its address."""
        number = self._numbers.get((id(table), index))
        if number is None:
            return None
        self.live.discard(number)
        entry = table.v[index]
        return self.vas[number % len(self.vas)] if entry & P and not entry & A else None

    def take(self, number: int) -> tuple[int, tuple[Place, ...], bool]:
        """The walk comes now: its address, the words on its way, and whether it may set A in the last one."""
        va, words, found = self.place(number)
        sets = number in self.live and found is not None and not found.walked
        self.waiting.discard(number)
        self.live.discard(number)
        self.seen.discard(number)
        return va, words, sets
