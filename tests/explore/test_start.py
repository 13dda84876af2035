"""Where exploration begins is had again in the same objects, or by booting once more where that is not known."""

from __future__ import annotations

import random
from dataclasses import astuple
from typing import Any

import pytest
from patching import edit

from scenarios.litmus_reader import find, shipped
from sim.explore.again import Script
from sim.explore.check import check
from sim.explore.driver import interrupts
from sim.explore.explorer import Budget
from sim.explore.fingerprint import Fingerprint
from sim.explore.patches import Patch
from sim.explore.patches.kernel import Kernel, patched
from sim.explore.plants import find as plant
from sim.explore.request import Request
from sim.explore.run import KernelRun
from sim.explore.stateful import StateSearch
from sim.kernel.designs import PROFILES

NAMES = shipped()
# All of them change what there is before exploration begins, or the way there.
OF_BOOT = ("entry-page-for-user", "text-user-too-long", "redzone-in-use", "image-stays-global", "first-context-kept")
# The idle loop keeps a list that others can reach, too: no other can take its place.
SHARES = edit(
    "    ci = lwp.l_cpu\n    while True:\n        wanted = yield load(ci.ci_want_resched",
    "    ci = lwp.l_cpu\n    mine = k.channels[f'idle/{ci.ci_index}'] = [k]\n    while mine:\n"
    "        wanted = yield load(ci.ci_want_resched",
    "sim/kernel/ctxswitch.py",
)

# An interrupt that is left half-way is counted out only once its generator goes, in the next execution.
ENDS = edit(
    "def interrupt(",
    "def interrupt(k, lwp, vector, payload):\n    k.ticks += 1\n    try:\n"
    "        yield from _interrupt(k, lwp, vector, payload)\n    finally:\n        k.ticks -= 1\n\n\ndef _interrupt(",
    "sim/kernel/traps.py",
)
# Each boot begins this count again, which is in no object of the kernel.
COUNTS = edit(
    "def interrupt(",
    "COUNT = [0]\n\n\ndef interrupt(k, lwp, vector, payload):\n    COUNT[0] += 1\n    k.ticks = COUNT[0]\n"
    "    yield from _interrupt(k, lwp, vector, payload)\n\n\ndef _interrupt(",
    "sim/kernel/traps.py",
) + edit(
    "        self.ticks = 0\n",
    "        self.ticks = 0\n        from sim.kernel import traps\n        traps.COUNT[0] = 0\n",
    "sim/kernel/kernel.py",
)


def go_on(run: KernelRun, choices: random.Random) -> None:
    """Some transitions at random."""
    for _ in range(choices.randrange(60)):
        able = run.enabled()
        if not able:
            break
        run.step(choices.choice(able))


@pytest.mark.parametrize("at", range(0, len(NAMES), 4))
def test_it_is_where_booting_leads_to(at: int) -> None:
    litmus, profile, script = find(NAMES[at]), list(PROFILES)[at // 4 % len(PROFILES)], Script()
    muted = litmus.violates.get(profile, ())
    plain, first = (KernelRun(litmus, profile, tso=True, muted=muted, **more) for more in ({}, {"script": script}))  # type: ignore[arg-type]
    go_on(first, random.Random(at))
    mark = Fingerprint()
    for seed in range(3):
        run = KernelRun(litmus, profile, tso=True, muted=muted, script=script)
        assert script.start is not None
        assert run.machine is not first.machine
        assert mark.of(run) == mark.of(plain)
        assert run.enabled() == plain.enabled()
        go_on(run, random.Random(seed))


def searched(kernel: Kernel, name: str, profile: str, *, tso: bool, script: Script | None) -> tuple[Any, ...]:
    """What a search finds: its outcome, and the states in the order in which it met them."""
    litmus = find(name)
    search = StateSearch(
        lambda: kernel.run(litmus, profile, tso=tso, script=script), kernel.fingerprint().of,
        insistent=interrupts(litmus.cpus),
    )  # fmt: skip
    out = search.explore(Budget(states=300))
    out.last = None
    return astuple(out), list(search.states.number), search.states.next


@pytest.mark.parametrize("name", OF_BOOT)
def test_a_search_in_a_patched_kernel_is_the_plain_one(name: str) -> None:
    planted = plant(name)
    with patched((planted.patch,)) as kernel:
        script = Script()
        cell = kernel, planted.litmus, planted.profile
        plain, quick = (searched(*cell, tso=planted.memory == "tso", script=more) for more in (None, script))
    assert plain == quick
    assert script.executions < 2 or script.start is not None


def test_where_it_is_not_known_how_kernels_are_booted() -> None:
    with patched((Patch("shares", SHARES),)) as kernel:
        script = Script()
        plain, quick = (searched(kernel, "two-loads", "svs-netbsd9", tso=True, script=more) for more in (None, script))
    assert plain == quick
    assert script.executions > 2
    assert script.start is None


@pytest.mark.parametrize("diff", [ENDS, COUNTS])
def test_a_patched_kernel_boots_for_each_execution(diff: str) -> None:
    """What it keeps where nobody looks, and what it does when it is dropped, is of one execution alone."""
    patch = Patch("odd", diff)
    with patched((patch,)) as kernel:
        plain = searched(kernel, "quantum", "svs-netbsd9", tso=True, script=None)
    result = check(Request(find("quantum"), "svs-netbsd9", "tso", patches=(patch,), strategy="states"))
    assert (result.verdict, result.states) == ("holds", len(plain[1]))
