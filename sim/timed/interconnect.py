"""What goes from CPU to CPU: interrupts, cache lines on which a CPU spins, mutexes handed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from simpy.events import Event

from sim.hardware.cpu import Cpu
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.tlb import Tlb
from sim.timed.clock import Clock


class Port(Protocol):
    """A CPU as the others reach it; ``granted`` is the event that it waits for while it spins."""

    index: int
    cpu: Cpu[Tlb]
    granted: Event | None

    def post(self, vector: int, payload: tuple[object, ...] = ()) -> None:
        """An interrupt arrives."""


CODE = -1  # instead of an index: all of them, as code
Watcher = tuple[int, Callable[[Any], bool], Port]


class Interconnect:
    """Delays by distance.

    Attributes:
        line_cost: cycles that a cache line needs to [one CPU][from another].
        ipi_cost: cycles that an IPI flies [from one CPU][to another].
        watchers: who spins on which words, by the words' id: index, predicate, CPU.
    """

    def __init__(self, clock: Clock, line_cost: Sequence[Sequence[int]], ipi_cost: Sequence[Sequence[int]]) -> None:
        self.clock = clock
        self.line_cost = line_cost
        self.ipi_cost = ipi_cost
        self.watchers: dict[int, list[Watcher]] = {}
        self.ports: list[Port] = []
        self.before_code_changes: Callable[[], None] = lambda: None

    def send_ipi(self, source: int, vector: int, targets: int) -> None:
        """IPIs fly for as long as the topology says, then are pended at each target."""
        for port in self.ports:
            if targets >> port.index & 1:
                self.clock.call_after(self.ipi_cost[source][port.index], lambda _, port=port: port.post(vector, ()))

    def grant(self, mutex: Mutex, source: int) -> None:
        """Hand a released mutex to its first waiter, who sees it when the line has come over."""
        waiter: Port = mutex.waiters.popleft()
        mutex.owner = waiter.cpu
        event = waiter.granted
        assert event is not None
        self.clock.call_after(self.line_cost[waiter.index][source], lambda _: event.triggered or event.succeed())

    def watch(self, words: Words, index: int, predicate: Callable[[Any], bool], port: Port) -> None:
        """A CPU spins on a word."""
        self.watchers.setdefault(id(words), []).append((index, predicate, port))

    def watch_code(self, words: Words, port: Port) -> None:
        """A CPU relies on words that it fetches, and wants to know before one of them is written."""
        self.watchers.setdefault(id(words), []).append((CODE, bool, port))

    def unwatch_code(self, words: Words, port: Port) -> None:
        """It no longer does."""
        watchers = self.watchers[id(words)]
        watchers.remove((CODE, bool, port))
        if not watchers:
            del self.watchers[id(words)]

    def before_write(self, words: Words) -> None:
        """A watched word is about to be written."""
        if any(at == CODE for at, _, _ in self.watchers[id(words)]):
            self.before_code_changes()

    def unwatch(self, words: Words, port: Port) -> None:
        """It no longer spins on it."""
        left = [watcher for watcher in self.watchers.get(id(words), []) if watcher[2] is not port]
        if left:
            self.watchers[id(words)] = left
        else:
            self.watchers.pop(id(words), None)

    def written(self, words: Words, index: int, source: int) -> None:
        """A watched word was written: whose predicate holds now sees it when the line has come over."""
        for at, predicate, port in list(self.watchers.get(id(words), ())):
            if at == index and predicate(words.v[index]):
                self.unwatch(words, port)
                event = port.granted
                assert event is not None
                delay = self.line_cost[port.index][source] if port.index != source else 0
                self.clock.call_after(delay, lambda _, event=event: event.triggered or event.succeed())
