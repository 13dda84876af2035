"""The sleep timers of LWPs: a SimPy process each."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from simpy.events import Event

from sim.kernel.lwp import Lwp
from sim.timed.clock import Clock


class SleepTimers:
    """Waits out sleeps, then calls *wake*.  ``armed`` counts the timers that run."""

    def __init__(self, clock: Clock, wake: Callable[[Lwp], None]) -> None:
        self.clock = clock
        self.wake = wake
        self.armed = 0
        self._events: dict[str, Event] = {}

    def add(self, lwp: Lwp) -> None:
        """Begin an LWP's life off the CPU."""
        waiting = self._events[lwp.key] = self.clock.event()
        self.clock.process(self._run(lwp, waiting))

    def arm(self, lwp: Lwp, cycles: int) -> None:
        """Start the LWP's timer."""
        self.armed += 1
        self._events.pop(lwp.key).succeed(cycles)

    def remove(self, lwp: Lwp) -> None:
        """The LWP has exited."""
        waiting = self._events.pop(lwp.key, None)
        if waiting is not None and not waiting.triggered:
            waiting.succeed(None)

    def _run(self, lwp: Lwp, waiting: Event) -> Generator[Event, Any, None]:
        """Wait for *waiting*, which may have been triggered, and forgotten, before this process begins."""
        while (cycles := (yield waiting)) is not None:
            waiting = self._events[lwp.key] = self.clock.event()
            yield self.clock.after(cycles, 1)
            self.armed -= 1
            self.wake(lwp)
