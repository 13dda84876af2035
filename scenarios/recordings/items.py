"""The items that programs are made of, by task and in order, in a temporary file; made once, read by every run.

Items are small tuples of what ``marshal`` can write: ("u", cycles, touches) user time; ("f", va, access, cycles) a page
fault; ("c", name, made up, number, cycles) a system call that only computes, or not even that; ("s", name, made up,
number) another begins, ("e",) it ends; between them ("w", cycles) kernel work,
("k", class, *fields) another operation, ("exec", *who), ("fork", serial, thread, who, system, resident), ("x",) the
task exits; ("i", name, cycles) a device interrupt; ("m", part, end, asleep) a mark.  A touch is a page's address, which
ends in zeros, and the access.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from itertools import chain
from typing import Any

from sim.scratch import ScratchFile

CHUNK = 128  # items of a task that memory holds
Item = tuple[Any, ...]


class Items:
    """Items by the serial number of their task; memory holds a chunk of each task that is written, or read."""

    def __init__(self) -> None:
        self._file = ScratchFile()
        self._chunks: dict[int, list[tuple[int, int]]] = {}

    def write(self, serial: int, items: list[Item]) -> None:
        """Write more items of a task."""
        data = marshal.dumps(items)
        self._chunks.setdefault(serial, []).append((self._file.append(data), len(data)))

    def of(self, serial: int) -> Iterator[Item]:
        """All items of a task; several readers do not disturb each other."""
        chunks = self._chunks.get(serial, ())
        return chain.from_iterable(marshal.loads(self._file.read(begin, size)) for begin, size in chunks)
