"""The search that recognises states: fingerprints, what may be swapped, and agreement with the other strategies."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from scenarios.litmus_reader import find
from sim.explore.explorer import Budget, StateOutcome, explore
from sim.explore.fingerprint import Fingerprint
from sim.explore.model import READ, WRITE, Footprint, Violation, Wait, dependent
from sim.explore.run import KernelRun
from sim.explore.stateful import StateSearch
from sim.explore.strategies.dpor import Dpor
from sim.explore.strategies.exhaustive import Exhaustive
from sim.explore.threads import Threads, pairs, steps

PROGRAMS = (
    ("install-against-load", "svs-netbsd8", False),
    ("wake-across", "svs-netbsd10", True),
    ("remove-page", "svs-netbsd10", False),
    ("exit-next-process", "pti", False),
)


def build(name: str, profile: str, tso: bool) -> Callable[[], KernelRun]:
    litmus = find(name)
    return lambda: KernelRun(litmus, profile, tso=tso)


def walk(run: KernelRun, rng: random.Random) -> list[int]:
    """Random choices to the end, or to a violation."""
    choices: list[int] = []
    try:
        while enabled := run.enabled():
            choices.append(rng.choice(enabled))
            run.step(choices[-1])
    except Violation:
        pass
    return choices


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_replay_meets_the_same_states(program: tuple[str, str, bool]) -> None:
    """A state is known by what it is, not by the objects that make it up; each step of this walk leads to another.

    What is kept of frames that have not moved gives what looking at all of them anew does.
    """
    make = build(*program)
    run, again, mark = make(), make(), Fingerprint()
    seen = [mark.of(run)]
    assert seen == [mark.of(again)]
    for choice in walk(make(), random.Random(3)):
        run.step(choice)
        again.step(choice)
        seen.append(mark.of(run))
        assert seen[-1] == Fingerprint().of(again)
    assert len(set(seen)) == len(seen) > 20


@pytest.mark.parametrize("name", ["fork-copies", "two-loads", "exec-against-exit"])
def test_frames_that_move_while_another_cpu_idles_are_looked_into(name: str) -> None:
    """CPU by CPU: what an idle LWP's frames lead to first, another CPU's LWP, moves though they do not."""
    run, mark = build(name, "svs-netbsd9", False)(), Fingerprint()
    while enabled := run.enabled():
        run.step(enabled[0])
        assert mark.of(run) == Fingerprint().of(run)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_independent_transitions_commute(program: tuple[str, str, bool]) -> None:
    """Whatever footprints call independent leads to one state in either order: reduction rests on this."""
    make, mark, rng = build(*program), Fingerprint(), random.Random(5)

    def after(prefix: list[int], one: int, other: int) -> tuple[Footprint, Footprint, bytes] | None:
        run = make()
        run.follow(prefix)
        first = run.step(one)
        if other not in run.enabled():
            return None
        return first, run.step(other), mark.of(run)

    swapped = 0
    for _ in range(4):
        choices = walk(make(), rng)
        for at in rng.sample(range(len(choices)), 12):
            run = make()
            run.follow(choices[:at])
            if len(enabled := run.enabled()) < 2:
                continue
            one, other = rng.sample(enabled, 2)
            there, back = after(choices[:at], one, other), after(choices[:at], other, one)
            if there and back and not dependent(there[0], back[0]):
                swapped += 1
                assert there[2] == back[2], f"{run.machine.steps} after {choices[:at]}"
    assert swapped > 10


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_equal_states_have_equal_futures(program: tuple[str, str, bool]) -> None:
    """One state reached in two ways: the same can act, touches and breaks the same, and leads to the same states."""
    make, mark = build(*program), Fingerprint()

    def future(before: list[int], actor: int) -> tuple[Footprint, bytes] | str:
        run = make()
        run.follow(before)
        try:
            return run.step(actor), mark.of(run)
        except Violation as violation:
            return violation.broken.invariant

    found: dict[bytes, list[int]] = {}
    pairs: list[tuple[list[int], list[int]]] = []
    for seed in range(30):
        run, rng, choices = make(), random.Random(seed), list[int]()
        try:
            while enabled := run.enabled():
                first = found.setdefault(mark.of(run), choices[:])
                if sorted(first) != sorted(choices) or first != choices and rng.random() < 0.1:
                    pairs.append((first, choices[:]))
                choices.append(rng.choice(enabled))
                run.step(choices[-1])
        except Violation:
            pass
    assert pairs
    for one, other in random.Random(7).sample(pairs, min(20, len(pairs))):
        run, again = make(), make()
        run.follow(one)
        again.follow(other)
        assert run.enabled() == again.enabled()
        for actor in run.enabled():
            there, back = future(one, actor), future(other, actor)
            assert _without_numbers(there) == _without_numbers(back)


def _without_numbers(future: tuple[Footprint, bytes] | str) -> object:
    """What stores are numbered by tells races of one execution apart, and is no part of a state."""
    if isinstance(future, str):
        return future
    return [touch for touch in future[0] if not (isinstance(touch[0], tuple) and touch[0][0] == "p")], future[1]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_agrees_with_reduction(program: tuple[str, str, bool]) -> None:
    """The same ends as DPOR, which knows no states; both exhaust the program."""
    make = build(*program)
    ends: tuple[set[str], set[str]] = (set(), set())
    found = StateSearch(make, Fingerprint().of, ended=lambda run: ends[0].add("; ".join(sorted(run.state.outcomes))))
    outcome = found.explore()
    reduced = explore(make, Dpor(), Budget(), lambda run: ends[1].add("; ".join(sorted(run.state.outcomes))))
    assert outcome.exhausted
    assert reduced.exhausted
    assert outcome.broken is None is reduced.broken
    assert ends[0] == ends[1]


def test_reduction_leaves_out_states_and_no_ends() -> None:
    """Fewer states than without, all of them among those; and each end that there is."""
    make = build("wake-across", "svs-netbsd8", False)
    ends: tuple[set[bytes], set[bytes]] = (set(), set())
    mark = Fingerprint().of
    reduced = StateSearch(make, mark, ended=lambda run: ends[0].add(mark(run)))
    few = reduced.explore()
    whole = StateSearch(make, mark, ended=lambda run: ends[1].add(mark(run)), reduce=False)
    many = whole.explore()
    assert set(reduced.states.number) < set(whole.states.number)
    assert ends[0] == ends[1] != set()
    assert few.states == len(reduced.states.number) < many.states / 2
    assert few.steps < many.steps / 2


class Counted(Threads):
    """Threads whose state is how far each has come: they only count."""

    def __init__(self, made: Threads) -> None:
        self._threads, self._pending, self._alive = made._threads, made._pending, made._alive
        self.at = [0] * len(made._threads)

    def step(self, actor: int) -> Footprint:
        self.at[actor] += 1
        return super().step(actor)

    def follow(self, actors: list[int]) -> None:  # type: ignore[override]
        for actor in actors:
            self.step(actor)


@pytest.mark.parametrize(("threads", "length"), [(2, 3), (3, 2), (3, 4), (4, 2)])
def test_exact_numbers_of_states(threads: int, length: int) -> None:
    """Threads that only count have (length + 1) ** threads states, in however many orders."""
    search = StateSearch(lambda: Counted(steps(threads, length)()), lambda run: bytes(run.at))
    assert search.explore().states == (length + 1) ** threads


def test_exhaustive_ends() -> None:
    """All values that two threads can leave in a shared counter, as the odometer finds them."""

    class Lost(Counted):
        """Each thread reads, then writes what it read plus one."""

        def __init__(self, made: Threads) -> None:
            super().__init__(made)
            self.x = 0
            self.read = [0] * len(self.at)

        def step(self, actor: int) -> Footprint:
            if self.at[actor] % 2 == 0:
                self.read[actor] = self.x
            else:
                self.x = self.read[actor] + 1
            return super().step(actor)

    found: tuple[set[int], set[int]] = (set(), set())
    search: StateSearch[Lost] = StateSearch(
        lambda: Lost(pairs(2, 2)()), lambda run: repr((run.at, run.x, run.read)).encode(),
        ended=lambda run: found[0].add(run.x),
    )  # fmt: skip
    search.explore()
    explore(lambda: Lost(pairs(2, 2)()), Exhaustive(), Budget(), lambda run: found[1].add(run.x))
    assert found[0] == found[1] == {2, 3, 4}


class Spinner:
    """Two actors: 0 may turn round and round; 1, if there is one, ends that."""

    def __init__(self, others: bool) -> None:
        self.turn, self.stopped, self.others = 0, False, others

    def enabled(self) -> list[int]:
        return [] if self.stopped else [0, 1] if self.others else [0]

    def step(self, actor: int) -> Footprint:
        if actor:
            self.stopped = True
        self.turn = (self.turn + 1) % 3
        return (("x", WRITE),) if actor else (("x", READ),)

    def follow(self, actors: list[int]) -> None:
        for actor in actors:
            self.step(actor)

    def stuck(self) -> tuple[tuple[int, Footprint], ...]:
        return ()

    def waits(self) -> dict[int, Wait]:
        return {}

    def finish(self) -> None:
        assert self.stopped


@pytest.mark.parametrize("others", [False, True])
def test_a_cycle_is_a_livelock_if_nobody_can_end_it(others: bool) -> None:
    search: StateSearch[Spinner] = StateSearch(lambda: Spinner(others), lambda run: bytes([run.turn, run.stopped]))
    outcome = search.explore()
    if others:
        assert outcome.exhausted
    else:
        assert outcome.broken is not None
        assert "livelock: 3 transitions" in outcome.broken.reason


class Interrupted(Spinner):
    """Actor 1 can end it too, but only in one state of three."""

    def enabled(self) -> list[int]:
        return [] if self.stopped else [0] if self.turn else [0, 1]


@pytest.mark.parametrize("insistent", [False, True])
def test_an_interrupt_that_is_let_through_now_and_then_lands_in_the_end(insistent: bool) -> None:
    search: StateSearch[Interrupted] = StateSearch(
        lambda: Interrupted(others=True),
        lambda run: bytes([run.turn, run.stopped]),
        insistent=(1,) if insistent else (),
    )
    outcome = search.explore()
    assert outcome.exhausted == insistent
    assert (outcome.broken is None) == insistent


def test_a_livelock_that_is_known_ends_nothing() -> None:
    search: StateSearch[Spinner] = StateSearch(
        lambda: Spinner(others=False), lambda run: bytes([run.turn, run.stopped]), muted=("progress",)
    )
    outcome = search.explore()
    assert outcome.exhausted
    assert outcome.states == 3


@pytest.mark.parametrize(
    ("budget", "says"),
    [(Budget(executions=5), "5 executions"), (Budget(steps=100), "100 steps"), (Budget(states=50), "50 states")],
)
def test_bounds_are_said(budget: Budget, says: str) -> None:
    search = StateSearch(build("wake-across", "svs-netbsd8", False), Fingerprint().of)
    outcome: StateOutcome[KernelRun] = search.explore(budget)
    assert not outcome.exhausted
    assert says in outcome.left_out
