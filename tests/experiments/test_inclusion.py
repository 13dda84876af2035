"""What is explored, and what is decided by the proof under ``tso``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scenarios.litmus_reader import find
from sim.cli import main
from sim.experiments.checks import explored
from sim.experiments.inclusion import SMALL
from sim.explore.check import Result, check
from sim.explore.explorer import Budget
from sim.explore.model import Differs
from sim.explore.plants import find as find_plant
from sim.explore.request import Request
from tools.verdicts import cell

ONE, OTHER = "svs-2018-02", "svs-netbsd8"
LITMUS = find("clean-page")
HOLDS = replace(check(Request(LITMUS, ONE, "tso")), strategy="states", states=SMALL + 1)
BROKEN = check(Request(find("nmi-in-entry"), ONE, "tso"))
Asked = list[tuple[str, str]]
Fake = Callable[..., Asked]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Have explorations under tso give a result, and note what is explored."""

    def answers(result: Result, *, differs: bool = False) -> Asked:
        asked: Asked = []

        def check(request: Request) -> Result:
            asked.append((request.memory, "+".join(filter(None, (request.profile, request.also)))))
            if request.also and differs:
                raise Differs
            return replace(result if request.memory == "tso" else replace(HOLDS, executions=7), request=request)

        monkeypatch.setattr("sim.experiments.checks.check", check)
        return asked

    return answers


def both(profile: str = ONE, **how: Any) -> list[Request]:
    """A program under both memory models."""
    return [Request(LITMUS, profile, memory, **how) for memory in ("sc", "tso")]


@pytest.mark.parametrize("how", [{}, {"mirror": True}, {"strategy": "states"}])
def test_what_holds_under_tso_is_not_explored_under_sc(fake: Fake, how: dict[str, Any]) -> None:
    proof = replace(HOLDS, assignments=2)
    asked = fake(proof)
    found = dict(explored(both(**how)))
    assert asked == [("tso", ONE)]
    assert not found[1].decided_under
    sc = found[0]
    assert (sc.request, sc.verdict, sc.exhausted, sc.decided_under) == (both(**how)[0], "holds", True, "tso")
    assert (sc.assignments, sc.strategy) == (2, "states")
    assert not any((sc.executions, sc.abandoned, sc.steps, sc.states, sc.depth, sc.seconds, sc.premises, sc.finals))


@pytest.mark.parametrize(
    "result",
    [
        BROKEN,
        replace(HOLDS, states=SMALL),
        replace(HOLDS, states=0, strategy="dpor"),
        replace(HOLDS, circles=1),
        replace(HOLDS, verdict="incomplete", exhausted=False, left_out="budget spent"),
        replace(HOLDS, verdict="crashed", exhausted=False),
    ],
)
def test_whatever_is_no_such_proof_leaves_sc_to_be_explored(fake: Fake, result: Result) -> None:
    asked = fake(result)
    found = dict(explored(both()))
    assert asked == [("tso", ONE), ("sc", ONE)]
    assert (found[0].executions, found[0].decided_under) == (7, "")


@pytest.mark.parametrize(
    ("requests", "inclusion"),
    [
        (both(), False),
        (both(patches=(find_plant("page-leaked").patch,)), True),
        ([both()[0], replace(both()[1], budget=Budget(states=9_000))], True),
        ([both()[0], replace(both()[1], litmus=find("bad-segment"))], True),
        ([both()[0], both(OTHER)[1]], True),
        ([both()[0], both(mirror=True)[1]], True),
    ],
)
def test_another_question_is_another_exploration(fake: Fake, requests: list[Request], inclusion: bool) -> None:
    asked = fake(HOLDS)
    found = dict(explored(requests, inclusion=inclusion))
    assert len(asked) == 2
    assert not found[0].decided_under


@pytest.mark.parametrize(
    "how", [{"strategy": "dpor"}, {"strategy": "pct"}, {"preemptions": 2}, {"deterministic": True}]
)
def test_what_tells_no_states_apart_decides_nothing_else(fake: Fake, how: dict[str, Any]) -> None:
    """So both can be explored at the same time."""
    asked = fake(HOLDS)
    assert [number for number, _ in explored(both(**how))] == [0, 1]
    assert asked == [("sc", ONE), ("tso", ONE)]


def test_one_exploration_decides_two_profiles_much_alike_under_both(fake: Fake) -> None:
    asked = fake(HOLDS)
    requests = [*both(), *both(OTHER)]
    found = dict(explored(requests))
    assert asked == [("tso", f"{ONE}+{OTHER}")]
    assert [found[number].request for number in range(4)] == requests
    assert [found[number].decided_under for number in range(4)] == ["tso", "", "tso", ""]


def test_profiles_much_alike_that_differ_decide_each_for_itself(fake: Fake) -> None:
    asked = fake(HOLDS, differs=True)
    found = dict(explored([*both(), *both(OTHER)]))
    assert asked == [("tso", f"{ONE}+{OTHER}"), ("tso", ONE), ("tso", OTHER)]
    assert [found[number].decided_under for number in range(4)] == ["tso", "", "tso", ""]


def test_profiles_much_alike_go_together_where_tso_decides_nothing(fake: Fake) -> None:
    asked = fake(replace(HOLDS, circles=1))
    assert len(dict(explored([*both(), *both(OTHER)]))) == 4
    assert asked == [(memory, f"{ONE}+{OTHER}") for memory in ("tso", "sc")]


def test_a_proof_that_is_kept_decides(fake: Fake, tmp_path: Path) -> None:
    """What it decides is not kept: asked for by itself, sc is explored, and then that is what there is."""
    asked, kept = fake(HOLDS), tmp_path / "cells"
    list(explored(both()[1:], kept=kept))
    found = dict(explored(both(), kept=kept))
    assert found[0].decided_under == "tso"
    assert len(asked) == len(list(kept.iterdir())) == 1
    assert not dict(explored(both(), kept=kept, inclusion=False))[0].decided_under
    assert asked == [("tso", ONE), ("sc", ONE)]
    assert not dict(explored(both(), kept=kept))[0].decided_under
    assert len(asked) == 2


def test_a_result_that_was_not_explored_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.experiments.inclusion.SMALL", 0)
    out = tmp_path / "out"
    words = ["check", "wake-across", "--profile", "svs-netbsd9", "--memory", "both", "--strategy", "states"]
    assert main([*words, "--no-mirror", "--out", str(out)]) == 0
    _, tso, sc = capsys.readouterr().out.splitlines()
    assert tso.split()[:4] == ["wake-across", "svs-netbsd9", "tso", "holds"]
    assert sc.split("  ")[-1] == "not explored: follows from tso"
    results = json.loads((out / "summary.json").read_text())["results"]
    assert [result["decided_under"] for result in results] == ["tso", None]
    assert [cell(result) for result in results] == ["holds (tso)", f"holds ({results[1]['states']:,} states)"]
    assert results[0]["executions"] == 0 < results[1]["executions"]
    assert main(["report", str(out)]) == 0
    report = (out / "report.html").read_text()
    assert "follows from tso" in report
    assert "--memory sc" not in report
    assert "wake-across wake-across" not in report
    capsys.readouterr()
    assert main([*words, "--no-mirror", "--no-inclusion", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [result["decided_under"] for result in results] == [None, None]
