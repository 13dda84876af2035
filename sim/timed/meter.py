"""What steps cost, and who is charged for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sim.causes import CAUSES
from sim.hardware.memory import Words
from sim.hardware.sites import unknown_site
from sim.hardware.steps import Step
from sim.kernel.hooks import Hooks
from sim.timed.clock import Clock
from sim.timed.core import Core
from sim.timed.debts import Debts

NO_DEBT = frozenset(cause.name for cause in CAUSES if not cause.debt)


class Charges(Protocol):
    """Where cycles are charged: a CPU's account."""

    @property
    def until(self) -> int:
        """When the last charge ended, cycles."""

    def charge(self, cause: str, start: int, cycles: int) -> None:
        """Charge [start, start + cycles) to *cause*."""


class Meter:
    """Charges one CPU's cycles.

    Attributes:
        account: the CPU's ledger.
        debts: what LWPs owe because a recorded duration contains such time already.
        hooks: who counts cache lines that come over.
        costs: cycles by name.
        transfer: cycles that a cache line needs to come from each CPU.
    """

    def __init__(
        self, core: Core, clock: Clock, account: Charges, debts: Debts, hooks: Hooks, costs: Mapping[str, int],
        transfer: Sequence[int],
    ) -> None:  # fmt: skip
        self.core = core
        self.clock = clock
        self.account = account
        self.debts = debts
        self.hooks = hooks
        self.costs = costs
        self.transfer = transfer

    def charge(self, cause: str, cycles: int, start: int) -> None:
        """Charge the ledger, and the LWP's debt where a recorded duration contains such time already."""
        self.account.charge(cause, start, cycles)
        if cause not in NO_DEBT:
            self.owe(cycles)

    def owe(self, cycles: int) -> None:
        """Let whoever runs pay so much out of its recorded durations."""
        if self.debts.replay is None and not self.core.lwp.l_system:
            self.debts.owe(self.core.lwp, cycles)

    def pay(self, step: Step, cycles: int, transfer: int = 0, *, after: int = 0) -> int:
        """Charge a step's own cycles to its site's cause, and those of a line's *transfer*; return the sum.

        *after*: cycles of the step that are charged already.
        """
        now = self.clock.cycle + after
        if cycles:
            try:
                cause = step[1].cause
            except AttributeError:
                raise unknown_site(step) from None
            self.charge(cause, cycles, now)
        if transfer:
            self.charge("cache-line transfer", transfer, now + cycles)
        return cycles + transfer

    def line(self, words: Words, index: int, *, write: bool) -> int:
        """Cycles until this CPU has the cache line of a word."""
        if not words.shared:
            return 0
        cpu = self.core.index
        source = words.write_miss(index, cpu) if write else words.read_miss(index, cpu)
        if source < 0:
            return 0
        self.hooks.count(self.core.ci, "cache-line transfers")
        return self.transfer[source]
