"""What is made once more on the way back is what was made: executions with a script are those without."""

from __future__ import annotations

import random
from dataclasses import astuple
from typing import Any

import pytest

from scenarios.litmus_reader import find
from sim.explore.again import Script
from sim.explore.driver import interrupts
from sim.explore.explorer import Budget
from sim.explore.fingerprint import Fingerprint
from sim.explore.model import Broken
from sim.explore.run import KernelRun
from sim.explore.stateful import StateSearch

PROGRAMS = (
    ("two-shootdowns-three-cpus", "svs-netbsd9", True),
    ("exec-lazy-elsewhere", "svs-netbsd9", True),
    ("munmap-against-mremap", "pti", True),
    ("kernel-page-reused", "svs-netbsd8", False),
    ("nmi-in-entry", "svs-netbsd9", True),
    ("fork-write", "svs-netbsd10", True),
    ("write-against-page-remove", "svs-netbsd10", True),
    ("disable", "svs-netbsd8", True),
    ("two-removers", "svs-2018-02", True),  # breaks what is muted below
)
MUTED = ("removed-by-others",)


def random_choices(run: KernelRun, choices: random.Random, most: int) -> list[int]:
    """Make transitions at random."""
    made: list[int] = []
    while len(made) < most and (able := run.enabled()):
        made.append(choices.choice(able))
        run.step(made[-1])
    return made


def numbers_of(run: KernelRun) -> list[Any]:
    """What no fingerprint has of a state, and must be the same all the same."""
    machine, judge = run.machine, run.judge
    names = {id(words): at for at, words in enumerate(machine.mem.held)}
    numbers = sorted((names[table], index, number) for (table, index), number in machine.walks._numbers.items())
    allowed = judge.user_mode.tables._allowed
    return [numbers, allowed, machine.serial, machine.mem.births, sorted(judge.locks._order), machine.mem.frees]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_an_execution_that_goes_on_from_a_script_is_the_plain_one(program: tuple[str, str, bool]) -> None:
    litmus, choices = find(program[0]), random.Random(program[0])
    script, mark = Script(), Fingerprint()

    def made(**more: Any) -> KernelRun:
        return KernelRun(litmus, program[1], tso=program[2], muted=MUTED, **more)

    path = random_choices(made(script=script), choices, 250)
    for _ in range(5):
        at = choices.randrange(len(path) // 4, len(path))
        quick, plain = made(script=script), made()
        assert script.begins(path[:at]) is not None
        quick.follow(path[:at])
        plain.follow(path[:at])
        assert mark.of(quick) == mark.of(plain)
        assert numbers_of(quick) == numbers_of(plain)
        path = path[:at]
        for _ in range(40):
            assert quick.enabled() == plain.enabled()
            assert quick.waits() == plain.waits()
            if not plain.enabled():
                break
            path.append(choices.choice(plain.enabled()))
            assert quick.step(path[-1]) == plain.step(path[-1])
        assert mark.of(quick) == mark.of(plain)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0])
def test_a_search_with_a_script_is_the_plain_one(program: tuple[str, str, bool]) -> None:
    litmus = find(program[0])
    found: list[Any] = []
    for more in ({}, {"script": Script()}):
        premises: list[Any] = []
        noted: list[Broken] = []
        search = StateSearch(
            lambda more=more, noted=noted: KernelRun(  # type: ignore[misc]
                litmus, program[1], tso=program[2], muted=MUTED, noted=noted.append, **more),
            Fingerprint().of, fresh=lambda run: run.judge.tally.premises.clear(),
            left=lambda run, premises=premises: premises.append(dict(run.judge.tally.premises)),  # type: ignore[misc]
            insistent=interrupts(litmus.cpus), muted=MUTED,
        )  # fmt: skip
        out = search.explore(Budget(states=150))
        out.last = None
        found.append((astuple(out), premises, noted[:1], list(search.states.number), search.states.next))
    assert found[0] == found[1]
    assert found[0][0]


def test_a_script_of_other_choices_is_not_used() -> None:
    litmus, script = find("two-loads"), Script()
    run = KernelRun(litmus, "svs-netbsd9", tso=False, script=script)
    path = random_choices(run, random.Random(1), 12)
    assert script.begins(path) is not None
    assert script.begins([*path, 0]) is None
    assert script.begins([1 - path[0], *path[1:]]) is None
    other = KernelRun(litmus, "svs-netbsd9", tso=False, script=script)
    other.follow([1 - path[0]])
    assert [actor for actor, *_ in script.made] == [1 - path[0]]
