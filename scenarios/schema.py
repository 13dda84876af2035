"""A strict reader of TOML: values are asked for by key, with type and unit; what nobody asked for is an error."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sim.errors import InputError, closest

_NUMBER_UNIT = re.compile(r"^\s*(-?\d+(?:\.\d+)?)\s*([A-Za-z%/]*)\s*$")
_SECONDS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_BYTES = {"pages": 4096, "page": 4096, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "B": 1}
MOST = 1e18  # ns, cycles or bytes: years of time
_MISSING = object()
T = TypeVar("T")


def is_positive(value: object) -> bool:
    """Whether a value of a file is a number above zero, neither infinite nor "not a number"."""
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value) and value > 0


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; InputError with file (and line) if it can't be."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; a scenario is a TOML file") from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number too long, or tables nested too deep, are no TOML errors
        raise InputError(f"{path}: not valid TOML: {error}") from None


class Table:
    """One table of a file, with the dotted key that leads to it."""

    def __init__(self, values: dict[str, Any], place: str, key: str = "") -> None:
        self.values = values
        self.place = place
        self.key = key
        self.asked: set[str] = set()

    def name(self, key: str) -> str:
        """Dotted name of a key of this table."""
        return f"{self.key}.{key}" if self.key else key

    def fail(self, key: str, what: str) -> InputError:
        """An error at a key."""
        return InputError(f"{self.place}: {self.name(key)}: {what}")

    def located(self, key: str, read: Callable[[], T]) -> T:
        """What *read* returns; its complaint names this file and key."""
        try:
            return read()
        except InputError as error:
            raise self.fail(key, str(error)) from None

    def has(self, key: str) -> bool:
        """Whether the key is there (and is asked for by this)."""
        self.asked.add(key)
        return key in self.values

    def get(self, key: str, default: Any = _MISSING) -> Any:
        """The raw value; InputError if it is missing and has no default."""
        self.asked.add(key)
        if key in self.values:
            return self.values[key]
        if default is _MISSING:
            raise InputError(f"{self.place}: '{self.name(key)}' is missing{closest(key, self.values)}")
        return default

    def text(self, key: str, default: Any = _MISSING, choices: tuple[str, ...] = ()) -> str:
        """A string, perhaps one of *choices*."""
        value = self.get(key, default)
        if not isinstance(value, str):
            raise self.fail(key, f"{value!r} must be text in quotes")
        if choices and value not in choices:
            raise self.fail(key, f"'{value}' must be one of {', '.join(choices)}{closest(value, choices)}")
        return value

    def whole(self, key: str, default: Any = _MISSING, *, least: int = 1, most: int | None = None) -> int:
        """A whole number of at least *least* and at most *most*."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(key, f"{value!r} must be a whole number")
        if value < least:
            raise self.fail(key, f"{value} must be {least} or more")
        if most is not None and value > most:
            raise self.fail(key, f"{value} must be {most} or less")
        return value

    def number(self, key: str, default: Any = _MISSING, *, most: float = 1e9) -> float:
        """A positive number."""
        value = self.get(key, default)
        if not is_positive(value):
            raise self.fail(key, f"{value!r} must be a positive number")
        if value > most:
            raise self.fail(key, f"{value} must be {most:g} or less")
        return float(value)

    def flag(self, key: str, default: Any = _MISSING) -> bool:
        """true or false."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, f"{value!r} must be true or false")
        return value

    def whole_list(self, key: str, *, below: int) -> list[int]:
        """A list of different whole numbers from 0, each less than *below*."""
        value = self.get(key, [])
        if not isinstance(value, list) or any(isinstance(v, bool) or not isinstance(v, int) for v in value):
            raise self.fail(key, f"{value!r} must be a list of whole numbers")
        for v in value:
            if not 0 <= v < below:
                raise self.fail(key, f"there is no {v}; with {below} CPUs they are 0 to {below - 1}")
        if len(set(value)) != len(value):
            raise self.fail(key, f"{value} names one twice")
        return value

    def _quantity(self, key: str, value: Any, units: dict[str, int], kind: str) -> float:
        """A positive number with a unit, as a multiple of the unit 1."""
        match = _NUMBER_UNIT.match(value) if isinstance(value, str) else None
        if match is None:
            raise self.fail(key, f"{value!r} must be {kind} with a unit, as '3 {next(iter(units))}'")
        if match[2] not in units:
            raise self.fail(
                key, f"unknown unit '{match[2]}' in {value!r}; units are {', '.join(units)}{closest(match[2], units)}"
            )
        amount = float(match[1]) * units[match[2]]
        if amount <= 0:
            raise self.fail(key, f"{value!r} must be positive")
        if amount > MOST:
            raise self.fail(key, f"{value!r} is too much for {kind}")
        return amount

    def duration(self, key: str, frequency_hz: int, default: Any = _MISSING) -> int:
        """A duration in cycles: '3 us', '200 cycles'."""
        return self.cycles_of(key, self.get(key, default), frequency_hz)

    def cycles_of(self, key: str, value: Any, frequency_hz: int) -> int:
        """Convert a duration's text to cycles, at least 1."""
        if isinstance(value, str) and value.rstrip().endswith("cycles"):
            return max(1, round(self._quantity(key, value, {"cycles": 1}, "a duration")))
        units = {**_SECONDS, "cycles": 1}
        return max(1, round(self._quantity(key, value, units, "a duration") * frequency_hz / 1_000_000_000))

    def pages(self, key: str, default: Any = _MISSING, *, most: int) -> int:
        """A size in pages, at most *most*, rounded up: '64 KiB', '16 pages'."""
        text = self.get(key, default)
        count = -(-round(self._quantity(key, text, _BYTES, "a size")) // 4096)
        if count > most:
            raise self.fail(key, f"{text!r} must be {most * 4096 >> 30} GiB or less")
        return count

    def only(self, *known: str) -> None:
        """InputError for a key that is none of *known*: told before anything that follows from its absence."""
        for key in self.values:
            if key not in known:
                raise InputError(f"{self.place}: unknown key '{self.name(key)}'{closest(key, known)}")

    def table(self, key: str, default: Any = _MISSING) -> Table:
        """A table."""
        value = self.get(key, default)
        if not isinstance(value, dict):
            raise self.fail(key, f"{value!r} must be a table")
        return Table(value, self.place, self.name(key))

    def tables(self, key: str) -> list[Table]:
        """An array of tables, perhaps empty."""
        value = self.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.fail(key, "must be an array of tables, [[...]]")
        return [Table(v, self.place, f"{self.name(key)}[{i}]") for i, v in enumerate(value)]

    def finish(self) -> None:
        """InputError for a key that nobody asked for."""
        for key in self.values:
            if key not in self.asked:
                raise InputError(f"{self.place}: unknown key '{self.name(key)}'{closest(key, self.asked)}")
