"""Groups of LWPs: what a ``[[group]]`` table says."""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.behaviours.draws import Draw, duration
from sim.errors import InputError, closest
from sim.inputs.table import Source, Table

PAGE = 4096
DATA, MAPPINGS = 0x10000000000, 0x20000000000
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
