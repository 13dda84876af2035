"""Pages that are known to hit in a first-level TLB, for the fast engine.

As long as nothing in the first level is replaced, dropped or flushed, a page that hit there hits again, and all that a
use changes is the order of use.  Of that only the last use of each entry counts.  So uses are noted, one access or a
whole sequence of them at a time, and the sets are brought into order when somebody is about to look at it.
"""

from __future__ import annotations

from collections.abc import Sequence

Entry = tuple[int, int, int]  # (page pa, rights, level)
Place = tuple[dict[int, Entry], int]  # a set of a first-level TLB, and the entry's key there
MOST = 1024  # sequences remembered; those of a long recording come and go


class Uses:
    """Entries of the first level in the order in which an access or a sequence of accesses uses them.

    Attributes:
        keys: of what they use in the data caches, as :meth:`~sim.hardware.caches.Caches.find` has them.
        cached: the state of the data caches (:attr:`~sim.hardware.caches.Caches.now`) in which all of their lines were
            used last; None if unknown.
    """

    __slots__ = ("cached", "keys", "places")

    def __init__(self, places: Sequence[Place], keys: Sequence[int]) -> None:
        self.places = places
        self.keys = keys
        self.cached: object = None


class KnownHits:
    """What one CPU's TLB knows to hit.

    Attributes:
        pages: by PCID and mode (``pcid << 1 | user``) the uses of a pair (VA, Access).
        sequences: sequences of pairs all of which hit, by their tuple's id: the tuple, PCID and mode, its uses.
        owners: the pages known by each entry, by its key: PCID and mode, and the pair.
        noted: uses whose effect on the sets' order is still to be made, the last one last.
        sequences_noted: how often a sequence was noted as one.
    """

    __slots__ = ("noted", "owners", "pages", "sequences", "sequences_noted")

    def __init__(self) -> None:
        self.pages: dict[int, dict[tuple[int, int], Uses]] = {}
        self.owners: dict[int, list[tuple[int, tuple[int, int]]]] = {}
        self.sequences: dict[int, tuple[object, int, Uses]] = {}
        self.noted: dict[Uses, None] = {}
        self.sequences_noted = 0

    def learn(self, mode: int, pair: tuple[int, int], place: Place, key: int) -> None:
        """The page hits from now on, and uses *key* in the data caches; this use of it has been made."""
        pages = self.pages.get(mode)
        if pages is None:
            pages = self.pages[mode] = {}
        pages[pair] = Uses((place,), (key,))
        self.owners.setdefault(place[1], []).append((mode, pair))

    def add_sequence(self, pairs: object, mode: int, uses: Uses) -> None:
        """All of a sequence hits from now on."""
        if len(self.sequences) >= MOST:
            self.order()
            self.sequences.clear()
        self.sequences[id(pairs)] = (pairs, mode, uses)

    def order(self) -> None:
        """Bring the sets into the order of the uses noted."""
        for uses in self.noted:
            for ways, key in uses.places:
                ways[key] = ways.pop(key)
        self.noted.clear()

    def lose(self, key: int) -> None:
        """The valid entry of that key was taken out of the first level to make room (the sets being in order)."""
        owners = self.owners.pop(key, None)
        if owners is not None:
            for mode, pair in owners:
                del self.pages[mode][pair]
            self.sequences.clear()

    def forget(self) -> None:
        """Entries are dropped, flushed or replaced: nothing is known to hit any more."""
        self.order()
        self.pages.clear()
        self.owners.clear()
        self.sequences.clear()
