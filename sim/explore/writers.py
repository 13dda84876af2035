"""What writes the fields of the objects of a class into the record of a state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from sim.explore.fields import all_of, reader
from sim.explore.kinds import name_of
from sim.explore.left_out import FIELDS_LEFT_OUT
from sim.explore.marks import MARKS
from sim.explore.record import Record


class Walk(Protocol):
    """A walk over a state: its record, and the values that are left to be written, the next ones last."""

    record: Record
    left: list[Iterable[Any]]


def writer(first: Any) -> Callable[[Walk, Any], None]:
    """What writes objects of a class down: its name, then the fields by the groups of the class's ``Reader``."""
    kind = type(first)
    left_out = frozenset().union(*(FIELDS_LEFT_OUT.get(base, ()) for base in kind.__mro__))
    fetch_plain, fetch_others, known, keys = reader(first, left_out)
    mark, odd = MARKS[name_of(kind)], MARKS["odd", name_of(kind)]

    def write(walk: Walk, value: Any) -> None:
        if keys is not None and value.__dict__.keys() != keys:
            names, found = all_of(value, left_out)
            if names != known:
                walk.record.out += (odd, len(names))
                walk.record.plain += names
                walk.left.append(found)
                return
        walk.record.out.append(mark)
        walk.record.plain += fetch_plain(value)
        walk.left.append(fetch_others(value))

    return write
