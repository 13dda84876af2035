"""Whatever a patched kernel keeps makes a difference to the fingerprint, or is an error."""

from __future__ import annotations

import itertools
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from enum import IntFlag
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

from scenarios.litmus_reader import find
from sim.explore import kinds
from sim.explore.fingerprint import Fingerprint
from sim.explore.left_out import FIELDS_LEFT_OUT
from sim.explore.reached import Unknown, held_always
from sim.explore.run import KernelRun
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words


@pytest.fixture(scope="module")
def run() -> KernelRun:
    return KernelRun(find("two-loads"), "svs-netbsd9", tso=False)


class ItsList(list[Any]):
    pass


class Backwards(list[Any]):
    def __iter__(self) -> Any:
        return iter(())


class ItsSet(set[Any]):
    pass


class Frozen(frozenset[Any]):
    __slots__ = ("extra",)


class Queue(deque[Any]):
    pass


class Table(dict[Any, Any]):
    pass


class Row(tuple[Any, ...]):
    pass


class Pair(NamedTuple):
    one: Any
    other: Any


class More(Pair):
    pass


class Bits(IntFlag):
    LOW = 1
    HIGH = 2


def given(value: Any, extra: Any) -> Any:
    """An object with a field of its own."""
    value.extra = extra
    return value


def by_keyword(number: int) -> Callable[..., int]:
    def function(*, keyword: int = number) -> int:
        return keyword

    return function


def ordered(*keys: int) -> OrderedDict[int, int]:
    made = OrderedDict(dict.fromkeys((1, 2), 0))
    for key in keys:
        made.move_to_end(key)
    return made


def of_another_module(kind: type) -> type:
    return type(kind.__name__, (kind,), {"__module__": "elsewhere", "__qualname__": kind.__qualname__})


def with_code(first: bool) -> Callable[[int], int]:  # fmt: skip
    # fmt: off
    return (lambda x: x + 1) if first else (lambda x: x - 1)
    # fmt: on


DIFFERENT: dict[str, Callable[[int], Any]] = {
    "list": lambda i: ItsList([i]),
    "list that shows nothing": lambda i: Backwards([i]),
    "list, a field": lambda i: given(ItsList([3]), i),
    "set": lambda i: ItsSet([i]),
    "set, a field": lambda i: given(ItsSet(), i),
    "frozenset": lambda i: Frozen([i]),
    "frozenset, a slot": lambda i: given(Frozen(), i),
    "deque": lambda i: Queue([i]),
    "deque, its length": lambda i: deque([3], maxlen=i),
    "deque or list": lambda i: (list if i == 1 else deque)([3]),
    "set or frozenset": lambda i: (set if i == 1 else frozenset)([3]),
    "dict": lambda i: Table({3: i}),
    "dict, a field": lambda i: given(Table({3: 4}), i),
    "dict, what it has by default": lambda i: defaultdict(list if i == 1 else set),
    "dict or counter": lambda i: (dict if i == 1 else Counter)({3: 4}),
    "dict, its order": lambda i: ordered(*(1, 2)[: i - 1]),
    "tuple": lambda i: Row((i,)),
    "tuple, a field": lambda i: given(Row((3,)), i),
    "named tuple": lambda i: Pair(i, [3]),
    "named tuple, a field": lambda i: given(More(3, 4), i),
    "class": lambda i: (ItsList if i == 1 else of_another_module(ItsList))([3]),
    "namespace": lambda i: SimpleNamespace(extra=i),
    "partial": lambda i: partial(divmod, i),
    "default": lambda i: lambda x, y=i: x,
    "default by keyword": by_keyword,
    "function with attributes": lambda i: given(lambda: None, i),
    "code": lambda i: with_code(i == 1),
    "flags without a name": lambda i: Bits(4 * i),
}


@pytest.mark.parametrize("make", DIFFERENT.values(), ids=DIFFERENT)
def test_what_is_kept_makes_a_difference(run: KernelRun, make: Callable[[int], Any]) -> None:
    fields, marks = vars(run.machine.kernel), []
    for value in (make(1), make(2), make(1)):
        fields["extra"] = value
        marks.append(Fingerprint().of(run))
    del fields["extra"]
    assert marks[0] == marks[2] != marks[1]


@pytest.mark.parametrize(
    "value",
    [itertools.count(), random.Random(1), bytearray(1), type("Number", (int,), {})(1), type("Real", (float,), {})(1)],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_seen_is_an_error(run: KernelRun, value: Any) -> None:
    fields = vars(run.machine.kernel)
    fields["extra"] = value
    with pytest.raises(TypeError, match=rf"cannot be compared: not all of a {type(value).__name__} can be seen"):
        Fingerprint().of(run)
    del fields["extra"]


def test_an_empty_cell(run: KernelRun) -> None:
    def empty() -> Any:
        return later

    fields = vars(run.machine.kernel)
    fields["extra"] = empty
    before = Fingerprint().of(run)
    later = 1
    assert Fingerprint().of(run) != before
    del fields["extra"]


def test_flags_in_page_tables() -> None:
    """They count as any other value, and so do the translations that they are part of."""
    run, mark = KernelRun(find("two-loads"), "svs-netbsd9", tso=False), Fingerprint()
    before = mark.of(run)
    words = next(iter(run.machine.mem.tables.values())).v
    was, words[-1] = words[-1], Bits.LOW
    low = mark.of(run)
    words[-1] = Bits.HIGH
    high = mark.of(run)
    words[-1] = was
    assert len({before, low, high}) == 3
    assert mark.of(run) == before
    cache = next(cache for cache in run.machine.caches if cache.entries)
    at, entries = next((at, entries) for at, entries in cache.entries.items() if entries)
    cache.entries[at] = {entry._replace(pa=Bits(entry.pa + 1)) for entry in entries}
    assert mark.of(run) != before


def test_short_ways_are_for_classes_without_more_fields() -> None:
    class WithTurn(Mutex):
        __slots__ = ("turn",)

    class WithCount(Words):
        pass

    for kind, fields in ((Mutex, {"owner", "word"}), (Words, {"v"})):
        assert kinds.has_only(kind, fields, FIELDS_LEFT_OUT[kind])
    assert not kinds.has_only(WithTurn, {"owner", "word"}, FIELDS_LEFT_OUT[Mutex])
    assert not kinds.has_only(WithCount, {"v"}, FIELDS_LEFT_OUT[Words])


def test_a_mutex_of_a_derived_class(run: KernelRun) -> None:
    """Who is in it, and its own fields."""

    class WithTurn(Mutex):
        __slots__ = ("turn",)

    fields, machine = vars(run.machine.kernel), run.machine
    fields["extra"] = mutex = WithTurn("m", "m")
    marks = [Fingerprint().of(run)]
    mutex.turn = 1  # type: ignore[attr-defined]
    marks.append(Fingerprint().of(run))
    machine.busy[id(mutex)] = 0
    marks.append(Fingerprint().of(run))
    del machine.busy[id(mutex)], fields["extra"]
    assert len(set(marks)) == 3


def test_what_a_function_holds_is_put_back_with_the_start() -> None:
    seen: list[int] = []
    function: Any = lambda x, y=seen: x  # noqa: E731
    assert isinstance(function, FunctionType)
    assert any(value is seen for value in held_always(function) or ())
    function.calls = 1
    with pytest.raises(Unknown, match="attributes"):
        held_always(function)
