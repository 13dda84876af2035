"""Pages that are known to hit in a first-level TLB, for the fast engine.

As long as an entry of the first level is not replaced, dropped or flushed, a page that hit there hits again, and all
that a use changes is the order of use.  Of that only the last use of each entry counts.  So uses are noted, one access
or a whole sequence of them at a time, and the sets are brought into order when somebody is about to look at it.
"""

from __future__ import annotations

from collections.abc import Sequence

Entry = tuple[int, int, int]  # (page pa, rights, level)
Place = tuple[dict[int, Entry], int]  # a set of a first-level TLB, and the entry's key there
Pair = tuple[int, int]  # (VA, Access)
MOST = 1024  # sequences remembered; those of a long recording come and go


class Uses:
    """Entries of the first level in the order in which an access or a sequence of accesses uses them.

    Attributes:
        keys: of what they use in the data caches, as :meth:`~sim.hardware.caches.Caches.find` has them.
        cached: the state of the data caches (:attr:`~sim.hardware.caches.Caches.now`) in which all of their lines were
            used last; None if unknown.
        pages: of a sequence, what it was made of.
        sequences: of a page, the names of the sequences that it may be part of; None if it never was.
    """

    __slots__ = ("cached", "keys", "pages", "places", "sequences")

    def __init__(self, places: Sequence[Place], keys: Sequence[int], pages: Sequence[Uses] = ()) -> None:
        self.places = places
        self.keys = keys
        self.cached: object = None
        self.pages = pages
        self.sequences: set[int] | None = None


class KnownHits:
    """What one CPU's TLB knows to hit.

    Attributes:
        pages: by PCID and mode (``pcid << 1 | user``) the uses of a pair (VA, Access).
        sequences: sequences of pairs all of which hit, by their tuple's id: the tuple, PCID and mode, its uses.
        owners: by PCID and mode the pairs that an entry serves, by its key.
        noted: uses whose effect on the sets' order is still to be made, the last one last.
        learnt: how many pages were learnt.
        sequences_noted: how often a sequence was noted as one.
    """

    __slots__ = ("learnt", "noted", "owners", "pages", "sequences", "sequences_noted")

    def __init__(self) -> None:
        self.pages: dict[int, dict[Pair, Uses]] = {}
        self.owners: dict[int, dict[int, list[Pair]]] = {}
        self.sequences: dict[int, tuple[object, int, Uses]] = {}
        self.noted: dict[Uses, None] = {}
        self.learnt = 0
        self.sequences_noted = 0

    def learn(self, mode: int, pair: Pair, place: Place, key: int) -> None:
        """The page has just hit, and hits from now on; it uses *key* in the data caches."""
        pages = self.pages.get(mode)
        if pages is None:
            pages = self.pages[mode] = {}
            self.owners[mode] = {}
        uses = pages[pair] = Uses((place,), (key,))
        self.noted[uses] = None
        owners, entry = self.owners[mode], place[1]
        if entry in owners:
            owners[entry].append(pair)
        else:
            owners[entry] = [pair]
        self.learnt += 1

    def add_sequence(self, name: object, mode: int, pages: Sequence[Uses]) -> Uses:
        """All of a sequence hits from now on."""
        if len(self.sequences) >= MOST:
            self._forget_sequences()
        at = id(name)
        places: list[Place] = []
        keys: list[int] = []
        for page in pages:
            places += page.places
            keys += page.keys
            if page.sequences is None:
                page.sequences = {at}
            else:
                page.sequences.add(at)
        uses = Uses(places, keys, pages)
        self.sequences[at] = (name, mode, uses)
        return uses

    def order(self) -> None:
        """Bring the sets into the order of the uses noted."""
        for uses in self.noted:
            for ways, key in uses.places:
                ways[key] = ways.pop(key)
        self.noted.clear()

    def lose(self, key: int) -> None:
        """The valid entry of that key was taken out of the first level (the sets being in order)."""
        for mode, owners in self.owners.items():
            if key in owners:
                pages = self.pages[mode]
                for pair in owners.pop(key):
                    page = pages.pop(pair)
                    if page.sequences:
                        self._lose_sequences(page.sequences)

    def _lose_sequences(self, names: set[int]) -> None:
        """Of these one page hits no more."""
        for name in list(names):
            found = self.sequences.pop(name, None)
            if found is not None:
                for page in found[2].pages:
                    if page.sequences:
                        page.sequences.discard(name)

    def _forget_sequences(self) -> None:
        self.sequences.clear()
        for pages in self.pages.values():
            for page in pages.values():
                page.sequences = None

    def forget(self, pcid: int) -> None:
        """What was cached under a PCID, globals aside, is gone: nothing is known of it any more."""
        if self.noted:
            self.order()
        for mode in (pcid << 1, pcid << 1 | 1):
            self.pages.pop(mode, None)
            self.owners.pop(mode, None)
        if self.sequences:
            self._forget_sequences()

    def forget_all(self) -> None:
        """Nothing is cached any more (the sets need no order)."""
        self.noted.clear()
        self.pages.clear()
        self.owners.clear()
        self.sequences.clear()
