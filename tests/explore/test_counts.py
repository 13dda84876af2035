"""Exact numbers of executions: inequivalent orders by DPOR, all orders by the odometer."""

import pytest

from sim.explore.explorer import Budget, explore
from sim.explore.strategies.dpor import Dpor
from sim.explore.strategies.exhaustive import Exhaustive
from sim.explore.threads import pairs, steps

COUNTS = [(2, 1, 4, 6), (2, 2, 34, 70), (3, 1, 36, 90), (3, 2, 7134, 34650)]


@pytest.mark.parametrize(("threads", "rounds", "inequivalent", "every"), COUNTS)
def test_read_write_pairs(threads: int, rounds: int, inequivalent: int, every: int) -> None:
    reduced = explore(pairs(threads, rounds), Dpor())
    assert (reduced.executions, reduced.abandoned, reduced.exhausted) == (inequivalent, 0, True)
    plain = explore(pairs(threads, rounds), Exhaustive())
    assert (plain.executions, plain.steps) == (every, every * 2 * threads * rounds)


def test_three_threads_of_four_steps() -> None:
    assert explore(steps(3, 4), Exhaustive()).executions == 34650


def test_budgets_end_an_exploration_and_are_named() -> None:
    out = explore(pairs(3, 2), Dpor(), Budget(executions=10))
    assert (out.executions, out.exhausted, out.left_out) == (10, False, "budget of 10 executions spent")
    out = explore(pairs(3, 2), Dpor(), Budget(steps=25))
    assert (out.steps, out.left_out) == (36, "budget of 25 steps spent")
    ticks = iter(range(100))
    out = explore(pairs(3, 2), Dpor(), Budget(seconds=5, clock=lambda: next(ticks)))
    assert (out.executions, out.left_out) == (4, "budget of 5 seconds spent")
