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


@pytest.fixture(scope="module")
def cpu():
    return TimedMachine(
        Workload("none", 1, []), make_design("none"), load_costs("haswell"), 1, Amounts(), fast=True
    ).cpus[0]


@pytest.mark.parametrize("op", Op, ids=lambda op: op.name)
def test_it_passes_at_once_or_lasts_and_has_an_effect(op, cpu):
    assert (cpu.quick.handlers[op] is None) != (cpu.lasting[op] is None)
    assert DO[op] is not None
    assert len(DO) == len(cpu.lasting) == len(Op)
