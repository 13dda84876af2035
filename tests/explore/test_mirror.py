"""Programs in every assignment of roles to CPUs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scenarios.litmus_reader import find, read
from sim.cli import main
from sim.errors import InputError
from sim.experiments.checks import explored
from sim.explore.check import Result, check
from sim.explore.mirror import assignments, expected, mirrored
from sim.explore.request import Request

PROGRAM = """
says = "x"
cpus = 2
slots = 2
[pmaps]
A = ["0.0"]
B = ["0.0"]
[[lwps]]
name = "a"
pmap = "A"
cpu = 0
ops = ["{one}", "switch b"]
[[lwps]]
name = "b"
pmap = "B"
cpu = 0
ops = ["user"]
[[lwps]]
name = "c"
pmap = "A"
cpu = 1
ops = ["{other}", "switch d"]
[[lwps]]
name = "d"
pmap = "{pmap}"
cpu = 1
ops = ["user"]
"""


@pytest.mark.parametrize(
    ("one", "other", "pmap", "programs"),
    [
        ("read 0.0", "read 0.0", "B", 1),  # other names alone
        ("read 0.0", "write 0.0", "B", 2),
        ("read 0.0", "read 0.0", "A", 2),
        ("nmi 1", "nmi 0", "B", 1),
        ("nmi 0", "nmi 0", "B", 2),
        ("enter B:1.0", "enter B:1.0", "B", 1),
        ("enter 1.0", "enter B:1.0", "B", 2),
        ("enter B:1.0", "enter A:1.0", "B", 2),
    ],
)
def test_programs_that_differ_in_names_only_are_one(
    tmp_path: Path, one: str, other: str, pmap: str, programs: int
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(PROGRAM.format(one=one, other=other, pmap=pmap))
    litmus = read(path)
    found = assignments(litmus)
    assert [each.roles for each in found] == ["", "10"][:programs]
    assert len(assignments(replace(litmus, outcomes=("a:x=ok",)))) == 2  # outcomes name the LWPs


def test_roles_move_with_all_that_names_a_cpu() -> None:
    program = find("shootdown-three-cpus@120")
    first = find("shootdown-three-cpus")
    assert program == mirrored(first, (1, 2, 0))
    assert [lwp.cpu for lwp in program.lwps] == [{0: 2, 1: 0, 2: 1}[lwp.cpu] for lwp in first.lwps]
    nmi = find("nmi-in-load")
    (op,) = [op for lwp in nmi.lwps for op in lwp.ops if op.verb == "nmi"]
    (moved,) = [op for lwp in mirrored(nmi, (1, 0)).lwps for op in lwp.ops if op.verb == "nmi"]
    assert (moved.text, moved.name) == (f"nmi {1 - int(op.name)}", str(1 - int(op.name)))


@pytest.mark.parametrize("name", ["wake-across@11", "wake-across@102", "wake-across@0", "no-such@10"])
def test_what_is_no_assignment_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="does not have each CPU from 0 to 1 once|no litmus program"):
        find(name)


BROKEN = check(Request(find("nmi-in-entry@10"), "svs-2018-02"))
KNOWN = replace(BROKEN.request.litmus, violates={"svs-2018-02": ("kernel-mapped",)})
HOLDS = replace(BROKEN, verdict="holds", exhausted=True, counterexample=None, executions=10, states=3)
STOPPED = replace(HOLDS, verdict="incomplete", exhausted=False, left_out="budget spent")
BEYOND = replace(BROKEN, exhausted=False, left_out="budget spent")


@pytest.mark.parametrize(
    ("known", "each", "verdict", "count"),
    [
        (False, [HOLDS, HOLDS, HOLDS, HOLDS, HOLDS, HOLDS], "holds", 6),
        (False, [HOLDS, BROKEN], "violated", 2),  # nobody knew, so that is all to tell
        (True, [BROKEN, HOLDS, HOLDS, HOLDS, HOLDS, HOLDS], "violated", 6),  # what else may break?
        (False, [HOLDS, STOPPED], "incomplete", 2),
        (True, [BROKEN, STOPPED], "violated", 2),
        (True, [BEYOND], "violated", 1),  # the search beyond what is known was not ended
        (False, [HOLDS, HOLDS, HOLDS, HOLDS, STOPPED], "incomplete", 5),
    ],
)
def test_assignments_are_told_as_one(
    monkeypatch: pytest.MonkeyPatch, known: bool, each: list[Result], verdict: str, count: int
) -> None:
    left = list(each)
    monkeypatch.setattr("sim.explore.check._check", lambda request: left.pop(0))
    litmus = replace(find("two-removers"), violates=KNOWN.violates if known else {})
    result = check(Request(litmus, "svs-2018-02", mirror=True))
    assert (result.verdict, result.assignments, left) == (verdict, count, [])
    assert result.request.litmus is litmus
    assert result.executions == sum(one.executions for one in each)
    assert result.exhausted == all(one.exhausted for one in each)
    more = f"; {6 - count} more assignment{'s' * (count < 5)} of roles" if count < 6 else ""
    assert result.left_out.startswith("budget spent" + more) == (STOPPED in each or BEYOND in each)
    assert (result.counterexample is not None) == (verdict == "violated")


def test_sampled_schedules_are_of_every_assignment() -> None:
    result = check(Request(find("shootdown-three-cpus"), "svs-netbsd9", strategy="pct", runs=3, mirror=True))
    assert (result.executions, result.assignments) == (9, 3)
    assert result.left_out == "all but 3 sampled schedules of each assignment of roles to CPUs"


def test_what_is_kept_knows_the_assignment_that_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request(find("nmi-in-entry"), "svs-2018-02", mirror=True)
    monkeypatch.setattr("sim.experiments.checks.check", lambda request: replace(BROKEN, request=request))
    ((_, first),) = explored([request], kept=tmp_path / "cells")
    monkeypatch.setattr("sim.experiments.checks.check", None)
    ((_, again),) = explored([request], kept=tmp_path / "cells")
    assert again.counterexample == first.counterexample == BROKEN.counterexample
    assert BROKEN.counterexample is not None
    assert BROKEN.counterexample.litmus == "nmi-in-entry@10"


def test_a_program_is_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", "nmi-in-entry", "--profile", "svs-2018-02", "--json"]
    for more, assigned in (([], 2), (["--no-mirror"], 1)):
        assert main([*words, *more]) == 1
        (result,) = json.loads(capsys.readouterr().out)["results"]
        assert (result["litmus"], result["assignments"]) == ("nmi-in-entry", assigned)
        assert main(["check", "--replay", result["token"]]) == 1
        capsys.readouterr()


def test_what_one_assignment_breaks_is_declared_for_it_alone() -> None:
    """CPU 0 enters the set just after the author, CPU 1, has looked, who has its new entry in its store buffer."""
    litmus = find("switch-pmaps")
    turned = mirrored(litmus, (1, 0))
    assert litmus.violates.get("svs-netbsd9") is None
    assert turned.violates["svs-netbsd9"] == expected(litmus, "svs-netbsd9", turned.name) == ("updir-current",)
    assert expected(litmus, "svs-netbsd9", litmus.name) == ()
    found = check(Request(turned, "svs-netbsd9", "tso", strategy="pct", runs=40, seed=3))
    assert found.counterexample is not None
    assert found.counterexample.broken.invariant == "updir-current"


@pytest.mark.parametrize(("key", "says"), [("svs-netbsd9@11", "no assignment"), ("svs-netbsd@10", "unknown profile")])
def test_a_wrong_assignment_in_the_expectations_is_refused(tmp_path: Path, key: str, says: str) -> None:
    path = tmp_path / "own.toml"
    text = PROGRAM.format(one="user", other="user", pmap="B")
    path.write_text(f'{text}[expect.violates]\n"{key}" = "progress"\n')
    with pytest.raises(InputError, match=says):
        read(path)


def test_what_is_unused_makes_programs_differ(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(PROGRAM.format(one="read 0.0", other="read 0.0", pmap="B"))
    litmus = read(path)
    a, b, c, d = litmus.lwps
    litmus = replace(litmus, lwps=(a, b, replace(c, pmap="B"), replace(d, pmap="A")))
    one, both = frozenset({("A", 0, 0)}), frozenset({("A", 0, 0), ("B", 0, 0)})
    assert [len(assignments(replace(litmus, unused=unused))) for unused in (frozenset(), one, both)] == [1, 2, 1]
