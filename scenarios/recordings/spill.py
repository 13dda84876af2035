"""A queue whose middle goes to a temporary file, so that a task that lags behind costs no memory."""

from __future__ import annotations

import pickle
import tempfile
from collections import deque
from typing import IO, Any

CHUNK = 512


class SpillQueue:
    """First in, first out; at most about three chunks of items in memory."""

    __slots__ = ("_chunks", "_file", "_head", "_tail")

    def __init__(self) -> None:
        self._head: deque[Any] = deque()
        self._tail: list[Any] = []
        self._chunks: deque[tuple[int, int]] = deque()
        self._file: IO[bytes] | None = None

    def __bool__(self) -> bool:
        return bool(self._head or self._chunks or self._tail)

    def append(self, item: Any) -> None:
        """Add at the end."""
        if not self._chunks and not self._tail and len(self._head) < CHUNK:
            self._head.append(item)
            return
        self._tail.append(item)
        if len(self._tail) >= CHUNK:
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="svs-sim-")  # noqa: SIM115 - lives as long as this object
        data = pickle.dumps(self._tail, pickle.HIGHEST_PROTOCOL)
        self._file.seek(0, 2)
        self._chunks.append((self._file.tell(), len(data)))
        self._file.write(data)
        self._tail = []

    def popleft(self) -> Any:
        """Take the first."""
        if not self._head:
            if self._chunks:
                offset, size = self._chunks.popleft()
                assert self._file is not None
                self._file.seek(offset)
                self._head.extend(pickle.loads(self._file.read(size)))
            else:
                self._head.extend(self._tail)
                self._tail = []
        return self._head.popleft()
