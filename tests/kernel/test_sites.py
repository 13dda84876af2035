"""Sites: made once, told apart by identity, and with texts that mean nothing to drivers and judges."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scenarios.litmus_reader import find
from scenarios.open import open_scenario
from sim.causes import BY_NAME
from sim.errors import ModelError
from sim.explore.check import check
from sim.explore.explorer import Budget
from sim.explore.plants import find as find_plant
from sim.explore.request import Request
from sim.hardware.memory import Words
from sim.hardware.sites import SITES, Procedure, by_level, site
from sim.hardware.steps import load
from sim.kernel import pmap
from sim.kernel.crossings import Leave, SegmentFault, SyscallEntry
from sim.timed.paired import run_paired

ROOT = Path(__file__).resolve().parents[2]


def test_a_site_knows_its_procedure_and_its_cause():
    assert str(SyscallEntry.utls_rsp0) == "syscall_entry:utls rsp0"
    assert SyscallEntry.utls_rsp0.cause == "entry/exit SVS"
    assert SyscallEntry.cr3_kernel.cause == "entry/exit CR3"
    assert SegmentFault.cr3_kernel.cause == "entry/exit SVS"
    assert [made for made in SITES.values() if made.pops_frame] == [Leave.pop_frame]


def test_names_are_unique_and_causes_known():
    assert [(made.procedure, made.what) for made in SITES.values()] == list(SITES)
    assert len({str(made) for made in SITES.values()}) == len(SITES)
    assert {made.cause for made in SITES.values()} <= set(BY_NAME)


def test_no_site_is_declared_and_never_used():
    """By the names of attributes in the sources: a site that no step names is a leftover."""
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "sim").rglob("*.py")]
    declared = {name for text in files for name in re.findall(r"^    (\w+) = (?:site|by_level)\(", text, re.MULTILINE)}
    used = {name for text in files for name in re.findall(r"\b(?:at|who|[A-Z]\w+)\.(\w+)", text)}
    assert len(declared) > 150
    assert declared <= used


def test_procedures_that_share_a_group_have_sites_of_their_own():
    class Group(Procedure):
        shared = site("shared")
        level = by_level("L{}")

    class One(Group, name="test one", cause="pmap"):
        own = site("own", "idle")

    class Other(Group, name="test other", cause="scheduler"):
        shared = site("said otherwise", stack=True)

    assert (str(One.shared), One.shared.cause, One.own.cause) == ("test one:shared", "pmap", "idle")
    assert (str(Other.shared), Other.shared.stack) == ("test other:said otherwise", True)
    assert str(Other.level[4]) == "test other:L4"
    assert One.site("late") is One.site("late")


def test_a_cause_must_be_in_the_ledger_and_a_site_is_made_once():
    with pytest.raises(ModelError, match="no cause 'shedulder' in the ledger; did you mean 'scheduler'"):
        type("Misspelt", (Procedure,), {"a": site("a")}, name="test misspelt", cause="shedulder")
    with pytest.raises(ModelError, match="site test twice:a is made twice"):
        type("Twice", (Procedure,), {"a": site("a"), "b": site("a")}, name="test twice", cause="pmap")


def stray(*_args):
    """A kernel procedure whose step has no site of the registry."""
    yield load(Words("w"), 0, "pmap_activate:a text")


def test_a_step_with_an_unknown_site_is_refused_by_name(monkeypatch):
    monkeypatch.setattr("sim.kernel.ctxswitch.pmap_activate", stray)
    with pytest.raises(ModelError, match="unknown site: 'pmap_activate:a text'"):
        check(Request(find("utls-over-pmaps"), "svs-netbsd8", budget=Budget(executions=1)))
    with pytest.raises(ModelError, match="unknown site: 'pmap_activate:a text'"):
        charges()


def charges():
    """The ledger of a short run under SVS."""
    scenario = open_scenario("null-syscall", overrides={"group.0.iterations": 20})
    pair = run_paired(
        scenario.source, profile="svs-netbsd9", baseline="none", pcid=None, cpus=1, costs=scenario.costs, seed=1
    )
    return pair.profile.ledger


def verdicts():
    """What programs come to that fault at the frame's pop, have NMIs, and use the kernel's stack on user tables."""
    budget = Budget(executions=40)
    results = [
        check(Request(find(name), profile, patches=(find_plant(plant).patch,) if plant else (), budget=budget))
        for name, profile, plant in (
            ("bad-segment", "svs-2018-02", ""), ("bad-segment", "svs-netbsd9", ""), ("nmi-in-entry", "svs-netbsd8", ""),
            ("rsp0-over-switches", "svs-netbsd10", "kernel-stack-too-early"),
        )
    ]  # fmt: skip
    return [
        (r.verdict, r.executions, r.steps, r.premises, r.counterexample and r.counterexample.broken.invariant)
        for r in results
    ]


def test_texts_change_neither_verdicts_nor_charges(request):
    before = verdicts(), charges()
    kept = [(made, made.procedure, made.what) for made in SITES.values()]

    def restore():
        for made, procedure, what in kept:
            object.__setattr__(made, "procedure", procedure)
            object.__setattr__(made, "what", what)

    request.addfinalizer(restore)
    for number, made in enumerate(SITES.values()):
        object.__setattr__(made, "procedure", "procedure")
        object.__setattr__(made, "what", f"stack {number}")
    assert str(Leave.pop_frame).startswith("procedure:stack")
    assert (verdicts(), charges()) == before
    assert {verdict[0] for verdict in before[0]} == {"holds", "violated"}
    assert {verdict[-1] for verdict in before[0]} == {None, "kernel-mapped", "entry-stack"}
    assert pmap.PmapActivate.ci_want_pmapload.cause == "context switch"
