"""The programs of the recorded tasks: they pull items, and the replay reads on as far as they need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scenarios.recordings.learned import FirstSeen
from scenarios.recordings.life import Life
from scenarios.recordings.replay import Replay
from scenarios.recordings.tasks import Space, Task
from sim.kernel import program
from sim.kernel.program import Block, Fault, Fork, Interrupt, LwpSpec, Operation, Sleep, Syscall, User, Who

LONGEST_WAIT_NS = 10_000_000  # a task that is not seen for longer from the beginning was not waiting for a CPU

KERNEL_PRIORITY, USER_PRIORITY = 96, 43  # PRI_KERNEL, and the middle of a time-sharing LWP's range


def initial(replay: Replay) -> list[LwpSpec]:
    """LWPs for the tasks that nobody in the recording created; those of one process share a pmap."""
    spaces: dict[str, Space] = {}
    return [_initial(replay, seen, spaces) for seen in replay.survey.tasks]


def _initial(replay: Replay, seen: FirstSeen, spaces: dict[str, Space]) -> LwpSpec:
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
    return _spec(replay, task, group, replay.who(life), resident=space.resident, start=start, asleep=asleep)


def _spec(
    replay: Replay, task: Task, group: str, who: Who, *, resident: bool, start: int = 0,
    asleep: Block | Sleep | None = None,
) -> LwpSpec:  # fmt: skip
    """The LWP of a task."""
    priority = KERNEL_PRIORITY if task.system else USER_PRIORITY
    return LwpSpec(who.comm, _program(replay, task), group, system=task.system, priority=priority,
                   resident=resident, start=start, asleep=asleep, cut=True, who=who)  # fmt: skip


def _next(replay: Replay, task: Task) -> tuple[Any, ...] | None:
    """The task's next item; reads on as far as needed; None when the recording has no more of it."""
    while not task.queue:
        if replay.finished or task.ended:
            return None
        replay.advance()
    item: tuple[Any, ...] = task.queue.popleft()
    return item


def _program(replay: Replay, task: Task) -> Iterator[Operation]:
    """The operations of one task."""
    while (item := _next(replay, task)) is not None:
        kind = item[0]
        if kind == "u":
            yield User(item[1], item[2], True)
        elif kind == "f":
            yield Fault(item[1], item[2], item[3], True)
        elif kind == "s":
            body = _body(replay, task)
            yield Syscall(item[1], 0, body, True, item[2], item[3])  # type: ignore[arg-type]
            for _ in body:
                pass
        elif kind == "i":
            yield Interrupt(item[1], item[2])


def _body(replay: Replay, task: Task) -> Iterator[program.KernelOp]:
    """The operations inside one system call."""
    while (item := _next(replay, task)) is not None:
        kind = item[0]
        if kind == "e":
            return
        if kind == "w":
            yield program.Work(item[1])
        elif kind == "k":
            yield item[1]
        elif kind == "fork":
            _, serial, thread, who, resident = item
            child, group = replay.unborn.pop(serial), f"process of {serial}"
            yield Fork(_spec(replay, child, group, who, resident=resident), thread)
        elif kind == "x":
            yield program.Exit()
            return
