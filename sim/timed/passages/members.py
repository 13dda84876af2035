"""Operations of a program as they are counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sim.hardware.known_hits import Place, Uses
from sim.kernel.program import Call, Operation, Syscall, User, Work
from sim.timed.passages.played import Played

Held = tuple[tuple[int, ...], ...]


class Member:
    """An operation that can be counted.

    Attributes:
        operation, length: one of its kind, and how long its stretch is.
        base: itself, or the one that it is a case of (:mod:`sim.timed.passages.contested`).
        follower, nexts: which came after it when one came that was not expected; which can.
        parts: the passages before and after its stretch; a call that does not compute is one passage.
        uses: what its pages are, but for contested ones.
        moves: its uses of entries of the second-level TLB: the set, and the key there.
        call: where what it takes is filed, unless a passage says so itself.
        cause: of its stretch.
        cycles: how long it takes without its stretch.
        owed, owed_after: what its LWP owes for what comes before the stretch, and after.
        times, stretches, spent: how often it has come, and with a stretch of any length, of so many cycles in all.
        last: number of the operation that was of its kind last.
        alone: whether it is one passage and of one length, so that a CPU may stand aside for it.
    """

    __slots__ = (
        "alone", "base", "call", "cause", "cycles", "follower", "last", "last_cause", "length", "moves", "nexts",
        "operation", "owed", "owed_after", "parts", "spent", "stretches", "times", "uses",
    )  # fmt: skip

    def __init__(
        self, operation: User | Syscall | None, parts: list[Played], uses: Sequence[Uses], nexts: Choice
    ) -> None:
        self.operation: Any = operation  # none is equal to None
        self.length = kind(operation)[1]
        self.base = self.follower = self
        self.nexts = nexts
        self.parts = parts
        self.uses = uses
        self.moves: list[Place] = []
        self.alone = len(parts) == 1 and not self.length
        computes = isinstance(operation, Syscall) and len(parts) > 1
        self.call = Call(operation.name, operation.number) if isinstance(operation, Syscall) and computes else None
        self.cause = "kernel work" if computes else "user work"
        self.cycles = sum(part.cycles for part in parts)
        self.owed = parts[0].owed if parts else 0
        self.owed_after = sum(part.owed for part in parts[1:])
        self.last_cause = parts[-1].passage.last if parts else ""
        self.times = self.stretches = self.spent = self.last = 0


class Choice(dict[Any, Member]):
    """The operations that can be counted next, by their kind; *find* makes one that has not been asked for yet.

    Attributes:
        held: what contested sets of the TLB hold then, each in order of use.
        before: stands for whatever came before, and is of no kind.
    """

    __slots__ = ("_find", "before", "held")

    def __init__(
        self, held: Held = (), find: Callable[[Choice, Any], Member | None] = lambda choice, key: None
    ) -> None:
        super().__init__()
        self.held = held
        self._find = find
        self.before = Member(None, [], [], self)

    def make(self, key: Any) -> Member | None:
        """One that is not there yet; None if no such operation can be counted."""
        found = self._find(self, key)
        if found is not None:
            self[key] = found
        return found


def kind(operation: Operation | None) -> tuple[Any, int]:
    """What it is but for its length, and that; None if such a one can never be counted."""
    if type(operation) is User:
        return (id(operation.touches), operation.cycles) if operation.recorded else (operation, 0)
    if type(operation) is not Syscall:
        return None, 0
    _, cycles, body, recorded, _, _ = operation
    if not body:
        return (None, 0) if recorded and cycles else (operation, 0)
    if recorded and not cycles and type(body) is tuple and len(body) == 1 and type(body[0]) is Work:
        length = body[0].cycles
        return (operation.name, operation.made_up, operation.number) if length else None, length
    return None, 0
