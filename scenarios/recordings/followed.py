"""What a run would have changed up to any place of a recording: who sleeps since when, which pages are mapped.

While nothing is simulated, the second pass goes on line by line, and from the items that it makes follows what the
kernel's state would be: tasks with their open calls and sleeps, wake-ups that came before their sleeps, and the pages
in each process's tables.  So a run can take up anywhere (the functional side of a sampled simulation).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from scenarios.recordings.items import Item
from scenarios.recordings.learned import Survey
from scenarios.recordings.life import Life, WokenBy
from scenarios.recordings.lines import Line
from scenarios.recordings.linux import PAGE
from scenarios.recordings.programs import starts
from scenarios.recordings.replay import Replay
from scenarios.recordings.tasks import Sink, Space, Task, operation_item
from scenarios.recordings.tracer import Tracer
from sim.hardware.steps import Access

CALL_ENDS: Item = ("e",)


class Listener(Protocol):
    """Who wants to know that tasks fall asleep and are woken: what is in a program is not all written before."""

    def write(self, serial: int, items: list[Item], /) -> None:
        """More items of a task."""

    def sleeps(self, serial: int, items: list[Item], /) -> None:
        """A task sleeps, and will have made these items once it is awake."""

    def wakes(self, serial: int, /) -> None:
        """It is awake."""


class Followed(Task):
    """A task, and what of the kernel's state is its own.

    Attributes:
        asleep: the items of the sleep that it is in, the sleep first; none if it is awake.
        since: time (ns) at which that began.
    """

    __slots__ = ("asleep", "followed", "since", "touched")

    def __init__(self, life: Life, space: Space, file: Sink, followed: FollowedReplay, *, system: bool) -> None:
        super().__init__(life, space, file, system=system)
        self.followed = followed
        self.asleep: list[Item] = []
        self.since = 0
        self.touched: object = None

    def put(self, item: Item) -> None:
        """Append an item."""
        self.wake()
        super().put(item)
        self._changes(item)

    def in_kernel(self, name: str, item: Item) -> None:
        """Put an item that needs the kernel; a sleep only once it is over, for what happens meanwhile comes before."""
        if item[:2] not in (("k", "Block"), ("k", "Sleep")):
            super().in_kernel(name, item)
            return
        wrapped = self.name is None
        if wrapped:
            self.put(("s", name, True, -1))
        items = [item, CALL_ENDS] if wrapped else [item]
        if self.followed.comes_too_late(self, item):
            for each in items:
                self.put(each)
            return
        self.flush()
        self.asleep, self.since = items, self.followed.now
        self.followed.listener.sleeps(self.life.serial, list(items))

    def wake(self) -> None:
        """If it sleeps, it does no more."""
        if self.asleep:
            self.asleep = []
            self.followed.listener.wakes(self.life.serial)

    def _changes(self, item: Item) -> None:
        """Follow what an item changes."""
        kind = item[0]
        if kind == "u":
            if item[2] is not self.touched:
                self.touched = item[2]
                for code in item[2]:
                    fresh = self.space.resident and code & ~3 not in self.space.entered
                    self._enter(code & ~3, write=fresh or code & 3 == Access.WRITE)
        elif kind == "f":
            self._enter(item[1] // PAGE * PAGE, write=item[2] == Access.WRITE)
        elif kind == "fork" and not item[2]:
            self.space.entered = dict.fromkeys(self.space.entered, False)
        elif kind == "k":
            self._operation(item)

    def _enter(self, page: int, *, write: bool) -> None:
        if not self.system:
            self.space.entered[page] = write or self.space.entered.get(page, False)

    def _operation(self, item: Item) -> None:
        """An operation of the kernel's."""
        if item[1] == "Wake":
            self.followed.woken(item[2])
        elif item[1] == "Unmap" or item[1] == "Protect" and item[5]:
            for page in self._pages(item[2], item[3]):
                del self.space.entered[page]
        elif item[1] == "Protect" and not item[4]:
            for page in self._pages(item[2], item[3]):
                self.space.entered[page] = False

    def _pages(self, start: int, end: int) -> list[int]:
        """The pages of a range that are in the tables."""
        entered = self.space.entered
        if (end - start) // PAGE < len(entered):
            return [page for page in range(start // PAGE * PAGE, end, PAGE) if page in entered]
        return [page for page in entered if start // PAGE * PAGE <= page < end]


class FollowedReplay(Replay):
    """The second pass, with tasks that are followed.

    Attributes:
        listener: who gets the items.
        first_starts: how tasks that nobody in the recording made begin, by serial, as long as they are not seen.
    """

    def __init__(self, survey: Survey, frequency_hz: int, fault_ns: int, tracer: Tracer, listener: Listener) -> None:
        super().__init__(survey, frequency_hz, fault_ns, tracer)
        self.listener = listener
        self._woken: dict[int, set[str]] = {}  # channels whose wake-up came before the sleep, by the sleeper's serial
        self.first_starts = {start.serial: start for start in starts(self)}
        for serial, start in self.first_starts.items():
            if start.asleep is not None:
                task = self.followed(serial)
                task.asleep, task.since = [operation_item(start.asleep), CALL_ENDS], self.first

    def followed(self, serial: int) -> Followed:
        """A task that is there."""
        task = self.tasks[serial]
        assert isinstance(task, Followed)
        return task

    def everybody(self) -> Iterator[Followed]:
        """All tasks that are there."""
        return map(self.followed, self.tasks)

    @property
    def now(self) -> int:
        """Time (ns) of the latest line."""
        return max(self.latest, self.first)

    @property
    def tokens(self) -> list[int | str]:
        """Channels whose wake-up came before the sleep."""
        return sorted(channel for channels in self._woken.values() for channel in channels)

    def add(self, life: Life, space: Space, *, system: bool) -> Task:
        """A task joins."""
        task = self.tasks[life.serial] = Followed(life, space, self.listener, self, system=system)
        return task

    def cut(self) -> None:
        """End all stretches here that can be ended, and let others have all items.

        In a fault's handler or an interrupt's the stretch is left whole: how long those take is not known yet.
        """
        for task in self.everybody():
            if task.life.on_cpu and task.pending_fault is None and not self.interrupts.inside(task.life.cpu):
                self._stretch(task, self.now)
            task.flush()

    def left_of_sleep(self, task: Followed) -> list[Item]:
        """The items of a task's sleep as they are from now on."""
        sleep, *rest = task.asleep
        if sleep[1] == "Sleep":
            passed = self.cycles(self.now) - self.cycles(task.since)
            sleep = (*sleep[:2], max(sleep[2] - passed, 1))
        return [sleep, *rest]

    def woken(self, channel: str) -> None:
        """Somebody wakes whoever sleeps on a channel, or will."""
        serial = int(channel.partition("/")[0])
        task = self.tasks.get(serial)
        if not isinstance(task, Followed):
            return
        if task.asleep and task.asleep[0][2] == channel:
            task.wake()
        else:
            self._woken.setdefault(serial, set()).add(channel)

    def comes_too_late(self, task: Followed, sleep: Item) -> bool:
        """Whether a sleep's wake-up has come already."""
        waiting = self._woken.get(task.life.serial, set())
        known = sleep[2] in waiting
        waiting.discard(sleep[2])
        return known

    # --- hooks of the state machine ---------------------------------------------------------------------------------

    def on_first_sight(self, life: Life, line: Line, *, born: bool) -> None:
        super().on_first_sight(life, line, born=born)
        self.first_starts.pop(life.serial, None)

    def on_wake(self, life: Life, waker: Life | None, line: Line, how: WokenBy) -> None:
        super().on_wake(life, waker, line, how)
        task = self.tasks.get(life.serial)
        if isinstance(task, Followed):
            task.wake()

    def on_death(self, life: Life, line: Line) -> None:
        super().on_death(life, line)
        self._woken.pop(life.serial, None)
