"""The operations of a program that come next, as far as a CPU can stand aside for them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain
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
        relied: what they rely on.
    """

    def __init__(self, begin: int, first: Operation, ahead: Ahead) -> None:
        self._begin = begin
        self._first = first
        self._ahead = ahead
        self._operations: list[Operation] = []
        self._ends: list[int] = []
        self.members: list[Member] = []
        self.made = 0
        self.relied: list[Relied] = []

    def look(self, choice: Choice, room: int, cpu: Cpu[Any]) -> None:
        """Take operations from the program, the first one and what follows it, that fit into *room*, cycles."""
        end, previous, used = 0, choice.before, dict[int, Relied]()
        member = previous.follower
        for operation in chain((self._first,), self._ahead.source):
            if operation != member.operation:
                key, _ = kind(operation)
                found = previous.nexts.get(key) or previous.nexts.make(key)
                if found is None:
                    self._operations.append(operation)
                    break
                member = previous.follower = found
            if id(member.base) not in used:
                relied = relied_on(member.base.parts[0], cpu) if member.alone else None
                if relied is None:
                    self._operations.append(operation)
                    break
                used[id(member.base)] = relied
            self._operations.append(member.operation)  # an equal one that is there already: so memory stays small
            end += member.cycles
            if end >= room:
                break
            self.members.append(member)
            self._ends.append(self._begin + end)
            if len(self.members) >= MOST:
                break
            previous, member = member, member.follower
        self.made = len(self.members)
        self.relied = list(used.values())

    @property
    def end(self) -> int:
        """When the last of those made ends."""
        return self._ends[self.made - 1] if self.made else self._begin

    @property
    def cycles(self) -> int:
        """How long they take."""
        return self.end - self._begin

    def stop(self, now: int) -> None:
        """Only those are made that end before *now*."""
        self.made = bisect_left(self._ends, now)

    def refused(self) -> None:
        """The CPU cannot stand aside now."""
        self.made = 0
        self.members.clear()

    def over(self, made: int) -> None:
        """So many of the operations are made, or under way; the others come next."""
        self._ahead.give_back(self._operations[made:])
