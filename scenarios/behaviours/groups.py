"""Groups of LWPs: what a ``[[group]]`` table says, and the programs that follow from it."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from scenarios.behaviours.draws import Draw, duration, stream
from sim.errors import InputError, closest
from sim.hardware.steps import Access
from sim.inputs.table import Source, Table
from sim.kernel import program
from sim.kernel.program import KernelOp, LwpSpec, Operation, Syscall, Touch, User

PAGE = 4096
TEXT, DATA, STACK, MAPPINGS = 0x400000, 0x10000000000, 0x7E0000000000, 0x20000000000
MAPPING_STRIDE = 1 << 30
STRIDES = 122_880  # so many mappings end below the stacks
GIB = 1 << 18  # pages
MOST_LWPS = 65_536
MOST_CALLS = 1000  # kinds of them in a group's mix
MOST_TOUCHES = 65_536  # pages drawn for a burst
MOST_RANKS = 1 << 18  # pages of a working set with a Zipf distribution, whose weights are kept
MOST_ITERATIONS = 10**9
KINDS = ("plain", "map_unmap", "protect", "discard", "sleep", "wait", "wake", "call", "yield", "fork", "exec")
TARGETED = ("wake", "call", "fork")
USER_ONLY = ("map_unmap", "protect", "discard", "fork", "exec")


@dataclass(slots=True)
class Call:
    """A kind of system call in a group's mix."""

    name: str
    kind: str
    weight: float
    kernel_time: Draw
    pages: int
    target: str
    time: Draw | None
    burst: Draw | None


@dataclass(slots=True)
class Group:
    """A validated group."""

    name: str
    kind: str
    processes: int
    lwps: int
    priority: int
    bind: list[int]
    start: int
    burst: Draw
    calls: list[Call]
    iterations: int
    working_set: int
    text_pages: int
    per_burst: int
    locality: str
    skew: float
    resident: bool
    shares: str
    in_turn: bool
    lines: int
    own_pages: bool

    def shares_of_calls(self) -> list[tuple[Call, float]]:
        """Each call with how often an iteration makes it, in the mean."""
        total = sum(call.weight for call in self.calls)
        return [(call, 1.0 if self.in_turn else call.weight / total) for call in self.calls]

    def call_mean(self) -> float:
        """Cycles that the calls of an iteration take in the mean, with the bursts before them, sleep included."""
        parts = [((call.kernel_time, call.time, call.burst), n) for call, n in self.shares_of_calls()]
        return sum(draw.mean * n for draws, n in parts for draw in draws if draw)


def _call(table: Table, hz: int) -> Call:
    """One ``[[group.syscalls]]`` table."""
    kind = table.text("kind", "plain", KINDS)
    call = Call(
        name=table.label("name", kind),
        kind=kind,
        weight=table.number("weight", 1),
        kernel_time=duration(table, "kernel_time", hz, "200 ns"),
        pages=table.pages("pages", "1 page", most=GIB) if kind in ("map_unmap", "protect", "discard") else 0,
        target=table.label("target") if kind in TARGETED else "",
        time=duration(table, "time", hz) if kind == "sleep" else None,
        burst=duration(table, "burst", hz) if table.has("burst") else None,
    )
    table.finish()
    return call


def _locality(table: Table) -> tuple[str, float]:
    """How pages are chosen, and Zipf's exponent if it is that."""
    locality = table.get("locality", "uniform")
    if not isinstance(locality, str):
        return "zipf", table.number("locality")
    if locality not in ("uniform", "sequential"):
        raise table.fail("locality", f"'{locality}' must be uniform, sequential or a Zipf exponent"
                         + closest(locality, ("uniform", "sequential")))  # fmt: skip
    return locality, 0.0


def read_group(table: Table, hz: int, cpus: int) -> Group:
    """Read and validate one ``[[group]]`` table."""
    locality, skew = _locality(table)
    group = Group(
        name=table.label("name"),
        kind=table.text("kind", "user", ("user", "kernel")),
        processes=table.whole("processes", 1, most=MOST_LWPS),
        lwps=table.whole("lwps", 1, most=MOST_LWPS),
        priority=0,
        bind=table.whole_list("bind", below=cpus),
        start=table.duration("start", hz) if table.has("start") else 0,
        burst=duration(table, "burst", hz, "1 us"),
        calls=[_call(call, hz) for call in table.tables("syscalls", most=MOST_CALLS)],
        iterations=table.whole("iterations", most=MOST_ITERATIONS),
        working_set=table.pages("working_set", "4 pages", most=64 * GIB),
        text_pages=table.pages("text", "2 pages", most=GIB),
        per_burst=table.whole("pages_per_burst", 4, least=0, most=MOST_TOUCHES),
        locality=locality,
        skew=skew,
        resident=table.flag("resident", False),
        shares=table.label("shares", ""),
        in_turn=table.flag("in_turn", False),
        lines=table.whole("lines_per_page", 1, most=64),
        own_pages=table.flag("own_pages", False),
    )
    group.priority = table.whole("priority", 43 if group.kind == "user" else 96, least=0, most=223)
    if group.processes * group.lwps > MOST_LWPS:
        raise table.fail("lwps", f"{group.processes} processes of {group.lwps} are more than {MOST_LWPS} LWPs")
    if locality == "zipf" and group.working_set > MOST_RANKS:
        raise table.fail("working_set", f"with a Zipf exponent as locality it must be {MOST_RANKS >> 18} GiB or less")
    if group.own_pages and DATA + group.lwps * group.working_set * PAGE > MAPPINGS:
        raise table.fail(
            "own_pages", f"{group.lwps} working sets of {group.working_set} pages have no room side by side"
        )
    for call in group.calls:
        if group.kind == "kernel" and call.kind in USER_ONLY:
            raise table.fail("syscalls", f"'{call.kind}' is for user groups; a kernel LWP has no address space")
    table.finish()
    return group


def check_targets(groups: list[Group], place: str) -> None:
    """Every group that a call names must be there, and be of the right sort."""
    names: dict[str, Group] = {}
    for group in groups:
        if group.name in names:
            raise InputError(f"{place}: group: two groups are named '{group.name}'")
        names[group.name] = group
    forked = forked_groups(groups)
    for group in groups:
        table = Table({}, Source(place), (f"group '{group.name}'",))
        if group.shares:
            _check_sharing(group, names, table)
        for call in group.calls:
            _check_call(call, group, names, forked, table)
    if all(group.name in forked for group in groups if group.kind == "user"):
        raise InputError(f"{place}: group: every user group is forked by another; one must be there from the start")
    for group in groups:
        _check_forks(group, names, (), place)


def forked_groups(groups: list[Group]) -> set[str]:
    """Names of the groups that live as children only."""
    return {call.target for group in groups for call in group.calls if call.kind == "fork"}


def _check_call(call: Call, group: Group, names: dict[str, Group], forked: set[str], table: Table) -> None:
    """The target must be there and fit the call; who is forked cannot be named, so cannot be waited for or woken."""
    key = f"syscalls '{call.name}'"
    if call.kind in TARGETED and call.target not in names:
        raise table.fail(f"{key}.target", f"no group is named '{call.target}'{closest(call.target, names)}")
    if call.kind == "fork" and names[call.target].kind != "user":
        raise table.fail(f"{key}.target", f"'{call.target}' is a kernel group; only a user group can be forked")
    if call.kind in ("wake", "call") and call.target in forked:
        raise table.fail(f"{key}.target", f"'{call.target}' is forked; only a group that is there from the start wakes")
    if call.kind in ("wait", "call") and group.name in forked:
        raise table.fail(f"{key}.kind", f"'{call.kind}' needs somebody to wake it, and a forked group cannot be named")


def _check_forks(group: Group, names: dict[str, Group], above: tuple[str, ...], place: str) -> None:
    """Forks must come to an end."""
    if group.name in above:
        raise InputError(f"{place}: group '{group.name}': it forks itself without end: {' -> '.join(above)}")
    for call in group.calls:
        if call.kind == "fork":
            _check_forks(names[call.target], names, (*above, group.name), place)


def _check_sharing(group: Group, names: dict[str, Group], table: Table) -> None:
    """A group can live in the processes of another user group, if they are as many and that group's own."""
    other = names.get(group.shares)
    if other is None:
        raise table.fail("shares", f"no group is named '{group.shares}'{closest(group.shares, names)}")
    if other is group or other.shares or "kernel" in (other.kind, group.kind):
        raise table.fail("shares", f"'{group.shares}' must be another user group that shares with none")
    if other.processes != group.processes:
        raise table.fail("shares", f"'{group.shares}' has {other.processes} processes and not {group.processes}")


# Shared: there may be many LWPs that draw from the same pages.
@lru_cache(maxsize=8)
def _zipf(skew: float, pages: int) -> list[float]:
    """Cumulative weights of page ranks."""
    return list(accumulate((rank + 1) ** -skew for rank in range(pages)))


@lru_cache(maxsize=8)
def _text(pages: int) -> tuple[Touch, ...]:
    """The pages of a program's text."""
    return tuple(Touch(TEXT + i * PAGE, Access.EXEC) for i in range(pages))


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

    def program(self) -> Iterator[Operation]:
        """All operations of the LWP."""
        for _ in range(self.group.iterations):
            yield User(self.group.burst.draw(self.rng), self.touches())
            if self.group.in_turn:
                for call in self.group.calls:
                    yield from self._operations(call)
            elif self.group.calls:
                total = self.cumulative[-1]
                call = self.group.calls[bisect_left(self.cumulative, self.rng.random() * total)]
                yield from self._operations(call)

    def _operations(self, call: Call) -> Iterator[Operation]:
        """The operations of one system call of the mix, and of a burst of its own before it."""
        if call.burst:
            yield User(call.burst.draw(self.rng), self.touches())
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
