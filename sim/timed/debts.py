"""What LWPs owe: cycles that the model charged and that a recorded duration contains already."""

from __future__ import annotations

from typing import Protocol

from sim.kernel.lwp import Lwp


class Payments(Protocol):
    """What each stretch pays, by its LWP's key: :class:`sim.timed.amounts.Amounts`, for instance.

    Attributes:
        unpaid: debts that no recorded stretch could pay (set when the run has ended).
    """

    unpaid: int

    @property
    def total(self) -> int:
        """The sum of all payments, cycles."""

    def append(self, key: str, amount: int, /) -> None:
        """Note what a stretch paid."""

    def close(self, key: str, /) -> object:
        """The LWP has exited: nothing more comes from it."""

    def finish(self) -> None:
        """The run has ended."""


class PaymentReader(Protocol):
    """Reads the payments of a baseline in the order in which each LWP made them."""

    @property
    def total(self) -> int:
        """The sum of all payments, cycles."""

    @property
    def unpaid(self) -> int:
        """Debts of the baseline that no recorded stretch could pay, cycles."""

    def next(self, key: str, /) -> int:
        """The LWP's next payment; 0 beyond the last."""


class Debts:
    """Debts by LWP, and their payment out of recorded stretches.

    Attributes:
        deductions: what each stretch paid, written in the baseline's run.
        replay: None in the baseline's run; in the profile's it reads the deductions that the baseline wrote.
        owed: cycles that each LWP owes, by its key, in a cell that whoever charges it may keep.
        unpaid: what LWPs that exited could not pay.
    """

    def __init__(self, deductions: Payments) -> None:
        self.deductions = deductions
        self.replay: PaymentReader | None = None
        self.owed: dict[str, list[int]] = {}
        self.unpaid = 0

    def cell(self, lwp: Lwp) -> list[int]:
        """Where to add what the LWP owes; in the profile's run, and for the system's own LWPs, it leads nowhere."""
        if self.replay is not None or lwp.l_system:
            return [0]
        return self.owed.setdefault(lwp.key, [0])

    def owe(self, lwp: Lwp, cycles: int) -> None:
        """The model charged *cycles* that a recorded duration contains already (asked for in the baseline's run)."""
        self.owed.setdefault(lwp.key, [0])[0] += cycles

    def deduct(self, lwp: Lwp, cycles: int) -> int:
        """Pay what the LWP owes out of this stretch; the same amount in every run of the pair."""
        if self.replay is not None:
            return cycles - self.replay.next(lwp.key)
        cell = self.owed.get(lwp.key)
        if cell is None:
            cell = self.owed[lwp.key] = [0]
        owed = cell[0]
        paid = owed if owed < cycles else cycles
        cell[0] = owed - paid
        self.deductions.append(lwp.key, paid)
        return cycles - paid

    def close(self, lwp: Lwp) -> None:
        """The LWP exits; what it still owes can no longer be taken out."""
        self.unpaid += self.owed.pop(lwp.key, [0])[0]
        if self.replay is None:
            self.deductions.close(lwp.key)
