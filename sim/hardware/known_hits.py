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
State = tuple[int, int, int]  # of the data caches
MOST = 1024  # sequences remembered; those of a long recording come and go


class Uses:
    """Entries of the first level in the order in which an access or a sequence of accesses uses them.

    Attributes:
        places: the entries.
        keys: of what they use in the data caches, as :meth:`~sim.hardware.caches.Caches.find` has them.
        cached: the state of the data caches (:attr:`~sim.hardware.caches.Caches.now`) in which, or later, all of their
            lines were used last; None if unknown.
    """

    __slots__ = ("cached", "keys", "places")

    def __init__(self, places: Sequence[Place], keys: Sequence[int]) -> None:
        self.places = places
        self.keys = keys
        self.cached: State | None = None


class Page(Uses):
    """The one entry of a page.

    Attributes:
        pair: the page, and how it is accessed.
        other: another one with the same entry, and so on.
        sequences: the names of those that it may be part of; None if it never was.
    """

    __slots__ = ("other", "pair", "sequences")

    def __init__(self, pair: Pair, place: Place, key: int, other: Page | None) -> None:
        self.places = (place,)
        self.keys = (key,)
        self.cached = None
        self.pair = pair
        self.other = other
        self.sequences: set[int] | None = None


class Run(Uses):
    """A sequence of pages."""

    __slots__ = ("pages",)

    def __init__(self, pages: Sequence[Page]) -> None:
        super().__init__([page.places[0] for page in pages], [page.keys[0] for page in pages])
        self.pages = pages


class KnownHits:
    """What one CPU's TLB knows to hit.

    Attributes:
        pages: by PCID and mode (``pcid << 1 | user``) the uses of a pair (VA, Access).
        owners: by PCID and mode the pages that an entry serves, by its key.
        sequences: sequences of pairs all of which hit, by their tuple's id: the tuple, PCID and mode, its uses.
        noted: uses whose effect on the sets' order is still to be made, the last one last.
        learnt: how many pages were learnt.
        sequences_noted: how often a sequence was noted as one.
    """

    __slots__ = ("learnt", "noted", "owners", "pages", "sequences", "sequences_noted")

    def __init__(self) -> None:
        self.pages: dict[int, dict[Pair, Page]] = {}
        self.owners: dict[int, dict[int, Page]] = {}
        self.sequences: dict[int, tuple[object, int, Run]] = {}
        self.noted: dict[Uses, None] = {}
        self.learnt = 0
        self.sequences_noted = 0

    def learn(self, mode: int, pair: Pair, place: Place, key: int) -> Page:
        """The page hits from now on, and uses *key* in the data caches."""
        pages = self.pages.get(mode)
        if pages is None:
            pages = self.pages[mode] = {}
            self.owners[mode] = {}
        owners, entry = self.owners[mode], place[1]
        page = pages[pair] = owners[entry] = Page(pair, place, key, owners.get(entry))
        self.learnt += 1
        return page

    def add_sequence(self, name: object, mode: int, pages: Sequence[Page]) -> Run:
        """All of a sequence hits from now on."""
        if len(self.sequences) >= MOST:
            self._forget_sequences()
        at = id(name)
        for page in pages:
            if page.sequences is None:
                page.sequences = {at}
            else:
                page.sequences.add(at)
        run = Run(pages)
        self.sequences[at] = (name, mode, run)
        return run

    def order(self) -> None:
        """Bring the sets into the order of the uses noted."""
        for uses in self.noted:
            for ways, key in uses.places:
                ways[key] = ways.pop(key)
        self.noted.clear()

    def lose(self, key: int) -> None:
        """The valid entry of that key was taken out of the first level (the sets being in order)."""
        for mode, owners in self.owners.items():
            page = owners.pop(key, None)
            while page is not None:
                del self.pages[mode][page.pair]
                if page.sequences:
                    self._lose_sequences(page.sequences)
                page = page.other

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
