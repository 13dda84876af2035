"""What the model charges in the baseline is taken out of recorded durations, once.

In the baseline run each LWP has a debt: cycles the model charged it (refills, walks, waits, switches, entry and exit)
that the recorded durations contain already.  Each recorded stretch pays as much of the debt as it has.  How much each
stretch paid is written down, and the profile's run takes out the very same amounts; the files keep memory bounded.
"""

from __future__ import annotations

import tempfile
from array import array
from typing import IO

CHUNK = 2048


class Deductions:
    """Amounts by LWP key, in the order of the LWP's recorded stretches (cycles)."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="svs-sim-")
        self._chunks: dict[str, list[tuple[int, int]]] = {}
        self._open: dict[str, array[int]] = {}
        self._reading: dict[str, tuple[array[int], int, int]] = {}
        self.total = 0
        self.stretches = 0

    def append(self, key: str, amount: int) -> None:
        """Note what one stretch paid."""
        buffer = self._open.get(key)
        if buffer is None:
            buffer = self._open[key] = array("q")
        buffer.append(amount)
        self.total += amount
        self.stretches += 1
        if len(buffer) >= CHUNK:
            self.close(key)

    def close(self, key: str) -> None:
        """Write the LWP's pending amounts out (when a chunk is full, and when the LWP exits)."""
        buffer = self._open.pop(key, None)
        if buffer:
            self._file.seek(0, 2)
            self._chunks.setdefault(key, []).append((self._file.tell(), len(buffer)))
            self._file.write(buffer.tobytes())

    def finish(self) -> None:
        """Write everything out; reading may begin."""
        for key in list(self._open):
            self.close(key)

    def next(self, key: str) -> int:
        """What the LWP's next stretch pays; 0 beyond what the baseline saw."""
        buffer, at, chunk = self._reading.get(key, (array("q"), 0, 0))
        if at >= len(buffer):
            chunks = self._chunks.get(key, [])
            if chunk >= len(chunks):
                return 0
            offset, count = chunks[chunk]
            self._file.seek(offset)
            buffer = array("q")
            buffer.frombytes(self._file.read(count * 8))
            at, chunk = 0, chunk + 1
        self._reading[key] = (buffer, at + 1, chunk)
        return buffer[at]
