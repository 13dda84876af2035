"""A table of a TOML file: values are asked for by key, with type, unit and bounds; unread keys are errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from sim.errors import InputError, closest
from sim.inputs.lines import Path, line_of
from sim.inputs.shown import cut, escaped, shown
from sim.inputs.units import BYTES, PER_SECOND, split

LONGEST_TEXT = 200  # characters of a name
LONGEST_PROSE = 10_000  # of what is only shown
LONGEST_LIST = 10_000
MOST_SECONDS = 3600  # of one duration
_MISSING: Any = object()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a table is from: the file's name, and its text for line numbers (empty if values were changed since)."""

    place: str
    text: str = ""


def is_number(value: object) -> bool:
    """Whether a value of a file is a number, neither infinite nor "not a number"."""
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)


def dotted(path: Path) -> str:
    """Write a path of keys and indices: ``group[0].burst``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class Table:
    """One table of a file.

    Attributes:
        values: what it holds, by key.
        source, path: the file, and the keys and indices that lead to this table.
    """

    def __init__(self, values: dict[str, Any], source: Source, path: Path = ()) -> None:
        self.values = values
        self.source = source
        self.path = path
        self._asked: set[str] = set()

    @property
    def place(self) -> str:
        """The file's name."""
        return self.source.place

    def fail(self, key: str, what: str) -> InputError:
        """Return an error about a key (or about this table, for an empty one): file, line if known, key, what."""
        path = (*self.path, key) if key else self.path
        return InputError(f"{self._where(path)}: {cut(dotted(path))}: {what}")

    def _where(self, path: Path) -> str:
        """The file, and the line of a key if it is known."""
        line = line_of(self.source.text, path) if self.source.text else None
        return f"{self.place}:{line}" if line else self.place

    def located(self, key: str, read: Callable[[], T]) -> T:
        """Return what *read* returns; its complaint gets this file and key."""
        try:
            return read()
        except InputError as error:
            raise self.fail(key, str(error)) from None

    def has(self, key: str) -> bool:
        """Whether the key is there; it then counts as read."""
        self._asked.add(key)
        return key in self.values

    def get(self, key: str, default: Any = _MISSING) -> Any:
        """Return the raw value; InputError if it is missing and has no default."""
        self._asked.add(key)
        if key in self.values:
            return self.values[key]
        if default is _MISSING:
            where, name = self._where(self.path), dotted((*self.path, key))
            raise InputError(f"{where}: '{name}' is missing{closest(key, self.values)}")
        return default

    # --- words ------------------------------------------------------------------------------------------------------

    def text(
        self, key: str, default: Any = _MISSING, choices: Collection[str] = (), *, most: int = LONGEST_TEXT
    ) -> str:
        """A text of at most *most* characters, or one of *choices*."""
        return self._text(key, self.get(key, default), choices, most)

    def prose(self, key: str, default: Any = _MISSING) -> str:
        """A text that is only shown to people: it may be long, and what cannot be printed is escaped."""
        return escaped(self.text(key, default, most=LONGEST_PROSE), keep="\n\t")

    def label(self, key: str, default: Any = _MISSING) -> str:
        """The name of something, as tables and pictures show it: what cannot be printed is escaped."""
        return escaped(self.text(key, default))

    def _text(self, key: str, value: object, choices: Collection[str], most: int) -> str:
        if not isinstance(value, str):
            raise self.fail(key, f"{shown(value)} must be text in quotes")
        if choices and value not in choices:
            raise self.fail(key, f"{shown(value)} must be one of {', '.join(choices)}{closest(value, choices)}")
        if len(value) > most:
            raise self.fail(key, f"{shown(value)} must have {most} characters or fewer")
        return value

    def texts(self, key: str, default: Any = _MISSING) -> list[str]:
        """A list of texts."""
        return [self._text(key, value, (), LONGEST_TEXT) for value in self.entries(key, default, "texts in quotes")]

    def flag(self, key: str, default: Any = _MISSING) -> bool:
        """true or false."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, f"{shown(value)} must be true or false")
        return value

    # --- numbers ----------------------------------------------------------------------------------------------------

    def whole(self, key: str, default: Any = _MISSING, *, least: int = 1, most: int = 2**63 - 1) -> int:
        """A whole number of at least *least* and at most *most*."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(key, f"{shown(value)} must be a whole number")
        if value < least:
            raise self.fail(key, f"{value} must be {least} or more")
        if value > most:
            raise self.fail(key, f"{value} must be {most} or less")
        return value

    def number(self, key: str, default: Any = _MISSING, *, most: float = 1e9) -> float:
        """A positive number of at most *most*."""
        value = self.get(key, default)
        if not is_number(value) or value <= 0:
            raise self.fail(key, f"{shown(value)} must be a positive number")
        if value > most:
            raise self.fail(key, f"{shown(value)} must be {most:g} or less")
        return float(value)

    def signed(self, key: str, default: Any = _MISSING) -> float:
        """A finite number of either sign."""
        value = self.get(key, default)
        if not is_number(value):
            raise self.fail(key, f"{shown(value)} must be a number")
        return float(value)

    def positives(self, key: str, default: Any = _MISSING) -> list[float]:
        """A list of positive numbers."""
        values = self.entries(key, default, "positive numbers")
        if not all(is_number(value) and value > 0 for value in values):
            raise self.fail(key, "must be positive numbers")
        return [float(value) for value in values]

    # --- durations and sizes ----------------------------------------------------------------------------------------

    def duration(self, key: str, frequency_hz: int, default: Any = _MISSING) -> int:
        """A duration in cycles, at least 1: ``3 us``, ``200 cycles``."""
        return self.cycles_of(key, self.get(key, default), frequency_hz)

    def cycles_of(self, key: str, value: object, frequency_hz: int) -> int:
        """Return the cycles of a duration's text, at least 1."""
        number, unit = self._quantity(key, value, (*PER_SECOND, "cycles"), "a duration", "3 ns")
        cycles = number if unit == "cycles" else number * frequency_hz / PER_SECOND[unit]
        if cycles > MOST_SECONDS * frequency_hz:
            raise self.fail(key, f"{shown(value)} must be {MOST_SECONDS} s or less")
        return max(1, round(cycles))

    def pages(self, key: str, default: Any = _MISSING, *, most: int) -> int:
        """A size in pages, at most *most*, rounded up: ``64 KiB``, ``16 pages``."""
        value = self.get(key, default)
        number, unit = self._quantity(key, value, tuple(BYTES), "a size", "3 pages")
        size = number * BYTES[unit]
        if size > most * 4096:
            raise self.fail(key, f"{shown(value)} must be {_size(most)} or less")
        return -(-round(size) // 4096)

    def _quantity(self, key: str, value: object, units: tuple[str, ...], kind: str, example: str) -> tuple[float, str]:
        """A positive number with a unit."""
        found = split(value) if isinstance(value, str) else None
        if found is None:
            raise self.fail(key, f"{shown(value)} must be {kind} with a unit, as '{example}'")
        if found[1] not in units:
            what = f"unknown unit '{cut(found[1])}' in {shown(value)}"
            raise self.fail(key, f"{what}; units are {', '.join(units)}{closest(found[1], units)}")
        if found[0] <= 0:
            raise self.fail(key, f"{shown(value)} must be positive")
        return found

    # --- lists and tables -------------------------------------------------------------------------------------------

    def entries(self, key: str, default: Any, of: str) -> list[Any]:
        """A list of *of*, whatever is in it."""
        value = self.get(key, default)
        if not isinstance(value, list):
            raise self.fail(key, f"{shown(value)} must be a list of {of}")
        if len(value) > LONGEST_LIST:
            raise self.fail(key, f"{shown(value)} must have {LONGEST_LIST} entries or fewer")
        return value

    def whole_list(self, key: str, *, below: int) -> list[int]:
        """A list of different whole numbers from 0, each less than *below*."""
        value = self.entries(key, [], "whole numbers")
        for v in value:
            if isinstance(v, bool) or not isinstance(v, int):
                raise self.fail(key, f"{shown(v)} must be a whole number, as everything in this list")
            if not 0 <= v < below:
                raise self.fail(key, f"there is no {v}; with {below} CPUs they are 0 to {below - 1}")
        if len(set(value)) != len(value):
            raise self.fail(key, "names one twice")
        return value

    def table(self, key: str, default: Any = _MISSING) -> Table:
        """A table."""
        value = self.get(key, default)
        if not isinstance(value, dict):
            raise self.fail(key, f"{shown(value)} must be a table")
        return Table(value, self.source, (*self.path, key))

    def tables(self, key: str, *, most: int = LONGEST_LIST) -> list[Table]:
        """An array of at most *most* tables, perhaps empty."""
        value = self.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.fail(key, f"must be an array of tables, [[{dotted((*self.path, key))}]]")
        if len(value) > most:
            raise self.fail(key, f"{len(value)} tables; there must be {most} or fewer")
        return [Table(v, self.source, (*self.path, key, i)) for i, v in enumerate(value)]

    # --- what is left -----------------------------------------------------------------------------------------------

    def only(self, *known: str) -> None:
        """InputError for a key that is none of *known*: reported before anything that follows from its absence."""
        self._refuse_unknown(known)

    def finish(self) -> None:
        """InputError for a key that was not read."""
        self._refuse_unknown(self._asked)

    def _refuse_unknown(self, known: Iterable[str]) -> None:
        for key in self.values:
            if key not in known:
                path = (*self.path, key)
                raise InputError(f"{self._where(path)}: unknown key '{cut(dotted(path))}'{closest(key, known)}")


def _size(pages: int) -> str:
    """Pages as a size."""
    return f"{pages >> 18} GiB" if pages % (1 << 18) == 0 else f"{pages >> 8} MiB"
