"""The one reader of TOML: files within bounds, and values asked for by key, with place and bounds in each message."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.inputs.door import MIB, read_text
from sim.inputs.lines import Path as KeyPath
from sim.inputs.lines import line_of
from sim.inputs.shown import cut
from sim.inputs.table import Source, Table, dotted

MOST_BYTES = MIB
MOST_DEPTH = 12  # tables and lists in each other; ours have four
LARGEST = 2**63 - 1  # TOML's own range of whole numbers
# The library's time grows with the square of a key's parts.
_LONG_KEY = re.compile(r"(?<![\w-])(?:(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*\.[ \t]*){32}")


def read_toml(path: Path) -> Table:
    """Read a TOML file.  Raises InputError with file and line, or file and key."""
    return parse_toml(read_text(path, MOST_BYTES), str(path))


def parse_toml(text: str, place: str) -> Table:
    """Read TOML text; *place* is the file's name for messages.  Raises InputError."""
    long = _LONG_KEY.search(text)
    if long is not None:
        raise InputError(f"{place}:{text.count(chr(10), 0, long.start()) + 1}: a key has more than 32 parts")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{place}: not valid TOML: {cut_middle(str(error))}") from None
    except RecursionError:
        raise InputError(f"{place}: not valid TOML: nested more than {MOST_DEPTH} deep") from None
    except ValueError:  # Python reads no decimal number of more than 4,300 digits
        raise InputError(f"{place}: not valid TOML: a number has too many digits") from None
    for path, what in _beyond(values, ()):
        line = line_of(text, path)
        raise InputError(f"{place}{f':{line}' if line else ''}: {cut(dotted(path))}: {what}")
    return Table(values, Source(place, text))


def cut_middle(message: str) -> str:
    """The library's message without most of a long key in its middle; the place at its end stays."""
    return message if len(message) <= 160 else f"{message[:80]}...{message[-60:]}"


def _beyond(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Places of values that no key takes: numbers beyond 64 bits, and what lies too deep."""
    if isinstance(value, int) and abs(value) > LARGEST:
        yield path, f"a whole number must be between -{LARGEST} and {LARGEST}"
    elif isinstance(value, dict | list):
        if len(path) >= MOST_DEPTH:
            yield path[:4], f"nested more than {MOST_DEPTH} deep"
            return
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _beyond(inner, (*path, key))
