"""On which line of a TOML text a key stands: looked up once something is wrong there."""

from __future__ import annotations

import re
import tomllib
from typing import Any

Path = tuple[str | int, ...]

_PART = r"(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')"
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]\]?[ \t]*(?:#.*)?$")
_KEY = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")


def line_of(text: str, path: Path) -> int | None:
    """Return the number of the line that gives the key at *path*, or else the nearest table above it.

    None if there is none, or if the text is so odd that the line found would be a guess.
    """
    best, found = 0, None
    for number, where in _keys(text.splitlines()):
        shared = _shared(where, path)
        if shared > best:
            best, found = shared, number
    return found if found is not None and _begins_here(text.splitlines(), found) else None


def _keys(lines: list[str]) -> list[tuple[int, Path]]:
    """Line and path of every header and key; what looks like one within a text of several lines is among them."""
    at: Path = ()
    counts: dict[Path, int] = {}
    found: list[tuple[int, Path]] = []
    for number, line in enumerate(lines, 1):
        header = _HEADER.match(line)
        if header is not None:
            at = _resolve(_parts(header[2]), counts, new=header[1] == "[[")
            found.append((number, at))
        elif (key := _KEY.match(line)) is not None:
            found.append((number, (*at, *_parts(key[1]))))
    return found


def _resolve(names: Path, counts: dict[Path, int], *, new: bool) -> Path:
    """A header's path with the index of the newest element after each array of tables."""
    path: Path = ()
    for place, name in enumerate(names):
        path = (*path, name)
        if new and place == len(names) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _parts(key: str) -> Path:
    """The parts of a dotted key as it is written."""
    inner: Any = tomllib.loads(f"{key} = 0")
    parts: list[str | int] = []
    while isinstance(inner, dict):
        ((name, inner),) = inner.items()
        parts.append(name)
    return tuple(parts)


def _shared(where: Path, path: Path) -> int:
    """How many leading parts of *path* a line gives; 0 if it is about something else."""
    return len(where) if path[: len(where)] == where else 0


def _begins_here(lines: list[str], number: int) -> bool:
    """Whether a statement begins on this line: what stands before it is TOML by itself."""
    try:
        tomllib.loads("\n".join(lines[: number - 1]))
    except (ValueError, RecursionError):
        return False
    return True
