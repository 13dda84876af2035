"""What stands in a record of a state beside plain values: floats, as which no value of a state is written.

Negative ones say what kind of thing follows, the others which of the objects met before is meant.
"""

from __future__ import annotations

from typing import Any


class _Marks(dict[Any, float]):
    """The mark of each kind of thing, made when it is first needed."""

    def __missing__(self, what: Any) -> float:
        mark = self[what] = -1.0 - len(self)
        return mark


class _Met(dict[int, float]):
    """What is written for an object met before, by its number; made once."""

    def __missing__(self, number: int) -> float:
        met = self[number] = float(number)
        return met


MARKS = _Marks()
MET = _Met()
