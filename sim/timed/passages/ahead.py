"""The operations of a program that come next, as far as a CPU can stand aside for them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, chain, islice
from typing import Any

from sim.hardware.cpu import Cpu
from sim.kernel.program import Operation
from sim.timed.passages.holding import Relied, relied_on
from sim.timed.passages.members import Choice, Member, kind

MOST = 4096  # operations looked at in advance


class Ahead:
    """A program some of whose operations have been looked at already; *source* gives them all in order."""

    __slots__ = ("_program", "_rest", "source")

    def __init__(self, program: Iterator[Operation]) -> None:
        self._program = program
        self._rest: Iterator[Operation] = iter(())
        self.source = program

    def give_back(self, operations: list[Operation]) -> None:
        """These come next."""
        self._rest = iter([*operations, *self._rest])
        self.source = chain(self._rest, self._program)


class Stretch:
    """Operations that one CPU has before it, as many as only need to be counted.

    Attributes:
        members: what they are.
        made: how many of them are made when the CPU goes on: all, unless it is called back.
        cycles: how long these take.
        stood: whether the CPU could stand aside.
        relied: what they rely on.
    """

    def __init__(self, begin: int, first: Operation, ahead: Ahead) -> None:
        self._begin = begin
        self._first = first
        self._ahead = ahead
        self._beyond: list[Operation] = []  # an operation that was looked at, and cannot be counted, or does not fit
        self.members: list[Member] = []
        self.made = 0
        self.stood = True
        self.cycles = 0
        self.relied: list[Relied] = []

    def look(self, choice: Choice, room: int, cpu: Cpu[Any]) -> None:
        """Take operations from the program, the first one and what follows it, that fit into *room*, cycles."""
        cycles, previous, relied = 0, choice.before, dict[Member, Relied | None]()
        member, add = previous.follower, self.members.append
        for operation in islice(chain((self._first,), self._ahead.source), MOST):
            if operation is not member.operation:
                key, _ = kind(operation)
                found = previous.nexts.get(key) or previous.nexts.make(key)
                if found is None:
                    self._beyond = [operation]
                    break
                member = previous.follower = found
            if member not in relied and not self._rely(member, relied, cpu) or cycles + member.cycles >= room:
                self._beyond = [operation]
                break
            cycles += member.cycles
            add(member)
            previous, member = member, member.follower
        self.made = len(self.members)
        self.cycles = cycles
        self.relied = list({id(one): one for one in relied.values() if one is not None}.values())

    def _rely(self, member: Member, relied: dict[Member, Relied | None], cpu: Cpu[Any]) -> bool:
        """Note what an operation relies on; false if it cannot be held."""
        relied[member] = found = relied_on(member.base.parts[0], cpu) if member.alone else None
        return found is not None

    @property
    def end(self) -> int:
        """When the last of those made ends."""
        return self._begin + self.cycles

    def stop(self, now: int) -> None:
        """Only those are made that end before *now*."""
        ends = list(accumulate((member.cycles for member in self.members), initial=self._begin))
        self.made = max(bisect_left(ends, now) - 1, 0)
        self.cycles = ends[self.made] - self._begin

    def refused(self) -> None:
        """The CPU cannot stand aside now."""
        self.stood = False
        self.made = self.cycles = 0

    def over(self, made: int) -> None:
        """So many of the operations are made, or under way; the others come next."""
        beyond = self._beyond if made <= len(self.members) else []
        self._ahead.give_back([*(member.operation for member in self.members[made:]), *beyond])
