"""Long series of integers by key, kept in a file: deductions of the baseline first of all.

What the model charges in the baseline is taken out of recorded durations, once.

In the baseline run each LWP has a debt: cycles the model charged it (refills, walks, waits, switches, entry and exit)
that the recorded durations contain already.  Each recorded stretch pays as much of the debt as it has.  How much each
stretch paid is written down, and the profile's run takes out the very same amounts; the files keep memory bounded.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from sim.scratch import ScratchFile

CHUNK = 2048


class Amounts:
    """Integers by key, in order, most of them in a temporary file, which several may share.

    Attributes:
        unpaid: debts of the baseline that no recorded stretch could pay (set when it has ended).
    """

    def __init__(self, file: ScratchFile | None = None) -> None:
        self._file = file or ScratchFile()
        self._chunks: dict[str, list[tuple[int, int]]] = {}
        self._open: dict[str, array[int]] = {}
        self._written = 0
        self.unpaid = 0

    @property
    def total(self) -> int:
        """The sum of the amounts."""
        return self._written + sum(map(sum, self._open.values()))

    def append(self, key: str, amount: int) -> None:
        """Note one amount."""
        try:
            buffer = self._open[key]
        except KeyError:
            buffer = self._open[key] = array("q")
        buffer.append(amount)
        if len(buffer) >= CHUNK:
            self.close(key)

    def extend(self, key: str, amounts: array[int]) -> None:
        """Note several amounts of one key."""
        buffer = self._open.get(key)
        if buffer is None:
            buffer = self._open[key] = array("q")
        buffer.extend(amounts)
        if len(buffer) >= CHUNK:
            self.close(key)

    def close(self, key: str) -> bool:
        """Write the key's pending amounts out, as when a chunk is full or the LWP exits; return whether any were."""
        buffer = self._open.pop(key, None)
        if not buffer:
            return False
        self._written += sum(buffer)
        self._chunks.setdefault(key, []).append((self._file.append(buffer.tobytes()), len(buffer)))
        return True

    def finish(self) -> None:
        """Write everything out; reading may begin."""
        for key in list(self._open):
            self.close(key)

    def reader(self) -> AmountReader:
        """A reader that begins at the first amount of every key."""
        return AmountReader(self)

    def chunk(self, key: str, number: int) -> array[int] | None:
        """One written chunk of a key's amounts, or None beyond the last."""
        chunks = self._chunks.get(key, [])
        if number >= len(chunks):
            return None
        offset, count = chunks[number]
        return array("q", self._file.read(offset, count * 8))


class AmountReader:
    """Reads amounts in order, key by key; several readers of the same amounts do not disturb each other."""

    def __init__(self, amounts: Amounts) -> None:
        self._amounts = amounts
        self._reading: dict[str, Iterator[int]] = {}  # what is left of the key's chunk
        self._read: dict[str, int] = {}  # chunks begun

    @property
    def total(self) -> int:
        """The sum of all amounts."""
        return self._amounts.total

    @property
    def unpaid(self) -> int:
        """Debts of the baseline that no recorded stretch could pay."""
        return self._amounts.unpaid

    def next(self, key: str, default: int = 0) -> int:
        """The key's next amount; *default* beyond the last."""
        try:
            return next(self._reading[key])
        except (KeyError, StopIteration):
            number = self._read.get(key, 0)
        chunk = self._amounts.chunk(key, number)
        if chunk is None:
            return default
        self._reading[key] = iter(chunk)
        self._read[key] = number + 1
        return self.next(key, default)
