"""System calls that are printed twice: with all events on, each has a raw line and one under its own name."""

from __future__ import annotations

RAW, NAMED, BOTH = 1, 2, 3
_RAW = {"sys_enter": (True, RAW), "sys_exit": (False, RAW)}


class Twins:
    """Tells the second line of an entry or exit from the next call's.

    What a task printed last of its calls is kept: an entry after an entry in the other spelling is the same entry.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[bool, int]] = {}

    def is_second(self, tid: int, name: str) -> bool:
        """Take a ``sys_enter…`` or ``sys_exit…`` line; return whether the line before it said the same."""
        this = _RAW.get(name) or (name.startswith("sys_enter"), NAMED)
        entry, spelling = this
        before = self._last.get(tid)
        if before is not None and before[0] is entry and before[1] == BOTH - spelling:
            self._last[tid] = (entry, BOTH)
            return True
        self._last[tid] = this
        return False
