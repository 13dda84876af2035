"""Raw pages of the ring buffers: read while the command runs, kept in files, merged by time afterwards."""

from __future__ import annotations

import heapq
import os
import select
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sim.record.pages import entries, lost_before
from sim.record.tracefs import Instance


class Entry(NamedTuple):
    """One event: when (ns), from which buffer, on which CPU, and where its data lie.

    Where *lost* is not 0, it is no event: so many were lost before this moment.
    """

    time: int
    buffer: int
    cpu: int
    page: bytes
    at: int
    lost: int


class Spool:
    """Files with the pages of some instances, one file for each buffer of a CPU."""

    def __init__(self, folder: Path, instances: Sequence[Instance], page_size: int) -> None:
        self._page_size = page_size
        self._files: list[tuple[int, int, Path]] = []
        self._pipes: dict[int, Path] = {}
        for number, instance in enumerate(instances):
            for cpu, pipe in instance.pipes.items():
                path = folder / f"{number}-{cpu}.pages"
                path.touch()
                self._files.append((number, cpu, path))
                self._pipes[pipe] = path

    def follow(self, pidfd: int) -> None:
        """Save pages as buffers fill, until the process behind *pidfd* ends.  Raises OSError, as for a full disk."""
        poll = select.poll()
        for number in (pidfd, *self._pipes):
            poll.register(number, select.POLLIN)
        while True:
            ready = {number for number, _ in poll.poll()}
            if pidfd in ready:
                return
            for pipe in ready:
                self._save(pipe)

    def finish(self) -> None:
        """Save what is left in all buffers."""
        for pipe in self._pipes:
            self._save(pipe)

    def _save(self, pipe: int) -> None:
        """Append what a buffer holds to its file."""
        with self._pipes[pipe].open("ab") as file:
            while True:
                try:
                    page = os.read(pipe, self._page_size)
                except BlockingIOError:
                    return
                if not page:
                    return
                file.write(page)

    def entries(self, start_ns: int, end_ns: int) -> Iterator[Entry]:
        """Yield the events between two times, in order of time."""
        streams = (self._stream(*file, start_ns) for file in self._files)
        for entry in heapq.merge(*streams):
            if entry.time > end_ns:
                return
            yield entry

    def _stream(self, buffer: int, cpu: int, path: Path, start_ns: int) -> Iterator[Entry]:
        """The events of one CPU's buffer from a time on, with a mark where some were lost."""
        with path.open("rb") as file:
            while page := file.read(self._page_size):
                lost = lost_before(page)
                for time, at in entries(page):
                    if time >= start_ns:
                        if lost:
                            yield Entry(time, buffer, cpu, b"", -1, lost)
                            lost = 0
                        yield Entry(time, buffer, cpu, page, at, 0)
