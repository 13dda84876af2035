"""Every planted bug is found: all by PCT, those that somebody warned of by DPOR too, by the invariant that is named."""

from __future__ import annotations

from email.parser import HeaderParser

import pytest

from scenarios.litmus_reader import find
from sim.errors import InputError
from sim.explore import MEMORIES
from sim.explore.check import check
from sim.explore.explorer import Budget
from sim.explore.invariants import BY_NAME
from sim.explore.patches import sources
from sim.explore.patches.kernel import patched
from sim.explore.plants import FOLDER, Plant, plants
from sim.explore.plants import find as find_plant
from sim.explore.request import Request
from sim.kernel.designs import PROFILES

WARNED_OF = {
    "pm-cpus-for-pm-kernel-cpus", "no-svs-mutex", "no-second-look", "look-outside-mutex", "bit-after-copy",
    "map-ptes-keeps-bits", "sync-trusts-reactivate", "kernel-lwp-reloads-cr3", "utls-not-updated", "rsp0-not-switched",
    "rsp0-flushed-in-kernel-pcid", "kernel-pcid-flush-only", "global-kept", "ack-before-copy", "no-ack-wait",
    "mailbox-spin-masked", "table-freed-early", "recursive-to-pm-cpus-only", "last-pte-not-shot",
    "nmi-assumes-user-cr3", "kernel-interrupt-switches-cr3", "one-slot-too-many", "disable-without-barrier",
    "pm-cpus-plain-store", "pm-cpus-lost-update",
}  # fmt: skip


def test_every_file_has_a_whole_and_consistent_header() -> None:
    names = [plant.name for plant in plants()]
    assert len(set(names)) == len(names) >= 100
    assert set(names) >= WARNED_OF
    for plant, path in zip(plants(), sorted(FOLDER.iterdir()), strict=True):
        keys = HeaderParser().parsestr(path.read_text()).keys()
        assert sorted(keys) == ["breaks", "litmus", "memory", "name", "profile", "runs", "says"]
        assert path.name == f"{plant.name}.diff"
        assert plant.breaks in BY_NAME
        assert find(plant.litmus).name == plant.litmus
        assert plant.profile in PROFILES
        assert plant.memory in MEMORIES


@pytest.mark.parametrize("plant", plants(), ids=lambda plant: plant.name)
def test_it_applies(plant: Plant) -> None:
    """A hunk that does not is named with its file: mend the diff when you change the lines around it."""
    changed = sources((plant.patch,))
    assert changed
    with patched((plant.patch,)) as kernel:
        assert plant.profile in kernel.profiles


@pytest.mark.parametrize(
    ("plant", "strategy"),
    [(plant, "pct") for plant in plants()] + [(plant, "dpor") for plant in plants() if plant.name in WARNED_OF],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_planted_bug_is_found(plant: Plant, strategy: str) -> None:
    runs = 2000 if strategy == "dpor" else plant.runs
    patches, budget = (plant.patch,), Budget(executions=runs)
    result = check(Request(find(plant.litmus), plant.profile, plant.memory, patches, strategy, budget, seed=1))
    assert result.verdict == "violated"
    assert result.counterexample is not None
    assert result.counterexample.broken.invariant == plant.breaks


def test_a_plant_leaves_nothing_behind() -> None:
    plant = find_plant("no-svs-mutex")
    request = Request(find(plant.litmus), plant.profile, plant.memory, budget=Budget(executions=50))
    before = check(request)
    broken = check(Request(find(plant.litmus), plant.profile, plant.memory, (plant.patch,)))
    after = check(request)
    assert broken.verdict == "violated"
    assert before.verdict == after.verdict == "incomplete"
    assert (before.steps, before.premises) == (after.steps, after.premises)


def test_a_misspelt_plant_names_the_closest() -> None:
    with pytest.raises(InputError, match="no-svs-mutex"):
        find_plant("no-svs-mutx")
