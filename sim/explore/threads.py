"""Small programs of plain generators: the ground on which strategies are tested and measured.

A thread yields the footprint of each access before it makes it, and at its end an empty one: the exception that ends
a generator would take half the time of a short thread.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence

from sim.explore.model import READ, WRITE, Footprint, Wait

Thread = Generator[Footprint, None, None]


class Threads:
    """An execution of generators, each access a transition."""

    __slots__ = ("_alive", "_pending", "_threads")

    def __init__(self, threads: list[Thread]) -> None:
        self._threads = threads
        self._pending = [*map(next, threads)]
        self._alive = [*range(len(threads))]

    def enabled(self) -> Sequence[int]:
        """Threads that have not ended."""
        return self._alive

    def step(self, actor: int) -> Footprint:
        """Make the pending access and run up to the next."""
        pending = self._pending
        did = pending[actor]
        following = pending[actor] = next(self._threads[actor])
        if not following:
            self._alive.remove(actor)
        return did

    def follow(self, actors: Sequence[int]) -> None:
        """Make accesses one after another."""
        pending, threads = self._pending, self._threads
        for actor in actors:
            following = pending[actor] = next(threads[actor])
            if not following:
                self._alive.remove(actor)

    def stuck(self) -> Iterable[tuple[int, Footprint]]:
        """Nobody ever waits."""
        return ()

    def waits(self) -> dict[int, Wait]:
        """Whoever cannot act has ended, and waits for nothing that could come."""
        return {actor: Wait() for actor in range(len(self._threads)) if actor not in self._alive}

    def finish(self) -> None:
        """Every end is a proper end."""


def pairs(threads: int, rounds: int) -> Callable[[], Threads]:
    """Threads that read and write one shared variable *rounds* times each."""

    def thread() -> Thread:
        for _ in range(rounds):
            yield (("x", READ),)
            yield (("x", WRITE),)
        yield ()

    return lambda: Threads([thread() for _ in range(threads)])


def steps(threads: int, length: int) -> Callable[[], Threads]:
    """Threads of *length* steps each on one shared variable."""

    def thread() -> Thread:
        for _ in range(length):
            yield (("x", WRITE),)
        yield ()

    return lambda: Threads([thread() for _ in range(threads)])
