"""Every planted bug is found, by DPOR and by PCT, and breaks the invariant that the catalogue names."""

from __future__ import annotations

import pytest

from scenarios.litmus_reader import find
from sim.errors import InputError, ModelError
from sim.explore.check import Request, check
from sim.explore.explorer import Budget
from sim.explore.invariants import BY_NAME
from sim.explore.plants import Edit, Plant, planted, plants
from sim.explore.plants import find as find_plant

WARNED_OF = {
    "pm-cpus-for-pm-kernel-cpus", "no-svs-mutex", "no-second-look", "look-outside-mutex", "bit-after-copy",
    "map-ptes-keeps-bits", "sync-trusts-reactivate", "kernel-lwp-reloads-cr3", "utls-not-updated", "rsp0-not-switched",
    "rsp0-flushed-in-kernel-pcid", "kernel-pcid-flush-only", "global-kept", "ack-before-copy", "no-ack-wait",
    "mailbox-spin-masked", "table-freed-early", "recursive-to-pm-cpus-only", "last-pte-not-shot",
    "nmi-assumes-user-cr3", "kernel-interrupt-switches-cr3", "one-slot-too-many", "disable-without-barrier",
}  # fmt: skip


def test_the_catalogue_is_complete_and_consistent() -> None:
    names = [plant.name for plant in plants()]
    assert len(set(names)) == len(names) == 51
    assert set(names) >= WARNED_OF
    assert all(plant.breaks in BY_NAME for plant in plants())


@pytest.mark.parametrize("plant", plants(), ids=lambda plant: plant.name)
@pytest.mark.parametrize("strategy", ["dpor", "pct"])
def test_a_planted_bug_is_found(plant: Plant, strategy: str) -> None:
    runs = 2000 if strategy == "dpor" else plant.runs
    request = Request(find(plant.litmus), plant.profile, plant.memory, plant, strategy, Budget(executions=runs), seed=1)
    result = check(request)
    assert result.verdict == "violated"
    assert result.counterexample is not None
    assert result.counterexample.broken.invariant == plant.breaks


def test_a_plant_leaves_nothing_behind() -> None:
    plant = find_plant("no-svs-mutex")
    check(Request(find(plant.litmus), plant.profile, plant.memory, plant, budget=Budget(executions=5)))
    clean = check(Request(find("install-and-free"), "svs-netbsd8", "sc", budget=Budget(executions=50)))
    assert clean.verdict != "violated"


def test_an_edit_whose_line_is_gone_is_refused() -> None:
    stale = Plant("x", "kassert", "disable", "svs-netbsd8", "", (Edit("svs:svs_pdir_switch", "no such line", ""),))
    with pytest.raises(ModelError), planted(stale):
        pass


def test_a_misspelt_plant_names_the_closest() -> None:
    with pytest.raises(InputError, match="no-svs-mutex"):
        find_plant("no-svs-mutx")
