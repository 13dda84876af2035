"""A CPU's local interrupt controller: what is pending, and what the CPU lets through (SDM vol. 3, chapters 6 and 11).

Levels are NetBSD's: an interrupt waits while the CPU's level is at or above its own.  The shootdown IPI is outside that
framework, so only the interrupt flag holds it off.  An NMI knows neither flag nor level; another one waits until the
handler's IRET.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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

LEVEL_OF = {VECTOR_RESCHED: IPL_SCHED, VECTOR_TIMER: IPL_SCHED, VECTOR_DEVICE: IPL_VM}
_LEVEL = {**LEVEL_OF, VECTOR_TLB: IPL_HIGH + 1}


class Apic:
    """Interrupts of one CPU.

    Attributes:
        cpu: the registers with flag and level.
        pending: what each pending vector brings along, by vector in order of arrival.  A vector that arrives again
            before it is accepted stays one interrupt, as its bit in the APIC does.
        in_nmi: an NMI was accepted and has not returned.
    """

    __slots__ = ("cpu", "in_nmi", "pending")

    def __init__(self, cpu: Cpu[Any]) -> None:
        self.cpu = cpu
        self.pending: dict[int, list[object]] = {}
        self.in_nmi = False

    def post(self, vector: int, payload: Iterable[object] = ()) -> None:
        """An interrupt arrives."""
        self.pending.setdefault(vector, []).extend(payload)

    def lets_through(self, vector: int) -> bool:
        """Whether an interrupt of that vector could be accepted now."""
        if vector == VECTOR_NMI:
            return not self.in_nmi
        return self.cpu.intr and _LEVEL[vector] > self.cpu.ipl

    def deliverable(self) -> int | None:
        """The pending vector to accept now: the NMI, or the one of the highest level, the first of its level."""
        if VECTOR_NMI in self.pending and not self.in_nmi:
            return VECTOR_NMI
        cpu = self.cpu
        if not cpu.intr:
            return None
        found, level = None, cpu.ipl
        for vector in self.pending:
            if vector != VECTOR_NMI and _LEVEL[vector] > level:
                found, level = vector, _LEVEL[vector]
        return found

    def accept(self, vector: int) -> tuple[object, ...]:
        """The CPU takes a pending interrupt; returns what came along with it."""
        if vector == VECTOR_NMI:
            self.in_nmi = True
        return tuple(self.pending.pop(vector))

    def returned(self, vector: int) -> None:
        """The handler of that vector ended with IRET."""
        if vector == VECTOR_NMI:
            self.in_nmi = False
