"""Mutants by rule: each is a diff that applies, has a name of its own, and is looked for where its lines run."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent.parent / "tools"
sys.path.insert(0, str(TOOLS))

import hunt  # noqa: E402
import mutants  # noqa: E402
import mutation  # noqa: E402
import reached  # noqa: E402
import sampling  # noqa: E402

from sim.explore.patches import Patch, sources  # noqa: E402

ALL = mutation.mutants()


def of(name: str) -> list[mutation.Mutant]:
    """The mutants of a procedure."""
    return [mutant for mutant in ALL if mutant.key.startswith(name)]


def test_each_has_a_key_of_its_own_and_equivalent_ones_are_there() -> None:
    """A mutant that has gone with its lines must not stay listed as equivalent."""
    keys = [mutant.key for mutant in ALL]
    assert len(set(keys)) == len(keys) > 500
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
    """A bug that the program for it finds; one beside what runs, and one far from it."""
    cells = [reached.reached(name, "svs-netbsd8") for name in ("remove-page", "wake-across")]
    [drop] = [mutant for mutant in of("shootdown2018 intr drop") if "-        yield rmw" in mutant.diff]
    assert [cell.litmus for cell in hunt.dealt(drop, cells)] == ["remove-page"]
    fate = hunt.fate(drop, hunt.dealt(drop, cells))
    assert (fate.verdict, fate.how) == ("found", "progress")
    [nmi] = of("traps interrupt drop")[:1]
    assert not any(cell.lines & set(nmi.lines) for cell in cells)
    assert [cell.litmus for cell in hunt.dealt(nmi, cells)] == ["remove-page"]
    assert hunt.dealt(of("contexts switch drop")[0], cells) == []
    assert hunt.fate(nmi, []).verdict == "unreached"


def test_samples_are_disjoint_and_have_their_share_of_every_procedure() -> None:
    parts = [sampling.sample(ALL, number, 5, 7) for number in range(1, 6)]
    keys = [mutant.key for part in parts for mutant in part]
    assert sorted(keys) == sorted(mutant.key for mutant in ALL)
    of = Counter(mutant.procedure for mutant in ALL)
    for part in parts:
        mine = Counter(mutant.procedure for mutant in part)
        assert all(abs(mine[procedure] - count / 5) < 1 for procedure, count in of.items())
    assert sampling.sample(ALL, 1, 5, 7) == parts[0] != sampling.sample(ALL, 1, 5, 8)


def test_what_a_sample_says_of_all() -> None:
    assert sampling.interval(13, 15) == pytest.approx((0.595, 0.983), abs=0.001)
    assert sampling.interval(0, 4) == pytest.approx((0.0, 0.602), abs=0.001)
    assert sampling.interval(4, 4)[1] == 1.0


def test_a_diff_of_ones_own_is_looked_for_where_it_changes_something(tmp_path: Path) -> None:
    path = tmp_path / "mine.diff"
    path.write_text("--- a/sim/kernel/x.py\n+++ b/sim/kernel/x.py\n@@ -7,3 +7,3 @@\n one\n-two\n+2\n three\n"
                    "@@ -20,2 +20,3 @@\n one\n+and\n two\n")  # fmt: skip
    assert mutation.of_diff(path).lines == (("sim/kernel/x.py", 8), ("sim/kernel/x.py", 20))
