"""Events kept in a temporary file as they were read, for the second pass: a recording's text is read once."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator
from functools import partial

from scenarios.recordings.lines import Line
from sim.scratch import ScratchFile


class KeptLines:
    """The events of a recording, in order; memory holds those of one block of text.

    Attributes:
        report: who is told what share of them has been read, if anybody.

    They are kept column by column, which the standard library's ``marshal`` writes and reads faster than anything
    that knows types; nobody but this process ever reads the file.
    """

    def __init__(self) -> None:
        self.report: Callable[[float], None] | None = None
        self._file = ScratchFile()
        self._chunks: list[tuple[int, int]] = []

    def append(self, lines: list[Line]) -> None:
        """Keep more events."""
        if lines:
            data = marshal.dumps(tuple(zip(*lines, strict=True)))
            self._chunks.append((self._file.append(data), len(data)))

    def __iter__(self) -> Iterator[Line]:
        """All events."""
        for number, (begin, size) in enumerate(self._chunks, 1):
            if self.report is not None:
                self.report(number / len(self._chunks))
            columns = marshal.loads(self._file.read(begin, size))
            yield from map(partial(tuple.__new__, Line), zip(*columns, strict=True))
