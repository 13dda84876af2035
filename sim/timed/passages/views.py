"""Containers as a watched procedure sees them: each look at an item is noted, and what cannot be noted says so."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any, Protocol

SCALARS = (int, float, str, bytes, NoneType, type, BuiltinFunctionType, Enum)


class Nothing(Enum):
    """What is found where there is no item."""

    MISSING = 0


MISSING = Nothing.MISSING


def constant(value: Any) -> bool:
    """Whether a value cannot change."""
    if isinstance(value, SCALARS):
        return True
    if isinstance(value, FunctionType):
        return value.__closure__ is None
    return isinstance(value, tuple) and all(map(constant, value))


def same(one: Any, two: Any) -> bool:
    """Whether a value that was read is as it was, as a passage looks at it."""
    return bool(one == two) if type(one) in (int, str) else one is two


class Notes(Protocol):
    """Who notes."""

    def read(self, kind: str, holder: Any, key: Any, value: Any) -> Any:
        """A value was found."""

    def write(self, kind: str, holder: Any, key: Any, value: Any) -> Any:
        """One was changed."""

    def fail(self, why: str) -> None:
        """Something cannot be noted."""


class View:
    """A container's view; *real* is the container."""

    def __init__(self, notes: Notes, real: Any) -> None:
        self.notes = notes
        self.real = real

    def _unseen(self, what: str) -> Any:
        """The container itself, for something that is not noted."""
        self.notes.fail(f"{type(self.real).__name__}.{what}")
        return self.real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unseen(name), name)

    def __len__(self) -> int:
        length: int = self.notes.read("length", self.real, None, len(self.real))
        return length

    def __eq__(self, other: object) -> bool:
        return bool(self._unseen("__eq__") == (other.real if isinstance(other, View) else other))

    __hash__ = None  # type: ignore[assignment]

    def __delitem__(self, key: Any) -> None:
        del self._unseen("__delitem__")[key]


class DictView(View):
    """A dictionary."""

    def _find(self, key: Any) -> Any:
        if not constant(key):
            self.notes.fail("a key that may change")
        return self.notes.read("item", self.real, key, self.real.get(key, MISSING))

    def __getitem__(self, key: Any) -> Any:
        found = self._find(key)
        if found is MISSING:
            raise KeyError(key)
        return found

    def __contains__(self, key: Any) -> bool:
        return self._find(key) is not MISSING

    def get(self, key: Any, default: Any = None) -> Any:
        """As a dictionary's."""
        found = self._find(key)
        return default if found is MISSING else found

    def __setitem__(self, key: Any, value: Any) -> None:
        self._find(key)
        self.real[key] = self.notes.write("item", self.real, key, value)

    def pop(self, key: Any, *default: Any) -> Any:
        """As a dictionary's."""
        found = self._find(key)
        if found is not MISSING:
            self.notes.write("item", self.real, key, MISSING)
        self.real.pop(key, *default)
        return found if found is not MISSING else default[0]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._unseen("__iter__"))


class ListView(View):
    """A list, of words for instance."""

    def __getitem__(self, at: Any) -> Any:
        if not isinstance(at, int):
            return self._unseen("slice")[at]
        len(self)
        return self.notes.read("item", self.real, at % len(self.real), self.real[at])

    def __iter__(self) -> Iterator[Any]:
        return (self[at] for at in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return value in self._unseen("__contains__")

    def __setitem__(self, at: Any, value: Any) -> None:
        self._unseen("__setitem__")[at] = value
