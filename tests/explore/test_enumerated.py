"""DPOR against an enumeration of states written apart from it: same final states, deadlocks included."""

from __future__ import annotations

from typing import Any

import pytest
from enumerated import Program, finals
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain import Plain, T

from sim.explore.explorer import explore
from sim.explore.strategies.dpor import Dpor
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.steps import Proc, acquire, add, compare_and_swap, load, release, rmw, store, wait

place, value = st.integers(0, 1), st.integers(0, 2)
single = st.one_of(
    st.tuples(st.just("load"), place),
    st.tuples(st.just("store"), place, value),
    st.tuples(st.just("add"), place),
    st.tuples(st.just("cas"), place, value, value),
    st.tuples(st.just("spin"), place, place),
)
piece = st.one_of(
    single.map(lambda op: [op]),
    st.tuples(place, st.lists(single, max_size=2)).map(lambda p: [("lock", p[0]), *p[1], ("unlock", p[0])]),
    st.tuples(place, st.lists(single, max_size=1)).map(
        lambda p: [("lock", p[0]), ("lock", 1 - p[0]), *p[1], ("unlock", p[0]), ("unlock", 1 - p[0])]
    ),
)
thread = st.lists(piece, max_size=3).map(lambda pieces: [op for ops in pieces for op in ops])
programs = st.lists(thread, min_size=2, max_size=4).filter(lambda threads: sum(map(len, threads)) <= 9)


def reduced(program: Program, tso: bool) -> set[Any]:
    """Final states that DPOR comes to."""
    found: set[Any] = set()

    def make() -> Plain:
        words, mutexes = (Words("x"), Words("y")), (Mutex("m", "m"), Mutex("n", "n"))
        saw: list[list[int]] = [[] for _ in program]
        ended = [False] * len(program)

        def body(t: int) -> Proc:
            for verb, where, *rest in program[t]:
                if verb == "load":
                    saw[t].append((yield load(words[where], 0, T.site("load"))))
                elif verb == "store":
                    yield store(words[where], 0, rest[0], T.site("store"))
                elif verb == "add":
                    saw[t].append((yield rmw(words[where], 0, add, 1, T.site("add"))))
                elif verb == "cas":
                    saw[t].append((yield rmw(words[where], 0, compare_and_swap, tuple(rest), T.site("cas"))))
                elif verb == "spin":
                    saw[t].append((yield wait(words[where], 0, lambda v, p=rest[0]: v % 2 == p, T.site("spin"))))
                else:
                    yield (acquire if verb == "lock" else release)(mutexes[where], T.site(verb))
            ended[t] = True

        run = Plain([lambda t=t: body(t) for t in range(len(program))], tso, lambda: None)  # type: ignore[misc]
        run.finish = lambda: found.add(  # type: ignore[method-assign]
            (all(ended), tuple(w.v[0] for w in words), tuple(map(tuple, saw)))
        )
        return run

    assert explore(make, Dpor()).exhausted
    return found


@pytest.mark.parametrize("tso", [False, True])
@settings(max_examples=150, deadline=None, derandomize=True)
@given(program=programs)
# Who spins or waits for a mutex for ever could have gone on before another thread made it wait.
@example(program=[[("add", 0), ("store", 1, 1)], [("lock", 1), ("spin", 0, 0), ("unlock", 1)]])
@example(program=[[("add", 1)], [("cas", 0, 0, 2)], [("lock", 1), ("spin", 1, 0), ("unlock", 1)]])
@example(program=[[("load", 0), ("lock", 0), ("lock", 1), ("unlock", 0), ("unlock", 1)],
                  [("load", 1), ("lock", 1), ("lock", 0), ("load", 1), ("unlock", 1), ("unlock", 0)]])  # fmt: skip
@example(program=[[("store", 1, 0)], [("add", 1)], [("load", 0), ("spin", 1, 1)]])
def test_same_final_states(program: Program, tso: bool) -> None:
    assert reduced(program, tso) == finals(program, tso)
