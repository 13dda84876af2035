"""The simulated clock: SimPy's environment with integer cycles, a written same-time order, and a fast path."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Any

from simpy import Environment
from simpy.core import EmptySchedule
from simpy.events import Event

FIRST_CPU_PRIORITY = 16


class Beat(Event):
    """An event of something periodic, a clock's tick for instance."""


class Clock(Environment):
    """Time in CPU cycles.

    Same-time order: interruptions, then arrivals (IPIs, timers, devices) in the order they were scheduled, then CPUs by
    index.  :meth:`jump` is the fast path: where no event of anybody lies at or before the target, going there directly
    is the same as waiting for it, so both engines give the same integers.
    """

    def __init__(self, *, fast: bool) -> None:
        super().__init__(initial_time=0)
        self.fast = fast
        self.events_scheduled = 0
        self.priorities: dict[Any, int] = {}  # of CPUs, by their processes
        self._late = 0  # how many catch up, one within the other
        self._under_way: tuple[int, int, int, Event | None] = (0, 0, 0, None)  # the event that happens now

    @property
    def cycle(self) -> int:
        """The current time, cycles; always a whole number here."""
        return self._now  # type: ignore[return-value]

    def now_function(self) -> Callable[[], int]:
        """What returns the current time, without the way through a property."""
        return partial(getattr, self, "_now")

    def jump(self, cycles: int) -> bool:
        """Advance the clock by *cycles* if nothing can happen meanwhile; return whether it did."""
        target = self._now + cycles
        if self.fast and (not self._queue or self._queue[0][0] > target):
            self._now = target
            return True
        return False

    def waiting(self) -> list[tuple[int, int, int, Event]]:
        """The events to come: time, priority, order, event."""
        return self._queue  # type: ignore[return-value]

    def pass_over(self, cycles: int) -> None:
        """Let *cycles* pass at once, with all that is periodic: nothing else is due meanwhile."""
        queue = self.waiting()
        queue[:] = [
            (time + cycles * isinstance(event, Beat), priority, order, event) for time, priority, order, event in queue
        ]
        heapify(queue)
        self._now += cycles

    def pass_quietly(self, cycles: int) -> None:
        """Let *cycles* pass in which nothing is due."""
        self._now += cycles

    def beat(self, cycles: int) -> Event:
        """Return the event of something periodic that happens in *cycles*, before CPUs of the same time."""
        return self._happen(Beat(self), cycles, 1)

    def after(self, cycles: int, priority: int) -> Event:
        """Return an event that happens in *cycles*, ordered by *priority* among those of the same time."""
        return self._happen(Event(self), cycles, priority)

    def _happen(self, event: Event, cycles: int, priority: int) -> Event:
        """Schedule an event that is sure to happen."""
        event._ok = True
        event._value = None
        self.events_scheduled += 1
        self.schedule(event, priority=priority, delay=cycles)  # type: ignore[arg-type]
        return event

    def pause(self) -> Event:
        """Return an event that one process waits for whenever :meth:`again` schedules it."""
        event = Event(self)
        event._ok = True
        event._value = None
        return event

    def again(self, pause: Event, cycles: int, priority: int) -> Event:
        """Let a pause, which must not be under way, happen in *cycles*, as an event made by :meth:`after`."""
        pause.callbacks = []
        self.events_scheduled += 1
        heappush(self._queue, (self._now + cycles, priority, next(self._eid), pause))  # type: ignore[misc]
        return pause

    def step(self) -> None:
        """Let the next event happen, as SimPy does; its place in the order is kept for :meth:`catch_up`."""
        if not self._queue:
            raise EmptySchedule
        self._under_way = entry = heappop(self._queue)  # type: ignore[assignment]
        self._now, event = entry[0], entry[3]
        callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
        for callback in callbacks:
            callback(event)
        if not event._ok and not hasattr(event, "_defused"):
            raise event._value

    def catch_up(self, pause: Event, cycle: int) -> None:
        """Let a pause that is under way end at *cycle*, in the past, and happen what follows from that by now.

        Nothing else may follow from it than that the one who waits comes to another pause.  Of events of this moment
        those come first that would have come before what happens now.
        """
        queue, now, under_way, active = self.waiting(), self.cycle, self._under_way, self._active_proc
        priority = under_way[1]
        if under_way[0] != now:  # a CPU has jumped on
            priority = self.priorities[active]
        (at,) = (at for at, entry in enumerate(queue) if entry[3] is pause)
        place = queue[at][1]
        queue[at] = queue[-1]
        queue.pop()
        heapify(queue)
        self._late += 1
        here = (now, priority, -self._late, pause)
        heappush(queue, (cycle, place, next(self._eid), pause))
        heappush(queue, here)
        while queue[0] is not here:
            self.step()
        heappop(queue)
        self._late -= 1
        self._now, self._under_way, self._active_proc = now, under_way, active

    def call_after(self, cycles: int, function: Any) -> None:
        """Call ``function(event)`` in *cycles*; before CPUs of the same time."""
        event = self.after(cycles, 1)
        assert event.callbacks is not None
        event.callbacks.append(function)
