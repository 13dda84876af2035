"""DPOR against the odometer: same final states and same verdicts, on random small programs with mutexes and spins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain import Plain, T

from sim.explore.explorer import Outcome, explore
from sim.explore.strategies.dpor import Dpor
from sim.explore.strategies.exhaustive import Exhaustive
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.steps import Proc, acquire, add, load, release, rmw, store, wait

ops = st.sampled_from(["load 0", "load 1", "store 0", "store 1", "add 0", "lock", "spin 0", "spin 1"])
programs = st.lists(st.lists(ops, max_size=3), min_size=2, max_size=3).filter(
    lambda threads: sum(4 if op == "lock" else 1 for thread in threads for op in thread) <= 8
)
small = programs.filter(lambda threads: sum(4 if op == "lock" else 2 for thread in threads for op in thread) <= 8)


def build(threads: list[list[str]], tso: bool) -> Callable[[], Plain]:
    """Executions of a random program; the final state is memory and everything that was read."""

    def make() -> Plain:
        words = [Words("x"), Words("y")]
        mutex = Mutex("m", "m")
        seen: list[list[int]] = [[] for _ in threads]

        def body(number: int) -> Proc:
            for i, op in enumerate(threads[number]):
                verb, _, where = op.partition(" ")
                if verb == "load":
                    seen[number].append((yield load(words[int(where)], 0, T.site("l"))))
                elif verb == "store":
                    yield store(words[int(where)], 0, 10 * number + i + 1, T.site("s"))
                elif verb == "add":
                    seen[number].append((yield rmw(words[0], 0, add, 1, T.site("a"))))
                elif verb == "spin":
                    seen[number].append((yield wait(words[int(where)], 0, lambda v: v % 2 == 0, T.site("w"))))
                else:
                    yield acquire(mutex, T.site("m"))
                    value = yield load(words[0], 0, T.site("l"))
                    yield store(words[0], 0, value + 1, T.site("s"))
                    yield release(mutex, T.site("m"))

        return Plain(
            [lambda n=n: body(n) for n in range(len(threads))],  # type: ignore[misc]
            tso,
            lambda: (tuple(w.v[0] for w in words), tuple(map(tuple, seen))),
        )

    return make


def finals(make: Callable[[], Plain], strategy: Any) -> tuple[set[Any], Outcome[Plain]]:
    """All final states; a deadlock counts as one."""
    found: set[Any] = set()

    def deadlock_is_an_end() -> Plain:
        run = make()
        judge = run.finish

        def finish() -> None:
            try:
                judge()
            except Exception:
                run.final = ("deadlock", run.observe())

        run.finish = finish  # type: ignore[method-assign]
        return run

    out = explore(deadlock_is_an_end, strategy, ended=lambda run: found.add(run.final))
    return found, out


def agree(threads: list[list[str]], tso: bool) -> None:
    make = build(threads, tso)
    reduced, out = finals(make, Dpor())
    every, all_out = finals(make, Exhaustive())
    assert reduced == every
    assert out.exhausted
    assert out.executions <= all_out.executions


@settings(max_examples=60, deadline=None, derandomize=True)
@given(programs)
@example([["lock"], ["lock"]])
@example([["store 0", "store 0"], ["spin 0"]])
def test_same_final_states(threads: list[list[str]]) -> None:
    agree(threads, False)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(small)
@example([["store 0", "load 1"], ["store 1", "load 0"]])
def test_same_final_states_with_store_buffers(threads: list[list[str]]) -> None:
    agree(threads, True)
