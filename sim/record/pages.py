"""Events in the pages of the kernel's ring buffer, as ``trace_pipe_raw`` hands them out.

The layout is the kernel's binary interface (``events/header_page`` and ``events/header_event``): a stamp and a length,
then entries of a 5-bit type, a 27-bit time since the entry before, and data in units of four bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

HEADER = 16  # bytes before the entries: stamp, length
PADDING, TIME_EXTEND, TIME_STAMP = 29, 30, 31
STAMP_BITS = 59  # of an absolute stamp; those above are the page's
LENGTH = (1 << 27) - 1
MISSED, MISSED_COUNTED = 1 << 31, 1 << 30

_PAGE = Struct("<QQ")
_COUNT = Struct("<Q")
_WORD = Struct("<I")


def lost_before(page: bytes) -> int:
    """Return how many events were overwritten before this page; at least 1 if any were, 0 if none."""
    _, commit = _PAGE.unpack_from(page)
    if not commit & MISSED:
        return 0
    end = HEADER + (commit & LENGTH)
    if commit & MISSED_COUNTED and end + _COUNT.size <= len(page):
        return max(1, int(_COUNT.unpack_from(page, end)[0]))
    return 1


def entries(page: bytes) -> Iterator[tuple[int, int]]:
    """Yield (time in ns, offset of the data) for each event of a page, in order."""
    word = _WORD.unpack_from
    time, commit = _PAGE.unpack_from(page)
    at, end = HEADER, HEADER + (commit & LENGTH)
    while at < end:
        head = word(page, at)[0]
        kind, delta = head & 31, head >> 5
        at += 4
        if kind == TIME_EXTEND:
            time += delta + (word(page, at)[0] << 27)
            at += 4
        elif kind == TIME_STAMP:
            time = time >> STAMP_BITS << STAMP_BITS | delta | word(page, at)[0] << 27
            at += 4
        elif kind == PADDING:
            if not delta:  # nothing more on this page
                return
            time += delta
            at += word(page, at)[0]
        else:
            time += delta
            length = kind * 4 if kind else word(page, at)[0]
            yield time, at if kind else at + 4
            at += length if kind else (length + 3) & ~3
