"""A temporary file without a name that grows at its end, and that processes started later can read, too."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

from sim.errors import InputError


class NoRoomError(InputError):
    """Temporary files cannot be written: that says nothing about what was to be read."""


class ScratchFile:
    """Chunks of bytes by their place.  It goes with the last process that has it, however that ends.

    Places are given with each read and write and no position is kept: readers do not disturb one another, even in
    other processes.  A process that :class:`sim.workers.Workers` starts gets it as a part of its first arguments, and
    reads what had been written by then.  NoRoomError names the folder (TMPDIR) if it takes no more.
    """

    def __init__(self, descriptor: int | None = None, end: int = 0) -> None:
        if descriptor is None:
            try:
                self._file = tempfile.TemporaryFile(buffering=0, prefix="svs-sim-")  # noqa: SIM115 - lives with this
            except OSError as error:
                raise _full(error) from None
        else:
            self._file = open(descriptor, "rb", buffering=0)  # noqa: SIM115, PTH123
        self._descriptor = self._file.fileno()
        self._end = end

    def append(self, data: bytes) -> int:
        """Write *data* at the end; return where that begins."""
        begin, rest = self._end, memoryview(data)
        while rest:
            try:
                written = os.pwrite(self._descriptor, rest, self._end)
            except OSError as error:
                raise _full(error) from None
            self._end += written
            rest = rest[written:]
        return begin

    def read(self, begin: int, size: int) -> bytes:
        """The *size* bytes from *begin* on."""
        data = os.pread(self._descriptor, size, begin)
        assert len(data) == size, "chunks are read as they were written"
        return data

    def __reduce__(self) -> tuple[Callable[..., ScratchFile], tuple[Any, ...]]:
        """How it is passed to a process that is being started."""
        from multiprocessing.reduction import DupFd  # here, because few runs start any

        return _passed, (DupFd(self._descriptor), self._end)


def _full(error: OSError) -> NoRoomError:
    """Temporary files cannot be written: their folder is at fault, and not the result's."""
    try:
        place = f"'{tempfile.gettempdir()}'"
    except FileNotFoundError:
        place = "any folder"
    return NoRoomError(f"cannot write temporary files to {place} (TMPDIR): {error.strerror or error}")


def _passed(descriptor: Any, end: int) -> ScratchFile:
    """The file in the process that was started."""
    return ScratchFile(descriptor.detach(), end)
