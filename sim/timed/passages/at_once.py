"""Stretches of computing, and pages touched before them: made at once where nothing can happen meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any

from sim.hardware.steps import TOUCH, Op, Step
from sim.timed.ledger import CHARGE
from sim.timed.meter import NO_DEBT
from sim.timed.parts import Parts

PASS = len(Op)  # a step of the driver's own, [cycles, value] -> value: cycles that are charged already pass


def at_once(parts: Parts, pending: Sized, log: list[Any]) -> Callable[[Step], Step | None]:
    """What makes WORK, USER and TOUCH on one CPU as its driver would, or returns what the driver has to make.

    *log* gets the touches of a known sequence; of any other the core notes that it was not made in the short way.
    What is sent back for what is left of a TOUCH is what would be sent for all of it; None means that nothing faults.
    """
    core, clock, account = parts.core, parts.clock, parts.account
    queue, touch, known = clock.waiting(), parts.steps.handlers[TOUCH], core.cpu.tlb.known

    def make(step: Step) -> Step | None:
        if pending:
            return step
        now: int = clock._now  # type: ignore[assignment]
        if step[0] is TOUCH:
            noted = known.sequences_noted
            cycles = touch(step)
            if cycles or known.sequences_noted == noted:
                core.slow += 1
            else:
                log.append(step[2])
            if queue and queue[0][0] <= now + cycles or core.value >= 0:
                return PASS, cycles, core.value
            clock._now = now + cycles
            return None
        _, site, cycles = step
        cause, end = site.cause, now + cycles
        if queue and queue[0][0] <= end or now != account.until or cause not in NO_DEBT:
            return step
        if now >= account.window_end:
            account.close_window(now)
        account.until = clock._now = end
        account.current = cause
        tally = account.charging
        tally[cause] = tally.get(cause, 0) + CHARGE + cycles
        return None

    return make
