"""The LWPs of a group: programs drawn from what its table says."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate

from scenarios.behaviours.draws import Draw, stream
from scenarios.behaviours.groups import DATA, MAPPINGS, PAGE, STRIDES, Call, Group
from sim.hardware.steps import Access
from sim.kernel import program
from sim.kernel.program import KernelOp, LwpSpec, Operation, Syscall, Touch, User

TEXT, STACK = 0x400000, 0x7E0000000000
MAPPING_STRIDE = 1 << 30


# Shared: there may be many LWPs that draw from the same pages.
@lru_cache(maxsize=8)
def _zipf(skew: float, pages: int) -> list[float]:
    """Cumulative weights of page ranks."""
    return list(accumulate((rank + 1) ** -skew for rank in range(pages)))


@lru_cache(maxsize=8)
def _text(pages: int) -> tuple[Touch, ...]:
    """The pages of a program's text."""
    return tuple(Touch(TEXT + i * PAGE, Access.EXEC) for i in range(pages))


@lru_cache(maxsize=1024)
def _plain(name: str, cycles: int) -> Syscall:
    """A call that only computes: the same object for one that is the same, as long as it is not old."""
    return Syscall(name, cycles)


class Member:
    """One LWP of a group: draws its operations."""

    def __init__(self, group: Group, process: int, number: int, seed: int, groups: dict[str, Group]) -> None:
        self.group = group
        self.process = process
        self.number = number
        self.seed = seed
        self.groups = groups
        self.rng = stream(seed, group.name, process, number)
        self.cumulative = list(accumulate(call.weight for call in group.calls))
        self.zipf = _zipf(group.skew, group.working_set) if group.locality == "zipf" else []
        self.data = DATA + number * group.working_set * PAGE if group.own_pages else DATA
        self.cursor = 0
        self.mapped = 0
        self.text = _text(group.text_pages)
        self.whole: tuple[Touch, ...] = ()  # pages of a burst that touches all there are
        self.last = User(0)  # the burst before, which may come again
        self.stack = Touch(STACK - (process * 256 + number) % STRIDES * (1 << 21), Access.WRITE)

    @property
    def channel(self) -> str:
        """What this LWP waits on."""
        return f"{self.group.name}/{self.process}/{self.number}"

    def _page(self, rng: random.Random) -> int:
        """Draw a page of the working set."""
        size = self.group.working_set
        if self.group.locality == "sequential":
            self.cursor = (self.cursor + 1) % size
            return self.cursor
        if self.zipf:
            return bisect_left(self.zipf, rng.random() * self.zipf[-1])
        return rng.randrange(size)

    def touches(self) -> tuple[Touch, ...]:
        """Pages of one burst: text, stack and draws from the working set."""
        if self.group.kind == "kernel":
            return ()
        if self.group.per_burst >= self.group.working_set:
            self.whole = self.whole or self._with(range(self.group.working_set))
            return self.whole
        return self._with(self._page(self.rng) for _ in range(self.group.per_burst))

    def _with(self, data: Iterable[int]) -> tuple[Touch, ...]:
        """Text and stack, and these pages of data."""
        return (*self.text, self.stack, *(Touch(self.data + page * PAGE, Access.WRITE) for page in data))

    def _burst(self, draw: Draw) -> User:
        """One burst: the same object as before if it is the same."""
        cycles, touches = draw.draw(self.rng), self.touches()
        if cycles != self.last.cycles or touches is not self.last.touches:
            self.last = User(cycles, touches)
        return self.last

    def program(self) -> Iterator[Operation]:
        """All operations of the LWP."""
        for _ in range(self.group.iterations):
            yield self._burst(self.group.burst)
            if self.group.in_turn:
                for call in self.group.calls:
                    yield from self._operations(call)
            elif self.group.calls:
                total = self.cumulative[-1]
                call = self.group.calls[bisect_left(self.cumulative, self.rng.random() * total)]
                yield from self._operations(call)

    def _operations(self, call: Call) -> Iterable[Operation]:
        """The operations of one system call of the mix, and of a burst of its own before it."""
        if call.kind == "plain" and not call.burst:
            return (_plain(call.name, call.kernel_time.draw(self.rng)),)
        return self._drawn(call)

    def _drawn(self, call: Call) -> Iterator[Operation]:
        """The same, whatever the call."""
        if call.burst:
            yield self._burst(call.burst)
        time = call.kernel_time.draw(self.rng)
        if call.kind == "map_unmap":
            start = MAPPINGS + (self.process * 256 + self.number) % STRIDES * MAPPING_STRIDE
            end = start + call.pages * PAGE
            yield Syscall("mmap", time, (program.Map(start, end),))
            yield User(1, tuple(Touch(va, Access.WRITE) for va in range(start, end, PAGE)))
            yield Syscall("munmap", time, (program.Unmap(start, end),))
        elif call.kind == "discard":
            end = self.data + min(call.pages, self.group.working_set) * PAGE
            yield Syscall(call.name, time, (program.Unmap(self.data, end, self.group.own_pages),))
        elif call.kind == "protect":
            end = self.data + min(call.pages, self.group.working_set) * PAGE
            yield Syscall("mprotect", time, (program.Protect(self.data, end, False),))
        else:
            yield Syscall(call.name, time, tuple(self._body(call)))

    def _body(self, call: Call) -> Iterator[KernelOp]:
        """The kernel operations of a call that is one system call."""
        if call.kind == "sleep":
            assert call.time is not None
            yield program.Sleep(call.time.draw(self.rng))
        elif call.kind == "wait":
            yield program.Block(self.channel)
        elif call.kind in ("wake", "call"):
            target = self.groups[call.target]
            process, number = self.process % target.processes, self.number % target.lwps
            yield program.Wake(f"{target.name}/{process}/{number}")
            if call.kind == "call":
                yield program.Block(self.channel)
        elif call.kind == "yield":
            yield program.Yield()
        elif call.kind == "exec":
            yield program.Exec()
        elif call.kind == "fork":
            yield program.Fork(self._child(self.groups[call.target]))

    def _child(self, group: Group) -> LwpSpec:
        """A child process of another group, with draws of its own."""
        self.mapped += 1
        child = Member(group, self.process, self.number, self.seed, self.groups)
        child.rng = stream(self.seed, group.name, self.channel, self.mapped)
        return LwpSpec(group.name, child.program(), f"{group.name}<{self.channel}/{self.mapped}")

    def spec(self) -> LwpSpec:
        """The LWP to create."""
        group = self.group
        index = self.process * group.lwps + self.number
        owner = group.shares or group.name
        return LwpSpec(
            f"{group.name}-{index}", self.program(), f"{owner}/{self.process}", system=group.kind == "kernel",
            priority=group.priority, cpu=group.bind[index % len(group.bind)] if group.bind else None,
            bound=bool(group.bind), resident=group.resident, start=group.start, lines=group.lines,
        )  # fmt: skip
