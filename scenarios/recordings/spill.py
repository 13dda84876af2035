"""Queues whose middle goes to a temporary file, so that a task that lags behind costs no memory."""

from __future__ import annotations

import pickle
import tempfile
from collections import deque
from typing import IO, Any

CHUNK = 512


class SpillFile:
    """Chunks of all queues of a replay in one temporary file; the room of those taken is used again."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._end = 0
        self._free: dict[int, list[int]] = {}

    def put(self, items: list[Any]) -> tuple[int, int]:
        """Write a chunk; returns (offset, size) in bytes."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="svs-sim-")  # noqa: SIM115 - lives as long as this object
        data = pickle.dumps(items, pickle.HIGHEST_PROTOCOL)
        room = self._free.get(_room(len(data)))
        if room:
            offset = room.pop()
        else:
            offset = self._end
            self._end += _room(len(data))
        self._file.seek(offset)
        self._file.write(data)
        return offset, len(data)

    def take(self, offset: int, size: int) -> list[Any]:
        """Read a chunk and give its room back."""
        assert self._file is not None
        self._file.seek(offset)
        items: list[Any] = pickle.loads(self._file.read(size))
        self._free.setdefault(_room(size), []).append(offset)
        return items


def _room(size: int) -> int:
    """Bytes that a chunk of *size* bytes gets: the next power of two, so that there are few kinds of room."""
    return 1 << (size - 1).bit_length()


class SpillQueue:
    """First in, first out; at most about three chunks of items in memory."""

    __slots__ = ("_chunks", "_head", "_spill", "_tail")

    def __init__(self, spill: SpillFile) -> None:
        self._spill = spill
        self._head: deque[Any] = deque()
        self._tail: list[Any] = []
        self._chunks: deque[tuple[int, int]] = deque()

    def __bool__(self) -> bool:
        return bool(self._head or self._chunks or self._tail)

    def append(self, item: Any) -> None:
        """Add at the end."""
        if not self._chunks and not self._tail and len(self._head) < CHUNK:
            self._head.append(item)
            return
        self._tail.append(item)
        if len(self._tail) >= CHUNK:
            self._chunks.append(self._spill.put(self._tail))
            self._tail = []

    def popleft(self) -> Any:
        """Take the first."""
        if not self._head:
            if self._chunks:
                self._head.extend(self._spill.take(*self._chunks.popleft()))
            else:
                self._head.extend(self._tail)
                self._tail = []
        return self._head.popleft()
