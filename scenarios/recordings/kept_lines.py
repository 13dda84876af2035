"""Events kept in a temporary file as they were read, so that a recording's text is read once, whatever is run of it."""

from __future__ import annotations

import marshal
from collections.abc import Iterator

from scenarios.recordings.lines import Line
from sim.scratch import ScratchFile

CHUNK = 4096  # events held in memory


class KeptLines:
    """The events of a recording, in order; memory holds one chunk of them a reader.

    They are kept column by column, which the standard library's ``marshal`` writes and reads faster than anything
    that knows types; nobody but this process, and those it starts, ever reads the file.
    """

    def __init__(self) -> None:
        self._file = ScratchFile()
        self._chunks: list[tuple[int, int]] = []
        self._open: list[Line] = []

    def append(self, line: Line) -> None:
        """Keep one event more."""
        self._open.append(line)
        if len(self._open) >= CHUNK:
            self.finish()

    def finish(self) -> None:
        """Write out what is still held."""
        if self._open:
            data = marshal.dumps(tuple(zip(*self._open, strict=True)))
            self._chunks.append((self._file.append(data), len(data)))
            self._open = []

    def __iter__(self) -> Iterator[Line]:
        """All events; several readers do not disturb each other."""
        for offset, size in self._chunks:
            yield from map(Line._make, zip(*marshal.loads(self._file.read(offset, size)), strict=True))
