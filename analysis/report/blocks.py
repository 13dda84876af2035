"""What a report is made of: sections of a few kinds of blocks, which the template knows how to set."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analysis.pictures import figure_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A vector picture of more than so many bytes is embedded as pixels: a timeline has thousands of bars.
LARGEST_SVG = 400_000
HASH_LETTERS = 16
MOST_ROWS = 100  # of a table: more than that is data, not a page
MOST_INPUTS = 6  # that are named


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; *strong* for the one that answers the question."""

    text: str
    strong: bool = False
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with their values."""

    rows: tuple[tuple[str, str], ...]
    kind: str = "facts"


@dataclass(frozen=True, slots=True)
class Numbers:
    """A few numbers to be seen first, each with what it is."""

    rows: tuple[tuple[str, str], ...]
    kind: str = "numbers"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; columns from *numeric* on hold numbers and are set flush right, but for the last *remarks*."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: int = 1
    caption: str = ""
    remarks: int = 0
    kind: str = "grid"

    def is_number(self, column: int) -> bool:
        """Whether a column, counted from 0, holds numbers."""
        return self.numeric <= column < len(self.columns) - self.remarks


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a data URL."""

    source: str
    says: str
    kind: str = "picture"


@dataclass(frozen=True, slots=True)
class Code:
    """Something to be typed or read letter by letter."""

    text: str
    kind: str = "code"


Block = Text | Facts | Numbers | Grid | Picture | Code


@dataclass(slots=True)
class Section:
    """A section with its blocks."""

    name: str
    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """A whole report, ready to be set."""

    title: str
    kind: str
    sections: list[Section]


def grid(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, numeric: int = 1, caption: str = "", remarks: int = 0
) -> Grid:
    """Make a table of anything that can be written."""
    return Grid(tuple(columns), tuple(tuple(str(cell) for cell in row) for row in rows), numeric, caption, remarks)


def beginning(columns: Sequence[str], rows: Sequence[Sequence[object]], where: str, *, numeric: int = 1) -> list[Block]:
    """Make a table of the first rows; *where* all of them are is said if there are more."""
    shown: list[Block] = [grid(columns, rows[:MOST_ROWS], numeric=numeric)]
    if len(rows) > MOST_ROWS:
        shown.append(Text(f"The first {MOST_ROWS} of {len(rows):,} rows; all are in {where}."))
    return shown


def picture(figure: Figure, says: str) -> Picture:
    """Embed a figure: as SVG, or as PNG where that would be very large."""
    mime, data = "image/svg+xml", figure_bytes(figure, "svg")
    if len(data) > LARGEST_SVG:
        mime, data = "image/png", figure_bytes(figure, "png")
    return Picture(f"data:{mime};base64,{base64.b64encode(data).decode()}", says)


def origin(summary: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What made a result, as facts: the version, and what was read with the beginning of its SHA-256."""
    rows = [("version", str(summary["version"]))] if summary.get("version") else []
    inputs = [f"{i['kind']} {i['name']} (SHA-256 {i['sha256'][:HASH_LETTERS]}…)" for i in summary.get("inputs", [])]
    if 0 < len(inputs) <= MOST_INPUTS:
        rows.append(("read", ", ".join(inputs)))
    elif inputs:
        rows.append(("read", f"{len(inputs)} files; summary.json has their names and hashes"))
    return tuple(rows)
