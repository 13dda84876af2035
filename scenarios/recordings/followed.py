"""What a run would have changed up to any place of a recording: who sleeps since when, which pages are mapped.

While nothing is simulated, the second pass goes on line by line, and from the items that it makes follows what the
kernel's state would be: tasks with their open calls and sleeps, wake-ups that came before their sleeps, and the pages
in each process's tables.  So a run can take up anywhere (the functional side of a sampled simulation).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
CHANGES = frozenset(("u", "f", "fork", "k"))  # items that change what is in the tables, or who sleeps


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
        if self.asleep:
            self.wake()
        super().put(item)
        if item[0] in CHANGES:
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
                self._touch(item[2])
        elif kind == "f":
            self._enter(item[1] // PAGE * PAGE, write=item[2] == Access.WRITE)
        elif kind == "fork" and not item[2]:
            self.space.entered = dict.fromkeys(self.space.entered, False)
        elif kind == "k":
            self._operation(item)

    def _touch(self, codes: tuple[int, ...]) -> None:
        """Enter pages that are touched; nearly all of them have been."""
        if self.system:
            return
        entered, resident = self.space.entered, self.space.resident
        for code in codes:
            known = entered.get(code & ~3)
            if known is None:
                entered[code & ~3] = resident or code & 3 == Access.WRITE
            elif not known and code & 3 == Access.WRITE:
                entered[code & ~3] = True

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


class Ahead:
    """Lines, of which the next can be seen.

    Attributes:
        line: the next; None at the end.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self._rest = iter(lines)
        self.line = next(self._rest, None)

    def __iter__(self) -> Iterator[Line]:
        """Go on."""
        return self

    def __next__(self) -> Line:
        """The next line."""
        line = self.line
        if line is None:
            raise StopIteration
        self.line = next(self._rest, None)
        return line


class FollowedReplay(Replay):
    """The second pass, with tasks that are followed.

    Attributes:
        listener: who gets the items.
        now: time (ns) up to which everything is followed.
        spent: time of all tasks on CPUs (ns), but for what is left of stretches that have not ended.
        first_starts: how tasks that nobody in the recording made begin, by serial, as long as they are not seen.
    """

    def __init__(self, survey: Survey, frequency_hz: int, fault_ns: int, tracer: Tracer, listener: Listener) -> None:
        super().__init__(survey, frequency_hz, fault_ns, tracer)
        self.listener = listener
        self.now = self.first
        self.spent = 0
        self.lines = self._ahead = Ahead(survey.lines)
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
    def tokens(self) -> list[int | str]:
        """Channels whose wake-up came before the sleep."""
        return sorted(channel for channels in self._woken.values() for channel in channels)

    def add(self, life: Life, space: Space, *, system: bool) -> Task:
        """A task joins."""
        task = self.tasks[life.serial] = Followed(life, space, self.listener, self, system=system)
        return task

    def advance(self) -> None:
        """Take one more event, or end all tasks."""
        if self._ahead.line is not None:
            self.now = self._ahead.line.time
        super().advance()

    def goes_to(self, wanted: int) -> bool:
        """Whether tasks come to have been on CPUs so long (ns in all) before the next line; then it is *now*."""
        line, waited, running = self._ahead.line, wanted - self.spent, self._running_since()
        if line is None or sum(line.time - since for since in running) < waited:
            return False
        late = sum(self.now - since for since in running) - waited
        if running and late < 0:
            self.now = min(self.now - late // len(running), line.time)
        return True

    def soonest(self, wanted: int) -> int:
        """A time (ns) before which that cannot be, however many CPUs are busy."""
        running = sum(self.now - since for since in self._running_since())
        return self.now + (wanted - self.spent - running) // len(self.survey.cpus)

    def _running_since(self) -> list[int]:
        """From when the present stretches of those who run count (ns)."""
        return [
            life.since for cpu, life in self.running.items() if life is not None and life.on_cpu and life.cpu == cpu
        ]  # fmt: skip

    @property
    def next_time(self) -> int:
        """Time (ns) of the next line; that of the last one behind it."""
        return self.now if self._ahead.line is None else self._ahead.line.time

    def cut(self) -> None:
        """End all stretches here that can be ended, and let others have all items.

        In a fault's handler or an interrupt's the stretch is left whole: how long the latter takes is not known yet.
        """
        for task in self.everybody():
            if task.life.on_cpu and not self.interrupts.inside(task.life.cpu):
                handled = self.cycles(self.now) - self.cycles(task.life.since) > self.fault_cycles
                if task.pending_fault is None or handled:
                    self._stretch(task, self.now)
            task.flush()

    def _stretch(self, task: Task, now: int) -> None:
        if task.life.on_cpu:
            self.spent += now - task.life.since
        super()._stretch(task, now)

    def _interrupt(self, line: Line, life: Life | None) -> None:
        if life is None or not life.on_cpu:
            super()._interrupt(line, life)
            return
        before, since = self.spent, life.since
        super()._interrupt(line, life)
        self.spent = before + life.since - since

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
