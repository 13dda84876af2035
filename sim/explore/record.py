"""The record of a state as it is written, from which the fingerprint is made."""

from __future__ import annotations

import hashlib
import marshal
from array import array
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from sim.explore.cached import MaybeCached
from sim.explore.fields import PLAIN
from sim.explore.kinds import name_of

_SHORT = 16  # of a page that is zero behind so many words, no more is written
_KEPT = 10_000  # values that never change, of which it is kept how they are written


class Record:
    """What a walk writes down, in the order in which it comes to things; looked at by the lot, which is cheap.

    Attributes:
        out: marks, and the numbers of objects met before.
        said: what goes with marks, and is known to be plain.
        plain: values that ought to be plain.
        words: the values of words of memory.
    """

    def __init__(self) -> None:
        self.out: list[int] = []
        self.said: list[Any] = []
        self.plain: list[Any] = []
        self.words: list[list[Any]] = []

    def say(self, lists: list[list[Any]]) -> None:
        """Take down what are integers as a rule, as fast as can be; of what marshal refuses, each is checked."""
        try:
            self.said.append(marshal.dumps(lists, 2))
        except ValueError:  # a flag, say
            self.said.append(list(map(len, lists)))
            self.plain += chain.from_iterable(lists)

    def check(self) -> list[Any]:
        """Take down the words, and all that is plain; return those values that are not, which are to be walked."""
        self._take_words()
        plain = [*self.plain]
        self.plain.clear()
        kinds = list(map(type, plain))
        odd = [at for kind in set(kinds) - PLAIN for at in _places(kinds, kind)]
        odd.sort()
        found = [plain[at] for at in odd]
        for at in odd:
            plain[at] = None
        self.said += (odd, plain)
        return found

    def _take_words(self) -> None:
        """The values of words, how many each has, and which of them have ended."""
        values = [*self.words]
        self.words.clear()
        sizes, ended, short = list(map(len, values)), [], []
        if set(map(type, values)) - {list}:
            ended = [at for at, v in enumerate(values) if type(v) is not list]
            values = list(map(list, values))
        if sizes and max(sizes) > _SHORT:
            for at in [at for at, size in enumerate(sizes) if size > _SHORT]:
                if values[at][_SHORT:] == [0] * (sizes[at] - _SHORT):  # a page hardly used
                    short.append(at)
                    values[at] = values[at][:_SHORT]
        self.said += (sizes, ended, short)
        self.plain += chain.from_iterable(values)

    def digest(self) -> bytes:
        """The number of a record: 128 bits."""
        # Version 2 of marshal's format writes equal lists as equal bytes; later ones mark objects met before.
        written = marshal.dumps((array("i", self.out).tobytes(), self.said), 2)
        return hashlib.blake2b(written, digest_size=16).digest()


def _places(kinds: list[type], kind: type) -> Iterator[int]:
    """Where in a list a class stands."""
    at = -1
    for _ in range(kinds.count(kind)):
        at = kinds.index(kind, at + 1)
        yield at


class Fixed:
    """How values that never change are written: their class, and what tells them from others of it."""

    def __init__(self) -> None:
        self._written: dict[int, tuple[object, bytes]] = {}  # by id, with the value, lest its id be used again

    def has(self, value: object) -> bool:
        """Whether it is known of a value."""
        return id(value) in self._written

    def of(self, value: object, fields: Callable[[Any], tuple[Any, ...]]) -> bytes:
        """How a value is written; *fields* gives what tells it from others, plain values and tuples of such."""
        found = self._written.get(id(value))
        if found is None:
            if len(self._written) >= _KEPT:
                self._written.clear()
            found = self._written[id(value)] = value, marshal.dumps((*name_of(type(value)), fields(value)), 2)
        return found[1]


class CachedAsWritten:
    """How what may be cached is written, by place: nothing goes by the order in which it came."""

    def __init__(self) -> None:
        self._written: dict[int, tuple[MaybeCached, Any, bytes]] = {}  # by id, with what it held then

    def of(self, value: MaybeCached) -> bytes:
        """How the sets of a CPU are written, worked out again only where they have changed."""
        held = value.entries, value.tables
        found = self._written.get(id(value))
        if found is None or found[1] != held:
            kept = tuple([{at: set(entries) for at, entries in places.items()} for places in held])
            said = [sorted((*place, *entry) for place, entries in places.items() for entry in entries)
                    for places in held]  # fmt: skip
            found = self._written[id(value)] = value, kept, _numbers(said)
        return found[2]


def _numbers(said: list[list[tuple[int, ...]]]) -> bytes:
    """Numbers as they are, but for those of classes of their own, such as flags: the future goes by what they are."""
    try:
        return marshal.dumps(said, 2)
    except ValueError:
        return marshal.dumps([[tuple(map(int, row)) for row in rows] for rows in said], 2)


def is_fixed(value: tuple[Any, ...]) -> bool:
    """Whether a tuple holds plain values, and tuples of that kind, alone."""
    return all(type(part) in PLAIN or type(part) is tuple and is_fixed(part) for part in value)
