"""Each kind of step is handled by both drivers."""

from __future__ import annotations

import pytest

from sim.explore.effects import DO
from sim.hardware.steps import Op
from sim.kernel.designs import make_design
from sim.kernel.program import Workload
from sim.timed.amounts import Amounts
from sim.timed.costs import load_costs
from sim.timed.machine import TimedMachine
from sim.timed.quick_steps import lasts


def made(fast):
    return TimedMachine(
        Workload("none", 1, []), make_design("none"), load_costs("haswell"), 1, Amounts(), fast=fast
    ).cpus[0]


@pytest.fixture(scope="module")
def cpus():
    return made(fast=False), made(fast=True)


@pytest.mark.parametrize("op", Op, ids=lambda op: op.name)
def test_it_passes_at_once_or_lasts_and_has_an_effect(op, cpus):
    plain, fast = cpus
    assert (plain.quick.handlers[op] is lasts) == (plain.lasting[op] is not None)
    assert (fast.lasting[op] is None) == (plain.lasting[op] is None)
    assert (fast.quick.handlers[op] is lasts) == (op in (Op.WAIT, Op.HALT, Op.MWAIT))  # others may pass at once there
    assert DO[op] is not None
    assert len(DO) == len(plain.lasting) == len(plain.quick.handlers) == len(Op)
