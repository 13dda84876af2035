"""The programs of the recorded tasks: what each LWP of a run does, from the items of its task."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, islice
from typing import NamedTuple, Protocol

from scenarios.recordings.items import Item
from scenarios.recordings.learned import FirstSeen
from scenarios.recordings.life import Life
from scenarios.recordings.replay import Replay
from scenarios.recordings.tasks import Space
from sim.hardware.steps import Access
from sim.kernel import program
from sim.kernel.program import (
    Block,
    Fault,
    Fork,
    Interrupt,
    LwpSpec,
    Operation,
    Sleep,
    Syscall,
    Touch,
    User,
    Who,
    Work,
)

LONGEST_WAIT_NS = 10_000_000  # a task that is not seen for longer from the beginning was not waiting for a CPU
LONGEST_BODY = 64  # operations of a system call that are there at once; of a longer one they come as they are needed

KERNEL_PRIORITY, USER_PRIORITY = 96, 43  # PRI_KERNEL, and the middle of a time-sharing LWP's range

_ACCESSES = tuple(Access)
_make = tuple.__new__  # without the way through a named tuple's own
_OPERATIONS = {kind.__name__: kind for kind in (
    program.Map, program.Unmap, program.Protect, program.Block, program.Sleep, program.Wake,
)}  # fmt: skip


class Source(Protocol):
    """Where the items of tasks come from."""

    def of(self, serial: int, /) -> Iterator[Item]:
        """All items of a task."""


class Start(NamedTuple):
    """A task that nobody in the recording created, as its LWP begins (times in cycles)."""

    serial: int
    who: Who
    group: str
    system: bool
    resident: bool
    start: int
    asleep: Block | Sleep | None


def starts(replay: Replay) -> list[Start]:
    """Let the tasks that nobody in the recording created join; those of one process share a pmap."""
    spaces: dict[str, Space] = {}
    return [_start(replay, seen, spaces) for seen in replay.survey.tasks]


def _start(replay: Replay, seen: FirstSeen, spaces: dict[str, Space]) -> Start:
    """One task that was there before, or was created by somebody who is not recorded."""
    life = Life(
        seen.life.serial, seen.life.tid, seen.comm, seen.life.tgid, sleeps=int(seen.asleep), tree=seen.life.tree
    )
    system = replay.is_system(life.serial)
    group = "kernel" if system else f"process {life.tgid or life.tid}" + ("" if life.tgid else f" ({life.serial})")
    space = spaces.setdefault(group, Space(resident=not seen.born))
    task = replay.add(life, space, system=system)
    replay.count("forks_by_unknown_tasks" if seen.born else "tasks_alive_before")
    asleep = replay.sleep_of(task) if seen.asleep else None
    late = not seen.asleep and seen.time - replay.survey.first > LONGEST_WAIT_NS
    if late and not seen.born:
        replay.count("tasks_first_seen_late")
    start = replay.cycles(seen.time) if seen.born or late else 0
    return Start(life.serial, replay.who(life), group, system, space.resident, start, asleep)


def lwp(items: Source, task: Start) -> LwpSpec:
    """The LWP of a task."""
    priority = KERNEL_PRIORITY if task.system else USER_PRIORITY
    return LwpSpec(task.who.comm, _program(items, task.serial), task.group, system=task.system, priority=priority,
                   resident=task.resident, start=task.start, asleep=task.asleep, cut=True, who=task.who)  # fmt: skip


def _program(items: Source, serial: int) -> Iterator[Operation]:
    """The operations of one task."""
    rest = items.of(serial)
    codes: tuple[int, ...] = ()
    touches: tuple[Touch, ...] = ()
    for item in rest:
        kind = item[0]
        if kind == "c":
            yield _call(item)
        elif kind == "u":
            if item[2] is not codes:
                codes = item[2]
                touches = _touches(codes)
            yield _make(User, (item[1], touches, True))
        elif kind == "s":
            body = _body(items, rest)
            first = tuple(islice(body, LONGEST_BODY))
            longer = len(first) == LONGEST_BODY
            yield Syscall(item[1], 0, chain(first, body) if longer else first, True, item[2], item[3])  # type: ignore[arg-type]
            if longer:
                for _ in body:  # whatever an LWP that exits has left
                    pass
        elif kind == "f":
            yield Fault(item[1], _ACCESSES[item[2]], item[3], True)
        elif kind == "i":
            yield Interrupt(item[1], item[2])
        elif kind == "m":
            yield program.Mark(*item[1:])


@lru_cache(maxsize=4096)
def _call(item: Item) -> Syscall:
    """A call that only computes: the same object for one that is the same, as long as it is not old."""
    _, name, made_up, number, cycles = item
    return Syscall(name, 0, (Work(cycles),) if cycles else (), True, made_up, number)


@lru_cache(maxsize=1024)
def _touches(codes: tuple[int, ...]) -> tuple[Touch, ...]:
    """The touches of a stretch: the same object for the same pages, as long as it is not old."""
    return tuple(map(_touch, codes))


@lru_cache(maxsize=1 << 16)
def _touch(code: int) -> Touch:
    """One of them: stretches mostly touch what others have touched."""
    return Touch(code & ~3, _ACCESSES[code & 3])


def _body(items: Source, rest: Iterator[Item]) -> Iterator[program.KernelOp]:
    """The operations inside one system call."""
    for item in rest:
        kind = item[0]
        if kind == "w":
            yield Work(item[1])
        elif kind == "e":
            return
        elif kind == "k":
            yield _OPERATIONS[item[1]](*item[2:])
        elif kind == "m":
            yield program.Mark(*item[1:])
        elif kind == "exec":
            yield program.Exec(Who(*item[1:]))
        elif kind == "fork":
            _, serial, thread, who, system, resident = item
            child = Start(serial, Who(*who), f"process of {serial}", system, resident, 0, None)
            yield Fork(lwp(items, child), thread)
        else:
            yield program.Exit()
            return
