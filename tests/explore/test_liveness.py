"""Variables that a suspended generator can still read."""

from __future__ import annotations

from collections.abc import Generator

from sim.explore.liveness import live_after

Proc = Generator[int, int, int]


def straight() -> Proc:
    first = yield 1
    second = yield first
    return second


def branches(which: bool) -> Proc:
    kept, dropped = yield_twice()
    yield 1
    if which:
        kept = 0
    yield 2
    dropped = kept
    return dropped


def yield_twice() -> tuple[int, int]:
    return 1, 2


def loop(items: list[int]) -> Proc:
    last = 0
    for item in items:
        yield item
        last = item
    return last


def caught() -> Proc:
    text = 0
    try:
        yield 1
        text = 1
        yield 2
    except ValueError:
        return text
    return 0


def inner(word: int) -> Proc:
    unused = word
    got = yield from straight()
    unused = got
    return unused


def alive(function: object, waits: int) -> set[str]:
    """What is alive where a generator waits for the *waits*-th time."""
    generator = function(*[[1, 2]] * function.__code__.co_argcount)  # type: ignore[operator, attr-defined]
    for _ in range(waits):
        generator.send(None)
    return set(live_after(generator.gi_code)[generator.gi_frame.f_lasti])


def test_what_is_written_before_it_is_read_is_dead() -> None:
    assert alive(straight, 1) == set()
    assert alive(branches, 1) == {"kept", "which"}
    assert alive(branches, 2) == {"kept"}


def test_loops_and_handlers_keep_what_they_may_read() -> None:
    assert alive(loop, 1) == {"item"}
    assert alive(caught, 1) == {"text"}
    assert alive(caught, 2) == {"text"}


def test_what_a_caller_will_read() -> None:
    assert alive(inner, 1) == set()
