"""What is let through: flag, levels, NMIs; in either driver it is this that decides."""

import pytest

from sim.hardware.apic import Apic
from sim.hardware.cpu import (
    IPL_HIGH,
    IPL_SCHED,
    IPL_VM,
    VECTOR_DEVICE,
    VECTOR_NMI,
    VECTOR_RESCHED,
    VECTOR_TIMER,
    VECTOR_TLB,
    Cpu,
)
from sim.hardware.paging import Geometry
from sim.hardware.tlb import Tlb


def apic():
    return Apic(Cpu(0, Tlb(Geometry()), Geometry()))


@pytest.mark.parametrize(("vector", "at_level", "masked"), [
    (VECTOR_DEVICE, 0, False), (VECTOR_DEVICE, IPL_VM, True), (VECTOR_DEVICE, IPL_SCHED, True),
    (VECTOR_TIMER, IPL_VM, False), (VECTOR_TIMER, IPL_SCHED, True),
    (VECTOR_RESCHED, IPL_VM, False), (VECTOR_RESCHED, IPL_SCHED, True),
    (VECTOR_TLB, IPL_SCHED, False), (VECTOR_TLB, IPL_HIGH, False),
])  # fmt: skip
def test_interrupts_wait_for_the_flag_and_the_level(vector, at_level, masked):
    """Shootdowns are outside the levels: only the flag keeps them off.  NMIs: neither does."""
    own = apic()
    own.post(vector)
    own.cpu.ipl = at_level
    assert own.lets_through(vector) is not masked
    assert own.deliverable() == (None if masked else vector)
    own.cpu.intr = False
    assert not own.lets_through(vector)
    assert own.deliverable() is None
    own.post(VECTOR_NMI)
    assert own.lets_through(VECTOR_NMI)
    assert own.deliverable() == VECTOR_NMI
    assert vector in own.pending, "pended, not lost"


def test_an_nmi_waits_for_the_return_of_the_one_before():
    own = apic()
    own.post(VECTOR_NMI)
    own.accept(VECTOR_NMI)
    own.post(VECTOR_NMI)
    assert not own.lets_through(VECTOR_NMI)
    assert own.deliverable() is None
    own.post(VECTOR_TIMER)
    assert own.deliverable() == VECTOR_TIMER, "the handler may let others through; their return unblocks nothing"
    own.accept(VECTOR_TIMER)
    own.returned(VECTOR_TIMER)
    assert own.deliverable() is None
    own.returned(VECTOR_NMI)
    assert own.deliverable() == VECTOR_NMI


def test_what_waits_comes_in_order_of_level_shootdowns_first():
    own = apic()
    for vector in (VECTOR_DEVICE, VECTOR_TIMER, VECTOR_RESCHED, VECTOR_TLB):
        own.post(vector)
    order = []
    while (vector := own.deliverable()) is not None:
        order.append(vector)
        own.accept(vector)
    assert order == [VECTOR_TLB, VECTOR_TIMER, VECTOR_RESCHED, VECTOR_DEVICE], "of one level the first to arrive"
    assert own.pending == {}


def test_a_vector_that_arrives_twice_is_one_interrupt_that_brings_both_payloads():
    own = apic()
    own.post(VECTOR_DEVICE, (("work", 1),))
    own.post(VECTOR_DEVICE, (("work", 2),))
    assert own.accept(VECTOR_DEVICE) == (("work", 1), ("work", 2))
    assert own.deliverable() is None
