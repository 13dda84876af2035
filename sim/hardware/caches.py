"""Where the lines of page tables and of kernel data are: the cache levels of one CPU, pushed through by its programs.

A level holds so many lines.  What matters here is only how much has been brought into a level since a line was last
used: so much pushes the line out.  That takes a few integers a line and no sets, which is why a program can stream
gigabytes through.  Loads of a page walk go through the data caches as others do (Intel SDM vol. 3, 4.10 and 12.11).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from sim.hardware.tlb import TlbShape

LINE_SHIFT = 6
PAGE_SHIFT = 12
HOST = 1 << 60  # keys above are lines of the host's tables
PAGES = 1 << 61  # keys above are pages of data, whose lines come together
L1, L2, L3, MEMORY = range(4)
State = tuple[int, int, int]
_BEGIN = (0, 0, 0)  # lines brought into each level
_NEVER = (-(1 << 62),) * 3


class CacheShape(NamedTuple):
    """Lines of each level."""

    l1: int
    l2: int
    l3: int


class Together(Protocol):
    """Lines, or pages of data, that are used together.

    Attributes:
        keys: what they are.
        cached: the state in which, or later, each of them was used last; None if unknown.
    """

    keys: Sequence[int]
    cached: State | None


class Caches:
    """The data caches of one CPU.

    Attributes:
        far: lines that page walks found in the second level, the third, and memory, since :meth:`take`.
        last: the state, as below, in which each line or page was used last, by key.
        now: how many lines were ever brought into each level; another object whenever it changes.
        host: how a guest's physical addresses are translated, or None on the bare machine.
    """

    __slots__ = ("_far", "_shape", "host", "last", "now")

    def __init__(self, shape: CacheShape, host: HostTables | None = None) -> None:
        self._shape = shape
        self.now = _BEGIN
        self.last: dict[int, tuple[int, int, int]] = {}
        self._far = [0, 0, 0]
        self.host = host

    def find(self, key: int, lines: int = 1) -> int:
        """Use a line, or *lines* of a page, and return the level where it was: 0 to 2, or 3 for memory.

        A line that was never used before counts as used when time began; a page of data comes from memory.
        """
        now = self.now
        seen = self.last.get(key, _NEVER if key >= PAGES else _BEGIN)
        if seen is now:
            return L1
        first, second, third = self._shape
        level = L1
        if now[0] - seen[0] + lines > first:
            level = L2 if now[1] - seen[1] + lines <= second else L3 if now[2] - seen[2] + lines <= third else MEMORY
            now = self.now = (now[0] + lines, now[1] + lines * (level > L2), now[2] + lines * (level > L3))
        self.last[key] = now
        return level

    def are_here(self, together: Together, lines: int) -> bool:
        """Use lines together once more, if all of them are sure to be in the first level still.

        They are if what has been brought in since does not fill it; *lines* is the most that one key stands for.
        """
        now, since = self.now, together.cached
        if since is now:
            return True
        if since is None or now[0] - since[0] + lines > self._shape[0]:
            return False
        self.last.update(dict.fromkeys(together.keys, now))
        together.cached = now
        return True

    def walk(self, lines: list[int], pa: int) -> int:
        """A page walk's loads, by the physical addresses read; *pa* is what it led to.  Return the number of loads.

        In a guest each of these addresses, and *pa*, is a guest-physical one and walked for in the host's tables.
        """
        loads = 0
        for address in lines:
            if self.host is not None:
                loads += self._load(self.host.lines(address))
            loads += self._load((address >> LINE_SHIFT,))
        if self.host is not None and pa:
            loads += self._load(self.host.lines(pa))
        return loads

    def _load(self, keys: tuple[int, ...]) -> int:
        """Load these lines; those that are not in the first level are remembered."""
        for key in keys:
            level = self.find(key)
            if level:
                self._far[level - 1] += 1
        return len(keys)

    def take(self) -> tuple[int, int, int] | None:
        """Lines that page walks found beyond the first level since the last call, by level; None if none."""
        far = self._far
        if not any(far):
            return None
        self._far = [0, 0, 0]
        return far[0], far[1], far[2]


class HostTables:
    """The host's tables for a guest's physical memory (EPT), 4 KiB pages, and the caches of their directories.

    The walk goes on from the deepest directory entry that is cached; entries are 8 bytes, 512 a table.  No invalidation
    by the guest touches these caches.
    """

    def __init__(self, shape: TlbShape) -> None:
        self._directories: list[tuple[int, int, dict[int, None]]] = [
            (level, ways, {}) for level, ways in zip((4, 3, 2), shape.psc, strict=True)
        ]

    def lines(self, pa: int) -> tuple[int, ...]:
        """Keys of the lines that translating *pa* reads."""
        start = 5
        for level, _, cached in reversed(self._directories):
            if pa >> PAGE_SHIFT + 9 * (level - 1) in cached:
                start = level
                break
        for level, ways, cached in self._directories:
            key = pa >> PAGE_SHIFT + 9 * (level - 1)
            cached.pop(key, None)
            if len(cached) >= ways:
                del cached[next(iter(cached))]
            cached[key] = None
        return tuple(HOST | level << 56 | pa >> PAGE_SHIFT + 9 * (level - 1) + 3 for level in range(start - 1, 0, -1))
