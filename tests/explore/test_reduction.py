"""What reduction leaves out is never an end nor a violation: random programs, against the search that tries all."""

from __future__ import annotations

import pytest
from toy import Program, Toy, maker, random_program

from sim.explore.explorer import Budget, StateOutcome
from sim.explore.model import Violation
from sim.explore.stateful import StateSearch

SEEDS = range(400)


def explored(program: Program, *, reduce: bool) -> tuple[StateOutcome[Toy], set[bytes], StateSearch[Toy]]:
    ends: set[bytes] = set()
    search: StateSearch[Toy] = StateSearch(
        maker(program), Toy.mark, ended=lambda run: ends.add(run.mark()), reduce=reduce
    )
    return search.explore(Budget(states=20_000)), ends, search


def test_random_programs_end_alike() -> None:
    """The same verdict and, where it holds, the same ends; violations of either are violations when replayed."""
    told = {"never": 0, "progress": 0, "": 0}
    states = [0, 0]
    for seed in SEEDS:
        program = random_program(seed)
        (all_of, ends, _), (few, found, _) = explored(program, reduce=False), explored(program, reduce=True)
        assert not all_of.left_out + few.left_out, seed
        assert (all_of.broken is None) == (few.broken is None), seed
        told[few.broken.invariant if few.broken else ""] += 1
        if few.broken is None:
            assert found == ends, seed
            assert few.states <= all_of.states
            states[0] += few.states
            states[1] += all_of.states
        elif few.broken.invariant == "never":
            with pytest.raises(Violation):
                Toy(program).follow(few.choices)
    assert min(told.values()) > 10, told  # each kind is met
    assert states[0] < states[1] * 0.75


def test_cycles_and_surprises_are_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs have loops that another CPU ends, and searches that begin again because of what they learned."""
    inner = StateSearch._cycle
    closed = {True: 0, False: 0}

    def cycle(search: StateSearch[Toy], number: int) -> None:
        closed[number in search.path.depth_of] += 1
        inner(search, number)

    monkeypatch.setattr(StateSearch, "_cycle", cycle)
    restarts = 0
    for seed in SEEDS:
        outcome, _, search = explored(random_program(seed), reduce=True)
        restarts += outcome.restarts
        if outcome.exhausted:
            assert None not in search.states.future, seed
            assert not search.states.unfinished
    assert closed[True] > 100  # back to a state on the path
    assert closed[False] > 10  # to one that was left, but leads back to the path
    assert restarts > 2
