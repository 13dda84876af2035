"""Mutants by rule: each is a diff that applies, has a name of its own, and is looked for where its lines run."""

from __future__ import annotations

import sys
from pathlib import Path

TOOLS = Path(__file__).parent.parent.parent / "tools"
sys.path.insert(0, str(TOOLS))

import mutants  # noqa: E402
import mutation  # noqa: E402
import reached  # noqa: E402

from sim.explore.patches import Patch, sources  # noqa: E402

ALL = mutation.mutants()


def of(name: str) -> list[mutation.Mutant]:
    """The mutants of a procedure."""
    return [mutant for mutant in ALL if mutant.key.startswith(name)]


def test_each_has_a_key_of_its_own_and_equivalent_ones_are_there() -> None:
    """A mutant that has gone with its lines must not stay listed as equivalent."""
    keys = [mutant.key for mutant in ALL]
    assert len(set(keys)) == len(keys) > 600
    assert set(mutants.equivalent()) <= set(keys)
    assert all(len(reason) > 40 for reason in mutants.equivalent().values())


def test_each_rule_changes_what_it_says() -> None:
    found = {mutant.rule: mutant for mutant in of("shootdown leave_if_lazy")}
    assert set(found) == {"drop", "swap", "weaken", "wrong"}
    for rule, change in {
        "drop": "yield from ()", "weaken": "yield store(pmap.pm_cpus, 0, weakened & ~(1 << ci.ci_index)",
        "wrong": "TLBSTATE_LAZY, PmapTlbIntr.tlbstate_stale",
    }.items():  # fmt: skip
        [(_, source)] = sources((Patch(rule, found[rule].diff),)).items()
        assert source is not None
        assert change in source


def test_a_mutant_is_looked_for_where_it_runs() -> None:
    """A bug that the program for it finds; and one that no cell runs."""
    cells = [reached.reached(name, "svs-netbsd8") for name in ("remove-page", "wake-across")]
    [drop] = [mutant for mutant in of("shootdown2018 intr drop") if "-        yield rmw" in mutant.diff]
    assert [cell.litmus for cell in mutants.dealt(drop, cells)] == ["remove-page"]
    fate = mutants.fate(drop, mutants.dealt(drop, cells))
    assert (fate.verdict, fate.how) == ("found", "progress")
    [nmi] = of("traps interrupt drop")[:1]
    assert mutants.dealt(nmi, cells) == []
    assert mutants.fate(nmi, []).verdict == "unreached"
