"""Pages of the ring buffer, entries of all kinds."""

from __future__ import annotations

import struct

from sim.record.pages import entries, lost_before
from tests.record.ring import PAGE, entry, page

HEAD = 16


def found(raw: bytes) -> list[tuple[int, bytes]]:
    return [(time, raw[at : at + 4]) for time, at in entries(raw)]


def test_times_add_up_over_short_long_and_extended_entries() -> None:
    raw = page(1000, [(5, b"aaaa"), (7, b"bbbb" * 40), (1 << 30, b"cccc"), (0, b"dd")])
    assert found(raw) == [
        (1005, b"aaaa"), (1012, b"bbbb"), (1012 + (1 << 30), b"cccc"), (1012 + (1 << 30), b"dd\0\0"),
    ]  # fmt: skip


def test_padding_in_the_middle_is_skipped_and_at_the_end_ends_the_page() -> None:
    discarded = struct.pack("<III", 29 | 3 << 5, 8, 0)
    end = struct.pack("<I", 29)
    data = entry(1, b"aaaa") + discarded + entry(2, b"bbbb") + end + b"\xff" * 8
    raw = (struct.pack("<QQ", 100, len(data)) + data).ljust(PAGE, b"\0")
    assert found(raw) == [(101, b"aaaa"), (106, b"bbbb")]


def test_an_absolute_stamp_replaces_the_time_but_for_the_bits_that_it_lacks() -> None:
    wanted = (1 << 58) + 12345
    stamp = struct.pack("<II", 31 | (wanted & (1 << 27) - 1) << 5, wanted >> 27)
    data = stamp + entry(2, b"aaaa")
    raw = (struct.pack("<QQ", 3 << 59, len(data)) + data).ljust(PAGE, b"\0")
    assert found(raw) == [((3 << 59) + wanted + 2, b"aaaa")]


def test_what_was_lost_before_a_page_is_counted() -> None:
    assert lost_before(page(1, [(0, b"aaaa")])) == 0
    assert lost_before(page(1, [(0, b"aaaa")], lost=321)) == 321
    uncounted = struct.pack("<QQ", 1, 4088 | 1 << 31).ljust(PAGE, b"\0")
    assert lost_before(uncounted) == 1
