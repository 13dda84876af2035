"""What objects hold is had again in the same objects; of whatever cannot be had again there is no image."""

from __future__ import annotations

import itertools
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from sim.explore.image import Image, is_as
from sim.explore.reached import Unknown, reached


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a


class Noting(Slots):
    """As some classes of watched objects are: a look at a field is noted, and the object got the class later."""

    __slots__ = ()
    looks = 0

    @property
    def a(self) -> Any:
        Noting.looks += 1
        return Slots.a.__get__(self)  # type: ignore[attr-defined]


class Entries(dict[Any, Any]):
    """A container with fields of its own."""

    def __init__(self, of: Any) -> None:
        super().__init__(of)
        self.more = [1]

    def __setitem__(self, key: Any, value: Any) -> None:
        raise AssertionError("putting back is no use")


def image_of(*roots: Any) -> Image:
    return Image(reached(roots).values(), running=False)


def make(one: Any, other: int = 2) -> Iterator[Any]:
    yield one
    yield other


def test_everything_is_as_it_was_and_where_it_was() -> None:
    inner = [1, [2]]
    slots, entries = Slots(inner), Entries({"b": inner, "a": 1})
    counter, places, queue = Counter("aab"), {1, (2, 3)}, deque([inner, 4])
    holder = [slots, entries, counter, places, queue, {}, set(), deque()]
    image = image_of(holder)
    assert all(map(is_as, image.held))
    inner[1] = 5
    slots.a, slots.b, slots.__class__ = [1, [2]], 7, Noting
    entries.more.append(2)
    entries.late = 1  # type: ignore[attr-defined]
    dict.clear(entries)
    counter.clear()
    places.add(9)
    queue.rotate()
    for empty in (holder[5], holder[6], holder[7]):
        empty.update({1: 1}) if hasattr(empty, "update") else empty.append(1)
    holder[0] = None
    assert sum(map(is_as, image.held)) == 1  # the inner list's own
    image.put()
    assert all(map(is_as, image.held))
    assert holder == [slots, {"b": inner, "a": 1}, Counter("aab"), {1, (2, 3)}, deque([inner, 4]), {}, set(), deque()]
    assert type(slots) is Slots
    assert slots.a is inner
    assert not hasattr(slots, "b")
    assert list(entries) == ["b", "a"]
    assert vars(entries) == {"more": [1]}
    assert Noting.looks == 0


def test_what_functions_close_over_is_as_it_was() -> None:
    count = 0

    def add(to: list[int]) -> int:
        nonlocal count
        count += 1
        to.append(count)
        return count

    made: list[int] = []
    image = image_of(partial(add, made))
    assert [add(made), add(made)] == [1, 2]
    image.put()
    assert made == []
    assert add(made) == 1


def test_generators_that_have_not_begun_are_called_anew() -> None:
    held = [1]
    frames = [make(held)]
    image = image_of(frames)
    for _ in range(2):
        assert next(frames[0]) is held
        assert next(frames[0]) == 2
        held.append(3)
        frames.append(make(4))
        image.put()
        assert held == [1]
        assert len(frames) == 1


def begun() -> list[Iterator[Any]]:
    made = make(1)
    next(made)
    return [made]


def by_name() -> list[Iterator[Any]]:
    def generator(*, named: int) -> Iterator[int]:
        yield named

    return [generator(named=1)]


@pytest.mark.parametrize(
    "odd",
    [
        lambda: random.Random(1), itertools.count, lambda: bytearray(1), lambda: iter([1]), lambda: memoryview(b""),
        lambda: iter([]), lambda: ValueError("odd"), lambda: {1: make(1)}, lambda: (make(1),), lambda: [make(1), 2],
        begun, by_name, lambda: type("Odd", (random.Random,), {"__slots__": ()})(),
        lambda: type("Odd", (tuple,), {})(),
    ],
)  # fmt: skip
def test_there_is_no_image_of_what_cannot_be_seen(odd: Callable[[], Any]) -> None:
    with pytest.raises(Unknown):
        image_of(Slots([odd()]))
