"""What a program is known to violate does not keep anything else from being judged."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path

import pytest

from scenarios.litmus_reader import find, read
from sim.errors import InputError
from sim.explore.check import builder, check
from sim.explore.explorer import Budget, explore
from sim.explore.plants import find as find_plant
from sim.explore.request import Request
from sim.explore.run import KernelRun
from sim.explore.strategies.dpor import Dpor

OWN = """
says = "Own."
cpus = 1
slots = 1
[pmaps]
A = ["0.0"]
[[lwps]]
name = "a"
pmap = "A"
cpu = 0
ops = ["block never"]
[expect]
violates = {violates}
"""


def test_another_violation_is_found_behind_the_expected_one() -> None:
    """The walk through a freed table comes first in every order in which it comes; the leak is seen at the end."""
    litmus, budget = find("free-against-switch"), Budget(executions=60)
    known = check(Request(litmus, "svs-netbsd8", "sc", (), "pct", budget))
    assert known.counterexample is not None
    assert known.counterexample.broken.invariant == "freed-walk"
    assert known.premises["pages"] > 0
    patches = (find_plant("table-page-leaked").patch,)
    found = check(Request(litmus, "svs-netbsd8", "sc", patches, "pct", budget)).counterexample
    assert found is not None
    assert found.broken.invariant == "pages"


def test_a_dead_machine_ends_one_execution_and_not_the_exploration() -> None:
    """An NMI on user tables is a triple fault; where it lands elsewhere the program comes to its end."""
    build = builder(Request(find("nmi-in-entry"), "svs-netbsd8", "sc"), KernelRun)
    assert explore(build, Dpor(), Budget(executions=50)).broken is not None
    muted = partial(build, muted=("kernel-mapped",))
    ended: list[bool] = []
    out = explore(muted, Dpor(), ended=lambda run: ended.append(run.machine.dead))
    assert out.broken is None
    assert out.exhausted
    assert set(ended) == {True, False}


@pytest.mark.parametrize(
    ("name", "profile", "strategy"),
    [
        ("nmi-in-entry", "svs-netbsd8", "dpor"),  # the kernel comes to a dead end
        ("kernel-page-freed", "pti", "auto"),  # a judge finds it
        ("kernel-page-freed", "pti", "states"),
        ("free-against-switch", "svs-netbsd8", "pct"),
        ("steal-past-bound", "pti", "states"),  # a circle of states
    ],
)
def test_what_is_said_of_the_expected_one_is_what_there_was_when_it_broke(
    name: str, profile: str, strategy: str
) -> None:
    litmus = find(name)
    budget = Budget(executions=60) if strategy == "pct" else Budget(states=1500)
    request = Request(litmus, profile, "sc", (), strategy, budget)
    known, unknown = check(request), check(replace(request, litmus=replace(litmus, violates={})))
    assert unknown.counterexample is not None
    assert known.counterexample == unknown.counterexample
    of_both = attrgetter(
        "verdict", "strategy", "executions", "abandoned", "steps", "states", "depth", "first_violation", "switches"
    )
    assert of_both(known) == of_both(unknown)
    assert sum(known.premises.values()) > sum(unknown.premises.values())


def test_several_invariants_can_be_expected(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN.format(violates='["progress", "updir-current"]'))
    litmus = read(path)
    assert litmus.violates["svs-netbsd8"] == ("progress", "updir-current")
    assert check(Request(litmus, "svs-netbsd8", "sc")).verdict == "violated"
    path.write_text(OWN.format(violates="[]"))
    with pytest.raises(InputError, match="names no invariant"):
        read(path)
