"""Sleep timers of LWPs that are quicker than their timers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from sim.kernel.lwp import Lwp
from sim.timed.clock import Clock
from sim.timed.sleep_timers import SleepTimers


def test_an_lwp_may_arm_or_exit_before_its_timer_begins() -> None:
    """Its timer begins when the clock next runs, and what it does in between must not get lost."""
    clock = Clock(fast=True)
    woken: list[tuple[int, str]] = []
    timers = SleepTimers(clock, lambda lwp: woken.append((clock.cycle, lwp.key)))
    early, gone = (cast(Lwp, SimpleNamespace(key=key)) for key in ("early", "gone"))
    for lwp in (early, gone):
        timers.add(lwp)
    timers.arm(early, 70)
    timers.remove(gone)
    clock.run(until=1000)
    assert woken == [(70, "early")]
    assert timers.armed == 0
