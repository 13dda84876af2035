"""Lanes for slices: in one lane two slices are apart or one lies inside the other."""

from __future__ import annotations

from collections.abc import Hashable


class Lanes:
    """Places slices as they come, in order of their beginnings, longest first."""

    def __init__(self) -> None:
        self._open: dict[Hashable, list[list[int]]] = {}

    def place(self, track: Hashable, begin: int, end: int) -> int:
        """Return the first lane of *track* in which [begin, end) overlaps nothing without nesting."""
        lanes = self._open.setdefault(track, [])
        for number, ends in enumerate(lanes):
            while ends and ends[-1] <= begin:
                ends.pop()
            if not ends or ends[-1] >= end:
                ends.append(end)
                return number
        lanes.append([end])
        return len(lanes) - 1
