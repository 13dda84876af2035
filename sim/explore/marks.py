"""What says in a record of a state of what kind things are: negative numbers; the others are those of objects met."""

from __future__ import annotations

from typing import Any

NOT_MET = -1  # stands for the number of an object that has none yet


class _Marks(dict[Any, int]):
    """The mark of each kind of thing, made when it is first needed."""

    def __missing__(self, what: Any) -> int:
        mark = self[what] = NOT_MET - 1 - len(self)
        return mark


MARKS = _Marks()
