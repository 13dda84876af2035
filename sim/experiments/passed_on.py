"""What a baseline's stretches pay, passed on to the profile's run in another process while both go on.

The reader never waits for the writer to come to an end, and the writer never for the reader: what arrives before it is
asked for goes to a file.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from sim.timed.amounts import Amounts

BATCH = 1024  # payments, and exits of LWPs, in a message
LOOK = 1024  # payments between two looks at what has arrived
MISSING = -1

if TYPE_CHECKING:
    Message = tuple[dict[str, array[int]], list[str], tuple[int, int] | None]


class Sent:
    """The writing end: payments of the baseline's run, as its debts make them.

    A reader that has failed does not end the baseline's run, whose own failure is to be reported first.

    Attributes:
        total, unpaid: as :class:`sim.timed.debts.Payments` has them.
        paid: whether anything was: of a behaviour, whose reader asks for nothing and makes no room, nothing is sent.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._batch: dict[str, array[int]] = {}
        self._closed: list[str] = []
        self._count = 0
        self.paid = False
        self.total = 0
        self.unpaid = 0

    def append(self, key: str, amount: int, /) -> None:
        """Note what a stretch paid."""
        payments = self._batch.get(key)
        if payments is None:
            payments = self._batch[key] = array("q")
        payments.append(amount)
        self.total += amount
        self.paid = True
        self._more()

    def close(self, key: str, /) -> None:
        """The LWP has exited: nothing more comes from it."""
        if self.paid:
            self._closed.append(key)
            self._more()

    def _more(self) -> None:
        self._count += 1
        if self._count >= BATCH:
            self.finish()

    def finish(self, end: tuple[int, int] | None = None) -> None:
        """Send what is held, and with it the *end*, if it is known."""
        message: Message = (self._batch, self._closed, end)
        with suppress(BrokenPipeError):
            self._connection.send(message)
        self._batch, self._closed, self._count = {}, [], 0

    def end(self) -> None:
        """The run is over, and its sums are known."""
        self.finish((self.total, self.unpaid))


class Received:
    """The reading end, for the profile's run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._amounts = Amounts()
        self._reader = self._amounts.reader()
        self._closed: set[str] = set()
        self._end: tuple[int, int] | None = None
        self._asked = 0

    def next(self, key: str, /) -> int:
        """The LWP's next payment, once the baseline has come so far; 0 beyond the last."""
        self._asked += 1
        if self._asked % LOOK == 0:  # what the writer has sent makes room for more, needed or not
            while self._end is None and self._connection.poll():
                self._receive()
        while (amount := self._reader.next(key, MISSING)) == MISSING:
            if self._amounts.close(key):
                continue
            if self._end is not None or key in self._closed:
                return 0
            self._receive()
        return amount

    def _receive(self) -> None:
        """Take one message, waiting for it."""
        message: Message = self._connection.recv()
        batch, closed, self._end = message
        for key, payments in batch.items():
            self._amounts.extend(key, payments)
        self._closed.update(closed)

    def _sums(self) -> tuple[int, int]:
        """The baseline's sums, once it has ended."""
        while self._end is None:
            self._receive()
        return self._end

    @property
    def total(self) -> int:
        """The sum of all payments, cycles."""
        return self._sums()[0]

    @property
    def unpaid(self) -> int:
        """Debts of the baseline that no recorded stretch could pay, cycles."""
        return self._sums()[1]
