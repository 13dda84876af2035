"""Units of time and size, and how numbers with a unit are written."""

from __future__ import annotations

import re

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "µs": 1_000_000, "ns": 1_000_000_000}
BYTES = {"pages": 4096, "page": 4096, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "B": 1}
_NUMBER_UNIT = re.compile(r"\s*(-?[0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ%/]*)\s*")


def split(text: str) -> tuple[float, str] | None:
    """Return number and unit of a text as ``1.5 ms``; None if it is not of this form."""
    match = _NUMBER_UNIT.fullmatch(text)
    return None if match is None else (float(match[1]), match[2])
