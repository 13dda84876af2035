"""One CPU as the parts of its simulation see it."""

from __future__ import annotations

from typing import Any

from sim.hardware.cpu import Cpu
from sim.hardware.tlb import Tlb
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.lwp import Lwp


class Core:
    """Registers, and what runs.

    Attributes:
        lwp: whose steps run now.
        value: what the last step hands back to it.
        debt: where the fast engine adds what it owes (:mod:`sim.timed.debts`).
        slow: how often something was not made in the short way, so that more than time may have changed.
        copies: how often user slots were copied as one (:mod:`sim.timed.slot_copies`).
        walks: steps of the fast engine with page walks in them.
        refilled: cycles for translations that the second-level TLB knew, in the fast engine.
    """

    __slots__ = ("ci", "copies", "cpu", "debt", "index", "lwp", "refilled", "slow", "value", "walks")

    def __init__(self, ci: CpuInfo) -> None:
        self.ci = ci
        self.cpu: Cpu[Tlb] = ci.cpu
        self.index = ci.ci_index
        self.lwp: Lwp = ci.ci_curlwp
        self.value: Any = None
        self.slow = 0
        self.copies = 0
        self.walks = 0
        self.refilled = 0
        self.debt = [0]  # of the idle LWP, which owes nothing
