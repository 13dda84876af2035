"""Where the hunks of a unified diff belong in a file, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unidiff.patch import Hunk, Line


class Misfit(Exception):
    """A hunk does not apply; the text says which one and why."""


def text(line: Line) -> str:
    """A line of a diff without its mark and its end."""
    return str(line.value).rstrip("\r\n")


def apply(hunks: Iterable[Hunk], lines: list[str]) -> list[str]:
    """Return *lines* with the hunks applied in order.

    As with patch(1), lines may have moved: of the places where all removed and context lines are found, after the hunk
    before, the nearest is taken.  Unlike there, no line of context may differ (no "fuzz").  Raises Misfit.
    """
    out: list[str] = []
    done = moved = 0
    for number, hunk in enumerate(hunks, 1):
        old = [text(line) for line in hunk.source_lines()]
        if not old and lines:
            raise Misfit(f"hunk {number} ({_header(hunk)}) has no line of context: it could go anywhere")
        meant = hunk.source_start - 1 + moved if old else 0
        at = _place(lines, old, meant, done)
        if at is None:
            raise Misfit(f"hunk {number} ({_header(hunk)}) does not apply: {_difference(lines, old, meant)}")
        out += lines[done:at]
        out += [text(line) for line in hunk.target_lines()]
        moved += at - meant
        done = at + len(old)
    return out + lines[done:]


def _place(lines: list[str], old: list[str], meant: int, start: int) -> int | None:
    """The index nearest to *meant*, from *start* on, at which *old* stands."""
    places = (at for at in range(start, len(lines) - len(old) + 1) if lines[at : at + len(old)] == old)
    return min(places, key=lambda at: abs(at - meant), default=None)


def _header(hunk: Hunk) -> str:
    return f"@@ -{hunk.source_start},{hunk.source_length} +{hunk.target_start},{hunk.target_length} @@"


def _difference(lines: list[str], old: list[str], meant: int) -> str:
    """The first line that is not as the hunk has it, at the place that is most like it."""
    if len(lines) < len(old):
        return f"the file has only {len(lines)} lines"
    alike = {
        at: sum(map(str.__eq__, lines[at : at + len(old)], old)) for at in range(len(lines) - len(old) + 1)
    }  # fmt: skip
    best = max(alike, key=lambda at: (alike[at], -abs(at - meant)))
    if alike[best] == len(old):
        return f"its lines are at {best + 1} only, before the end of the hunk before it"
    number, wanted = next((at, line) for at, line in enumerate(old, best) if lines[at] != line)
    return f"line {number + 1} is '{lines[number].strip()}', not '{wanted.strip()}'"
