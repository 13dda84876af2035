"""The comments at the beginning of a recording that say how it was made; every reader of ftrace text skips them."""

from __future__ import annotations

from collections.abc import Mapping

MARK = "# svs-sim: "


def header_lines(facts: Mapping[str, str]) -> list[str]:
    """Return the lines ``# svs-sim: key = value``, without their ends, in order of keys."""
    return [f"{MARK}{key} = {_on_one_line(facts[key])}" for key in sorted(facts)]


def _on_one_line(value: str) -> str:
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in value)
