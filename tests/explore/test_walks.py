"""Page walks that set A and D: locked, steps of their own, and known to reduction."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

import pytest

from scenarios.litmus_reader import find
from sim.explore.cached import translate
from sim.explore.check import check
from sim.explore.explorer import Budget, explore
from sim.explore.fingerprint import Fingerprint
from sim.explore.plants import find as find_plant
from sim.explore.request import Request
from sim.explore.run import KernelRun
from sim.explore.stateful import StateSearch
from sim.explore.strategies.dpor import Dpor
from sim.explore.strategies.pct import Pct
from sim.explore.walkers import Walkers
from sim.hardware.cpu import VECTOR_TLB
from sim.hardware.paging import A, D, P, W
from sim.hardware.steps import Op

REMOVER, USER = 0, 1


def build(name: str, profile: str = "none", *, tso: bool = False) -> Callable[[], KernelRun]:
    litmus = find(name)
    return lambda: KernelRun(litmus, profile, tso=tso)


def entry(run: KernelRun) -> int:
    """The entry of the page that the user's access is about."""
    va = run.litmus.va(0, 0 if run.litmus.name == "read-against-remove" else 1)
    words = translate(run.machine.mem, run.state.pmaps["A"].pm_pdirpa, va)[1]
    table, index = words[-1]
    value: int = table.v[index]
    return value if len(words) == run.machine.mem.geometry.levels else 0


def until(run: KernelRun, cpu: int, there: Callable[[], bool]) -> None:
    """Let a CPU act until something is so."""
    for _ in range(200):
        if there():
            return
        run.step(cpu)
    raise AssertionError("it never is")


def at_access(run: KernelRun) -> None:
    """Bring the user to the access that is still to be made."""
    until(run, USER, lambda: run.machine.steps[USER][0] is Op.TOUCH)


def removes(run: KernelRun) -> None:
    """Let the other CPU clear the entry, or take W from it."""
    until(run, REMOVER, lambda: entry(run) & (P | W) != P | W)


def walks(run: KernelRun) -> list[int]:
    """Walks that can come by themselves."""
    return [actor for actor in run.enabled() if actor >= 6 * run.n]


def test_a_write_is_two_steps_the_update_and_the_access() -> None:
    run = build("write-against-remove")()
    at_access(run)
    assert not entry(run) & (A | D)
    run.step(USER)
    assert entry(run) & (A | D) == A | D
    assert not run.state.outcomes
    removes(run)  # comes between the two
    assert run.judge.modified.modified
    run.step(USER)
    until(run, USER, lambda: "b" in run.state.done)
    assert run.state.outcomes == ["b:write 0.1=fault"]


def test_an_entry_that_is_gone_gets_no_bits() -> None:
    """The locked look decides: what was there when the access began does not count."""
    run = build("write-against-remove")()
    at_access(run)
    removes(run)
    before = entry(run)
    run.step(USER)
    assert entry(run) == before == 0


def test_a_page_that_may_no_longer_be_written_does_not_get_d() -> None:
    run = build("write-against-protect")()
    at_access(run)
    removes(run)
    run.step(USER)
    assert not entry(run) & D


def test_nothing_is_cached_before_a_is_set() -> None:
    run = build("read-against-remove")()
    at_access(run)
    registers = run.machine.kernel.cpus[USER].cpu
    cache = run.machine.caches[USER]
    assert not cache.at(registers.pcid, run.litmus.va(0, 0))
    run.step(USER)
    assert [held.write for held in cache.at(registers.pcid, run.litmus.va(0, 0))] == [False]


@pytest.mark.parametrize("early", [False, True])
def test_a_walk_by_itself_makes_the_difference_of_a_shootdown(early: bool) -> None:
    """Nobody has used the page: only if a walk sets A before the entry is cleared is the other CPU sent the IPI."""
    run = build("write-against-remove")()
    until(run, REMOVER, lambda: bool(walks(run)))
    if early:
        run.step(walks(run)[0])
        assert entry(run) & (A | D) == A
    removes(run)
    assert bool(walks(run)) is not early  # one that did not come in time still comes, and does nothing
    sent = False
    for _ in range(100):
        if "a" in run.state.done or VECTOR_TLB in run.machine.apics[USER].pending or REMOVER not in run.enabled():
            break
        run.step(REMOVER)
    sent = VECTOR_TLB in run.machine.apics[USER].pending
    assert sent is early


# --- agreement --------------------------------------------------------------------------------------------------------


def reads_one() -> Callable[[], KernelRun]:
    """As ``read-against-remove``, with one page to remove."""
    litmus = find("read-against-remove")
    remover, user = litmus.lwps
    ops = (remover.ops[0]._replace(pages=1),)
    litmus = replace(litmus, lwps=(replace(remover, ops=ops), user), unused=frozenset({("A", 0, 0)}))
    return lambda: KernelRun(litmus, "svs-netbsd9", tso=False)


@pytest.mark.parametrize(
    "make",
    [
        reads_one(),
        build("write-against-remove", "svs-netbsd8", tso=True),
        build("write-against-protect", "svs-netbsd10"),
        build("write-against-replace"),
        build("write-against-page-remove"),
    ],
    ids=["read-remove", "write-remove", "write-protect", "write-replace", "write-page-remove"],
)
def test_strategies_agree(make: Callable[[], KernelRun]) -> None:
    """The states at all ends, with A and D in tables and what may be cached, are those of every order."""
    mark = Fingerprint().of
    ends: tuple[set[bytes], ...] = (set(), set(), set(), set())
    reduced = StateSearch(make, mark, ended=lambda run: ends[0].add(mark(run))).explore()
    whole = StateSearch(make, mark, ended=lambda run: ends[1].add(mark(run)), reduce=False).explore()
    by_orders = explore(make, Dpor(), Budget(), lambda run: ends[2].add(mark(run)))
    by_chance = explore(make, Pct(1, 60), Budget(), lambda run: ends[3].add(mark(run)))
    assert reduced.exhausted
    assert whole.exhausted
    assert by_orders.exhausted
    assert reduced.broken is whole.broken is by_orders.broken is by_chance.broken is None
    assert ends[0] == ends[1] == ends[2]
    assert len(ends[0]) > 1
    assert 1 < len(ends[3] & ends[0]) == len(ends[3])
    assert reduced.states < whole.states


@pytest.mark.parametrize("name", ["write-against-remove", "write-against-protect"])
def test_nothing_is_missed_by_walks_that_come_at_a_look(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether they come there or at any time: the same ends, but for whether A is set in an entry nobody looks at."""

    def ends() -> set[Hashable]:
        found: set[Hashable] = set()
        make = build(name)

        def ended(run: KernelRun) -> None:
            entries = run.machine.caches[USER].entries
            held = frozenset((at, one._replace(walked=True)) for at, all_there in entries.items() for one in all_there)
            found.add((*run.state.outcomes, frozenset(run.judge.modified.modified), entry(run) & ~A, held))

        out = StateSearch(make, Fingerprint().of, ended=ended, reduce=False).explore()
        assert out.exhausted
        return found

    looks = ends()
    monkeypatch.setattr(Walkers, "due", lambda self: sorted(self.machine.walks.waiting))
    assert ends() == looks


@pytest.mark.parametrize("strategy", ["dpor", "states", "pct"])
@pytest.mark.parametrize("name", ["dirty-judged-before-zap", "protection-loses-first-write"])
def test_strategies_find_a_lost_bit(name: str, strategy: str) -> None:
    plant = find_plant(name)
    budget = Budget(executions=3000)
    result = check(Request(find(plant.litmus), plant.profile, plant.memory, (plant.patch,), strategy, budget, seed=1))
    assert result.counterexample is not None
    assert result.counterexample.broken.invariant == "modified-kept"


@pytest.mark.parametrize("verb", ["remove", "page-remove", "protect", "replace"])
def test_what_was_written_is_judged_wherever_an_entry_goes(verb: str) -> None:
    result = check(Request(find(f"write-against-{verb}"), "none", strategy="pct", runs=6))
    assert result.premises["modified-kept"] > 0


def test_what_was_written_before_is_judged_too() -> None:
    """Pages that were written before have D from the start: no walk sets it, and nobody may lose it."""
    litmus = replace(find("write-against-remove"), unused=frozenset())
    result = check(Request(litmus, "none", strategy="pct", runs=6))
    assert result.premises["stale-use"] > 0
    assert result.premises["modified-kept"] > 0
