"""Small programs of plain generators: the ground on which strategies are tested and measured.

A thread yields ``(location, mode)`` before each access.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence

from sim.explore.model import READ, WRITE, Footprint

Thread = Generator[tuple[Hashable, int], None, None]


class Threads:
    """An execution of generators, each access a transition."""

    __slots__ = ("_alive", "_pending", "_resume")

    def __init__(self, threads: Sequence[Thread]) -> None:
        self._resume = [thread.__next__ for thread in threads]
        self._pending: list[tuple[Hashable, int]] = [resume() for resume in self._resume]
        self._alive = list(range(len(threads)))

    def enabled(self) -> Sequence[int]:
        """Threads that have not ended."""
        return self._alive

    def step(self, actor: int) -> Footprint:
        """Make the pending access and run up to the next."""
        pending = self._pending
        did = pending[actor]
        try:
            pending[actor] = self._resume[actor]()
        except StopIteration:
            self._alive.remove(actor)
        return (did,)

    def finish(self) -> None:
        """Every end is a proper end."""


def pairs(threads: int, rounds: int) -> Callable[[], Threads]:
    """Threads that read and write one shared variable *rounds* times each."""

    def thread() -> Thread:
        for _ in range(rounds):
            yield "x", READ
            yield "x", WRITE

    return lambda: Threads([thread() for _ in range(threads)])


def steps(threads: int, length: int) -> Callable[[], Threads]:
    """Threads of *length* steps each on one shared variable."""

    def thread() -> Thread:
        for _ in range(length):
            yield "x", WRITE

    return lambda: Threads([thread() for _ in range(threads)])
