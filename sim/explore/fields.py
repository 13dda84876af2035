"""Fields of an object as they are stored: all slots of its class and all that its dictionary has.

Classes whose objects note or judge who uses them (:mod:`sim.explore.watched`) are read past that.  Fields come in two
groups, by what the first object of a class had in them: those that held plain values are fetched and compared at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence, Set
from inspect import getattr_static
from operator import attrgetter, itemgetter
from types import MemberDescriptorType
from typing import Any, NamedTuple

PLAIN = frozenset({int, str, bool, bytes, type(None), type(...)})  # values that are written as they are
UNSET = ...  # stands for the value of a slot that has none

Fetch = Callable[[Any], Sequence[Any]]


class Reader(NamedTuple):
    """Fetches the fields of the objects of one class: those that are *plain* as a rule, then the *others*.

    Attributes:
        names: of all of them.
        keys: what the dictionaries of such objects have, left out or not; None if they have none.  An object of which
            that is not so may have other fields: see :func:`all_of`.
    """

    plain: Fetch
    others: Fetch
    names: list[str]
    keys: Set[str] | None


def reader(value: Any, left_out: Collection[str]) -> Reader:
    """What fetches the fields of objects of this one's class, without those that are left out."""
    kind = type(value)
    members = {name: member for name, member in slots_of(kind).items() if name not in left_out}
    entries = getattr(value, "__dict__", {})
    names = sorted(name for name in entries if name not in left_out)
    found = {name: stored(member, value) for name, member in members.items()} | {name: entries[name] for name in names}
    plain = {name for name, what in found.items() if type(what) in PLAIN}

    def fetch(wanted: Callable[[str], bool]) -> Fetch:
        slots = {name: member for name, member in members.items() if wanted(name)}
        return _joined([*_of_slots(value, slots), *_of_dict([name for name in names if wanted(name)])])

    return Reader(
        fetch(lambda name: name in plain),
        fetch(lambda name: name not in plain),
        sorted(found),
        set(entries) if hasattr(value, "__dict__") else None,
    )


def all_of(value: Any, left_out: Collection[str]) -> tuple[list[str], list[Any]]:
    """Names and values of all fields, one by one."""
    found = {name: stored(member, value) for name, member in slots_of(type(value)).items()}
    found |= getattr(value, "__dict__", {})
    names = sorted(name for name in found if name not in left_out)
    return names, [found[name] for name in names]


def all_slots(kind: type) -> Iterator[MemberDescriptorType]:
    """The slots of a class and its bases, hidden ones included, each by its own name alone."""
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if type(member) is MemberDescriptorType and member.__name__ == name:
                yield member


def slots_of(kind: type) -> dict[str, MemberDescriptorType]:
    """The slots of a class and its bases by name, in an order of their own."""
    found: dict[str, MemberDescriptorType] = {}
    for member in all_slots(kind):
        found.setdefault(member.__name__, member)
    return dict(sorted(found.items()))


def stored(member: MemberDescriptorType, value: Any) -> Any:
    """What a slot holds, whatever its class would do on the way."""
    try:
        return member.__get__(value)
    except AttributeError:
        return UNSET


def _of_slots(value: Any, members: dict[str, MemberDescriptorType]) -> list[Fetch]:
    """What fetches slots: at once, and those that are not set last.

    Slots of which a look is noted get a second name in their class, one that no code can have, to be read by.
    """
    kind = type(value)
    plainly = getattr_static(kind, "__getattribute__") is object.__getattribute__
    direct = {name: member for name, member in members.items()
              if plainly and getattr_static(kind, name) is member
              and stored(member, value) is not UNSET}  # fmt: skip
    unset = [member for member in members.values() if stored(member, value) is UNSET]
    noted = {name: member for name, member in members.items() if name not in direct and member not in unset}
    for name, member in noted.items() if plainly else ():  # a second name, and no look at that is noted
        setattr(kind, f"{name} as stored", member)
        direct[f"{name} as stored"] = member
    found: list[Fetch] = []
    if len(direct) > 1:
        found.append(_all_or_each(attrgetter(*direct), list(direct.values())))
    elif direct or noted:
        left = list((direct or noted).values())
        gets = [member.__get__ for member in left]
        found.append(_all_or_each(lambda value: [get(value) for get in gets], left))
    if unset:
        found.append(lambda value: [stored(member, value) for member in unset])
    return found


def _all_or_each(at_once: Fetch, members: list[MemberDescriptorType]) -> Fetch:
    """Fetch slots at once, or one by one where one of them is not set."""

    def fetch(value: Any) -> Sequence[Any]:
        try:
            return at_once(value)
        except AttributeError:
            return [stored(member, value) for member in members]

    return fetch


def _of_dict(names: list[str]) -> list[Fetch]:
    """What fetches entries of an object's dictionary."""
    if len(names) < 2:
        return [lambda value: [value.__dict__.get(name, UNSET) for name in names]] if names else []
    at_once = itemgetter(*names)

    def fetch(value: Any) -> Sequence[Any]:
        try:
            return at_once(value.__dict__)  # type: ignore[no-any-return]
        except KeyError:
            return [value.__dict__.get(name, UNSET) for name in names]

    return [fetch]


def _joined(parts: list[Fetch]) -> Fetch:
    """One after the other."""
    if len(parts) < 2:
        return parts[0] if parts else lambda _value: ()
    one, *more = parts
    other = _joined(more)
    return lambda value: [*one(value), *other(value)]
