"""Values and names as messages and results show them: short, and in letters that every output takes."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path

LONGEST = 60


def shown(value: object) -> str:
    """Write a value of a file as the file would, cut to what fits into a line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 10**LONGEST:
        return "a number of more than 60 digits"  # str() refuses some of them
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, list | dict):
        kind = "list" if isinstance(value, list) else "table"
        return f"a {kind} of {len(value)}" if value else f"an empty {kind}"
    text = cut(value) if isinstance(value, str) else str(value)
    return f"'{text}'" if isinstance(value, str) else text


def cut(text: str) -> str:
    """The beginning of a text, with dots if there was more of it."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def escaped(text: str, *, keep: str = "") -> str:
    """Write what is no letter, sign or space (control characters, marks that turn the direction) as Python does.

    Characters in *keep*, line ends for instance, stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else repr(letter)[1:-1] for letter in text)


def name_of(path: Path) -> str:
    """A file's name without its ending, fit for results; see :func:`printable`."""
    return printable(path.stem)


def printable(name: str) -> str:
    """A file's name with the bytes replaced that are no UTF-8, and what cannot be printed escaped."""
    return escaped(name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
