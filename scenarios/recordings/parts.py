"""Parts of a recording as workloads of their own, each beginning in the state that the lines before it have led to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from scenarios.recordings.followed import CALL_ENDS, Followed, FollowedReplay
from scenarios.recordings.items import Item, Items
from scenarios.recordings.programs import Start, lwp
from scenarios.recordings.windows import Window
from sim.kernel import program
from sim.kernel.program import LwpSpec, Workload

PLACES = 40  # bits of a task's number in the key of its items, and of its sign
CHUNK = 1024  # pages of an item
WORK = {"u": 1, "w": 1, "i": 2, "f": 3, "c": 4}  # where an item has its cycles
CLOSE, END, BEGIN, OPEN = range(4)  # what happens to parts at a line, in this order


class Beginning(NamedTuple):
    """An LWP of a part's start: the CPU that it ran on last (-1: none), and whether it first shows in the window."""

    start: Start
    cpu: int
    late: bool = False


@dataclass(slots=True)
class PartItems:
    """The items of one part, in the file of all.

    Attributes:
        lines: how many its window has.
        work: recorded cycles of these, in user mode and in the kernel.
        since: where the part begins, cycles of the recording.
    """

    window: Window
    items: Items
    lines: int = 0
    work: int = 0
    since: int = 0
    beginnings: list[Beginning] = field(default_factory=list)
    groups: dict[str, int] = field(default_factory=dict)
    tokens: list[int | str] = field(default_factory=list)

    @property
    def from_start(self) -> bool:
        """Whether it is measured from the recording's beginning."""
        return self.window.begin == 0

    def write(self, serial: int, items: list[Item]) -> None:
        """Write more items of a task; a negative number is a process's, whose pages they are."""
        if items:
            self.items.write(self._key(serial), items)

    def of(self, serial: int) -> Iterator[Item]:
        """All items of a task, or process."""
        return self.items.of(self._key(serial))

    def _key(self, serial: int) -> int:
        return (self.window.number << PLACES) + serial

    def pages(self, group: str) -> Iterator[tuple[int, bool]]:
        """The pages that a process has, and whether it may write to them."""
        for chunk in self.of(-self.groups[group]):
            yield from chunk

    def specs(self) -> Iterator[LwpSpec]:
        """The LWPs of the start, with fresh programs."""
        for start, cpu, _ in self.beginnings:
            spec = lwp(self, start)
            spec.cpu = None if cpu < 0 else cpu
            yield spec


class OpenPart:
    """A part whose lines are being read.

    Attributes:
        measures: whether they belong to its window.
        reached: whether that has begun.
        held: what tasks that sleep do when they wake up, by serial.
    """

    def __init__(self, window: Window, items: Items, replay: FollowedReplay) -> None:
        self.part = PartItems(window, items)
        self.measures = self.reached = self.part.from_start
        self.held: dict[int, list[Item]] = {}
        self._active: set[int] = set()
        self._replay = replay

    def write(self, serial: int, items: list[Item]) -> None:
        """Take items of a task."""
        self._active.add(serial)
        if self.measures:
            self.part.work += sum(item[WORK[item[0]]] for item in items if item[0] in WORK)
        self.part.write(serial, items)

    def begin(self) -> None:
        """Take up everything where it is."""
        replay, part = self._replay, self.part
        part.since = replay.cycles(replay.now)
        part.tokens = replay.tokens
        if part.from_start:
            part.beginnings = [Beginning(start, -1) for start in replay.first_starts.values()]
            return
        spaces: dict[int, str] = {}
        for task in replay.everybody():
            group = "kernel" if task.system else spaces.get(id(task.space))
            if group is None:
                group = spaces[id(task.space)] = f"process {len(spaces) + 1} of part {part.window.number}"
                self._write_pages(group, len(spaces), task.space.entered)
            part.beginnings.append(self._beginning(task, group))

    def _write_pages(self, group: str, number: int, entered: dict[int, bool]) -> None:
        pages = list(entered.items())
        self.part.groups[group] = number
        for at in range(0, len(pages), CHUNK):
            self.part.write(-number, [tuple(pages[at : at + CHUNK])])

    def _beginning(self, task: Followed, group: str) -> Beginning:
        """How one task begins: awake or asleep, in user mode or in a call."""
        life, replay = task.life, self._replay
        if task.name is not None:
            self.part.write(life.serial, [("s", task.name, False, task.nr)])
        elif task.asleep:
            self.part.write(life.serial, [("s", "(block)", True, -1)])
        if task.asleep:
            self.held[life.serial] = replay.left_of_sleep(task)
        unseen = replay.first_starts.get(life.serial)
        start = max(unseen.start - self.part.since, 0) if unseen else 0
        who = replay.who(life)
        return Beginning(Start(life.serial, who, group, task.system, task.space.resident, start, None), life.cpu)

    def mark(self, *, end: bool) -> None:
        """The window begins or ends here, for every task."""
        self.measures, self.reached = not end, True
        part = self.part
        unseen = self._replay.first_starts.keys() - self.held.keys()
        if not end:
            part.beginnings = [one._replace(late=one.start.serial in unseen) for one in part.beginnings]
        else:  # who has not been seen by now does nothing in the window
            part.beginnings = [one for one in part.beginnings if one.start.serial not in unseen]
        for task in self._replay.everybody():
            serial, mark = task.life.serial, ("m", part.window.number, end)
            if task.ended or serial in unseen:
                continue
            held = self.held.get(serial)
            if held is None:
                part.write(serial, [(*mark, False)])
                continue
            part.write(serial, [(*mark, True)])
            held.insert(len(held) - (held[-1] == CALL_ENDS), (*mark, False))  # if it finds no time to sleep

    def wakes(self, serial: int) -> None:
        """A task makes what was held back."""
        held = self.held.pop(serial, None)
        if held is not None:
            self.write(serial, held)

    def stop(self) -> None:
        """Nothing more is read: whoever is there goes to sleep for good."""
        for task in self._replay.everybody():
            serial = task.life.serial
            if task.ended:
                continue
            held = self.held.pop(serial, [])
            self.part.write(serial, held)
            inside = task.name is not None
            for_good = ("k", "Block", f"parked/{serial}")
            self.part.write(serial, [for_good] if inside else [("s", "(parked)", True, -1), for_good, CALL_ENDS])

    def complete(self) -> PartItems:
        """The part, with those who do anything in it, and those who share their processes."""
        part, active = self.part, self._active
        if not part.from_start and any(one.start.serial in active and not one.start.system for one in part.beginnings):
            groups = {one.start.group for one in part.beginnings if one.start.serial in active} - {"kernel"}
            part.beginnings = [
                one for one in part.beginnings if one.start.serial in active or one.start.group in groups
            ]  # fmt: skip
        there = {one.start.group for one in part.beginnings}
        part.groups = {group: number for group, number in part.groups.items() if group in there}
        return part


class Divider:
    """Divides the second pass over a recording into parts."""

    def __init__(self) -> None:
        self._open: dict[int, OpenPart] = {}

    def write(self, serial: int, items: list[Item]) -> None:
        """Items of a task, for all parts that are open."""
        for part in self._open.values():
            part.write(serial, items)

    def sleeps(self, serial: int, items: list[Item]) -> None:
        """A task sleeps."""
        for part in self._open.values():
            part.held[serial] = list(items)

    def wakes(self, serial: int) -> None:
        """A task is awake again."""
        for part in self._open.values():
            part.wakes(serial)

    def divide(self, replay: FollowedReplay, windows: Sequence[Window], end: int) -> list[PartItems]:
        """Read all lines, in which tasks are on CPUs for *end* ns; return the parts in which there are user tasks."""
        items, done = Items(), []
        places = [
            place for window in windows
            for place in ((window.warm, OPEN, window), (window.begin, BEGIN, window), (window.end, END, window),
                          (window.cool, CLOSE, window))
            if self._is_one(place, end)
        ]  # fmt: skip
        places.sort(reverse=True)
        soonest = 0
        while not replay.finished:
            if places and replay.next_time >= soonest:
                while places and replay.goes_to(places[-1][0]):
                    _, what, window = places.pop()
                    replay.cut()
                    if what == OPEN:
                        opened = self._open[window.number] = OpenPart(window, items, replay)
                        opened.begin()
                    elif what == CLOSE:
                        self._open[window.number].stop()
                        done.append(self._open.pop(window.number).complete())
                    else:
                        self._open[window.number].mark(end=what == END)
                if places:
                    soonest = replay.soonest(places[-1][0])
            replay.advance()
            for part in () if replay.finished else self._open.values():  # there was a line
                part.part.lines += part.measures
        done += [part.complete() for part in self._open.values() if part.reached]
        return [part for part in done if any(not one.start.system for one in part.beginnings)]

    @staticmethod
    def _is_one(place: tuple[int, int, Window], end: int) -> bool:
        """Whether something happens there: a part may begin with the recording, and end with it."""
        _, what, window = place
        return what == OPEN or (window.begin > 0 if what == BEGIN else window.end < end)


@dataclass(frozen=True, slots=True)
class Parts:
    """Some parts of a recording, and a workload without programs."""

    workload: Workload
    parts: list[PartItems]

    def source(self, number: int) -> Workload:
        """The workload of one part, with fresh programs."""
        part = self.parts[number]
        late = [number for number, one in enumerate(part.beginnings) if one.late]
        pages = {group: part.pages(group) for group in part.groups}
        return replace(
            self.workload, lwps=list(part.specs()), interrupts=iter(()),
            assumptions=dict(self.workload.assumptions),
            part=program.Part(part.window.number, part.from_start, part.since, late, part.tokens, pages),
        )  # fmt: skip
