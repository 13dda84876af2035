"""What LWPs owe: cycles that the model charged and that a recorded duration contains already."""

from __future__ import annotations

from sim.kernel.lwp import Lwp
from sim.timed.amounts import AmountReader, Amounts


class Debts:
    """Debts by LWP, and their payment out of recorded stretches.

    Attributes:
        deductions: what each stretch paid, written in the baseline's run and read in the profile's.
        replay: None in the baseline's run; in the profile's it reads the deductions that the baseline wrote.
        owed: cycles that each LWP owes, by its key, in a cell that whoever charges it may keep.
        unpaid: what LWPs that exited could not pay.
    """

    def __init__(self, deductions: Amounts) -> None:
        self.deductions = deductions
        self.replay: AmountReader | None = None
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
        cell = self.owed.setdefault(lwp.key, [0])
        paid = min(cell[0], cycles)
        cell[0] -= paid
        self.deductions.append(lwp.key, paid)
        return cycles - paid

    def close(self, lwp: Lwp) -> None:
        """The LWP exits; what it still owes can no longer be taken out."""
        self.unpaid += self.owed.pop(lwp.key, [0])[0]
        if self.replay is None:
            self.deductions.close(lwp.key)
