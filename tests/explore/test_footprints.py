"""Footprints say all that orders depend on, so that there are no hidden races, and nothing of who looks on."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from scenarios.litmus_reader import find, shipped
from sim.explore.counterexample import Watched
from sim.explore.model import Violation
from sim.explore.run import KernelRun
from sim.explore.watched import Looked, Noted
from tests.explore.hidden import hidden_races

# Fields that may be met in any order, and why it makes no difference.
HARMLESS = {
    "BornMem": "which frame is handed out is a name: frames have births, and nothing goes by addresses",
    "Lwp.l_stat": "cpu_switchto and its end only ask whether the old LWP is a zombie, mi_switch whether it may go on "
                  "running: both are up to the LWP itself; others make it runnable, which is neither",
    "Packet.why": "for statistics",
    "RwLock.holders": "each looks only whether its own LWP is among them",
    "ShootdownQueues._queues": "whoever needs a queue first makes it, and everybody finds it empty then",
}  # fmt: skip
STATISTICS = "count_request"


def not_harmless(found: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """What is left of hidden races."""
    return {
        (field, *where)
        for field, *where in found
        if field not in HARMLESS and field.partition(".")[0] not in HARMLESS and STATISTICS not in where
    }


@pytest.mark.parametrize("profile", ["svs-netbsd8", "svs-netbsd10", "pti+call-queues"])
@pytest.mark.parametrize("name", shipped())
def test_shipped_programs_have_no_hidden_races(name: str, profile: str) -> None:
    for tso, seed in ((False, 0), (True, 1), (False, 2)):
        assert not not_harmless(hidden_races(find(name), profile, tso=tso, seed=seed))


def test_fields_that_say_nothing_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Noted, "__get__", lambda self, holder, _: self._slot.__get__(holder))
    monkeypatch.setattr(Noted, "__set__", lambda self, holder, value: self._slot.__set__(holder, value))
    monkeypatch.setattr(Looked, "__get__", lambda self, holder, _: self._slot.__get__(holder))
    found = {
        field
        for name in ("exec-against-exit", "wake-preempts")
        for seed in range(12)
        for field, *_ in hidden_races(find(name), "svs-netbsd8", tso=False, seed=seed)
    }
    assert {"Process.p_nlwps", "RunQueue.count"} <= found


@pytest.mark.parametrize("name", ["wake-across", *(name for name in shipped() if find(name).uses("disable"))])
def test_to_look_at_an_execution_leaves_no_footprint(name: str) -> None:
    for seed in range(3):
        looked, plain = (KernelRun(find(name), "svs-netbsd8", tso=True, traced=traced) for traced in (True, False))
        watched, choices, done = Watched(looked), random.Random(f"{name}/{seed}"), 0
        with suppress(Violation):  # of what is declared
            while enabled := plain.enabled():
                assert watched.enabled() == enabled
                actor = choices.choice(enabled)
                footprint = plain.step(actor)
                assert watched.step(actor) == footprint
                assert looked.machine.touched.take() == []
                done += 1
        assert len(watched.steps) >= done > 10
