"""Words of modelled memory, and who owns their cache lines.

Everything that CPUs share (page-table entries, CPU sets, mailboxes, per-CPU pages) is an array of 64-bit words.  A
location is a pair (array, index).  Eight words share a cache line.
"""

from __future__ import annotations

from typing import Any

from sim.errors import ModelError, UsedAfterEnd

WORDS_PER_LINE = 8


class _Ended(list[Any]):
    """The values of words that are no more; used in their place, so that live words cost nothing."""

    def __init__(self, name: str, values: list[Any]) -> None:
        super().__init__(values)
        self.name = name

    def __getitem__(self, index: Any) -> Any:
        raise UsedAfterEnd(f"{self.name} is read after the function that had it on its stack has returned")

    def __setitem__(self, index: Any, value: Any) -> None:
        raise UsedAfterEnd(f"{self.name} is written after the function that had it on its stack has returned")


class Kept(dict[Any, Any]):
    """A dictionary whose items stay as they are once they are there."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if key in self:
            raise ModelError(f"what is kept under {key} changes")
        super().__setitem__(key, value)

    def _changes(self, *_: Any, **_named: Any) -> Any:
        raise ModelError("something kept changes")

    __delitem__ = pop = popitem = clear = update = setdefault = __ior__ = _changes


class Words:
    """A named array of words.

    ``v`` holds the values (ints), ``name`` is what reports call it, ``shared`` is false for memory that only one CPU
    ever touches (then access to it is no scheduling point).  ``owner`` maps a line number to the CPU that wrote it
    last (exclusive), ``sharers`` to the bit mask of CPUs that hold a copy of it.
    """

    __slots__ = ("name", "owner", "shared", "sharers", "v")

    def __init__(self, name: str, size: int = 1, value: int = 0, *, shared: bool = True) -> None:
        self.name = name
        self.v: list[Any] = [value] * size
        self.shared = shared
        self.owner: dict[int, int] = {}
        self.sharers: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def ended(self) -> bool:
        """Whether :meth:`end` was called."""
        return isinstance(self.v, _Ended)

    def end(self) -> None:
        """The memory has another owner from here on: every access raises UsedAfterEnd."""
        self.v = _Ended(self.name, self.v)

    def word_name(self, index: int) -> str:
        """Return how reports name one word: ``pm_cpus`` or ``pm_pdir[3]``."""
        return self.name if len(self.v) == 1 else f"{self.name}[{index}]"

    def read_miss(self, index: int, cpu: int) -> int:
        """Note a read of a word by *cpu*; return the CPU its line must come from, or -1 if this CPU has it."""
        line = index // WORDS_PER_LINE
        have = self.sharers.get(line, 0)
        if not have or have >> cpu & 1:
            self.sharers[line] = have | 1 << cpu
            return -1
        self.sharers[line] = have | 1 << cpu
        return self.owner.get(line, (have & -have).bit_length() - 1)

    def write_miss(self, index: int, cpu: int) -> int:
        """Note a write of a word by *cpu*; return a CPU that held the line, or -1 if nobody else did."""
        line = index // WORDS_PER_LINE
        have = self.sharers.get(line, 0)
        before = self.owner.get(line, -1)
        self.sharers[line] = 1 << cpu
        self.owner[line] = cpu
        others = have & ~(1 << cpu)
        if not others:
            return -1
        if before >= 0 and others >> before & 1:
            return before
        return (others & -others).bit_length() - 1
