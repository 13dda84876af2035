"""Where the time of each shootdown went, and what its receivers spent on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sim.causes import of_phases
from sim.timed.ledger import Ledger

SENDER_CAUSES = of_phases("mailbox", "send", "local", "ack")
RECEIVER_CAUSES = of_phases("receiver")


class ShootdownStatistics:
    """Shootdowns from their beginning to the last acknowledgement."""

    def __init__(self, now: Callable[[], int], accounts: Sequence[Ledger]) -> None:
        self.now = now
        self.accounts = accounts
        self._done: list[tuple[list[object], list[int]]] = []
        self._open: dict[int, tuple[int, list[int], int, str]] = {}
        self._sent: dict[int, tuple[int, bool, list[int]]] = {}
        # Cycles that receivers spent, a cell a shootdown: of the one in the mailbox, and of the one each CPU handles.
        self._in_mailbox = [0]
        self._receiving: dict[int, tuple[list[int], int]] = {}

    def begin(self, cpu: int, pages: int, why: str) -> None:
        """Remember where the split of this shootdown's time begins."""
        self._open[cpu] = (self.now(), self.accounts[cpu].of(SENDER_CAUSES), pages, why)

    def sent(self, cpu: int, targets: int, broadcast: bool) -> None:
        """Remember how many targets there were."""
        self._in_mailbox = [0]
        self._sent[cpu] = (targets, broadcast, self._in_mailbox)

    def end(self, cpu: int) -> None:
        """Write the row; receivers may still add to its last cell."""
        begin, before, pages, why = self._open.pop(cpu)
        targets, broadcast, received = self._sent.pop(cpu, (0, False, [0]))
        split = [a - b for a, b in zip(self.accounts[cpu].of(SENDER_CAUSES), before, strict=True)]
        self._done.append(([begin, cpu, targets, broadcast, pages, why, *split, self.now() - begin], received))

    def handler_begins(self, cpu: int) -> None:
        """A handler begins; the mailbox is still the sender's, whatever it does once it is acknowledged."""
        self._receiving[cpu] = (self._in_mailbox, sum(self.accounts[cpu].of(RECEIVER_CAUSES)))

    def handler_ends(self, cpu: int) -> None:
        """Add the handler's time to the shootdown it was for, even if that has ended (acknowledged before flushed)."""
        spent, before = self._receiving.pop(cpu)
        spent[0] += sum(self.accounts[cpu].of(RECEIVER_CAUSES)) - before

    def rows(self) -> list[list[object]]:
        """Rows of the ``shootdowns`` frame."""
        return [[*row, spent[0]] for row, spent in sorted(self._done, key=lambda done: (done[0][0], done[0][1]))]
