"""What a strategy knows of the thing it explores: actors, transitions, and what a transition touched.

An *actor* is anything that can act on its own: a CPU's flow of control, a store buffer, an interrupt that may land.
Actors are small integers, the same in every execution.  A *transition* is an actor's next indivisible piece of work.
Its *footprint* is the tuple of locations it read or wrote; two transitions of different actors are dependent if they
touch one location and one of them does not only read it.  How it touches a location also says what can be turned
round: a transition that NEEDS what another ENABLES (a mutex released, an interrupt sent) can't come before it; one that
AWAITS a condition may or may not, and one that SPINS until a value is there is a read that may or may not.
Exploration is stateless: an execution can only be run from its start.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

ENDLESS = "never ends"  # what the reason of a breach of ``progress`` says of code that goes on without end
SPINS, READ, WRITE, ENABLES, NEEDS, AWAITS = -1, 0, 1, 2, 3, 4  # positive: depends on every other touch

Access = tuple[Hashable, int]  # (location, one of the six)
Footprint = tuple[Access, ...]


class Wait(NamedTuple):
    """What must come before somebody can act: one of *actors* acts, or somebody changes one of *locations*."""

    actors: tuple[int, ...] = ()
    locations: tuple[Hashable, ...] = ()


class Execution(Protocol):
    """One run of the explored program, made afresh for each execution."""

    def enabled(self) -> Sequence[int]:
        """Actors that can act now, in ascending order; empty at the end."""

    def step(self, actor: int) -> Footprint:
        """Let *actor* make its next transition; :class:`Violation` if that breaks a property."""

    def follow(self, actors: Sequence[int]) -> None:
        """Make one transition after another; what they touch is not recorded."""

    def stuck(self) -> Iterable[tuple[int, Footprint]]:
        """Transitions that have begun to wait and cannot be made now: actor, and what it would touch."""

    def waits(self) -> dict[int, Wait]:
        """What those wait for who cannot act now; of an actor that is not among them nothing is known."""

    def finish(self) -> None:
        """Judge the end, once nothing is enabled; :class:`Violation` if it is not a proper end."""


class Violation(Exception):
    """A property does not hold.  Takes one argument, a :class:`Broken`."""

    @property
    def broken(self) -> Broken:
        """What broke."""
        value = self.args[0]
        assert isinstance(value, Broken)
        return value


class Differs(Exception):
    """Designs explored as one differ in what was looked at."""


class AtWork:
    """Who judges what code under check does between two steps, while it runs; None while none does."""

    judge: ClassVar[Any] = None


class Patience:
    """How long code under check may go on: far longer than any procedure of a kernel does.

    Attributes:
        look: seconds of CPU time between two looks at what it does.
        lines: run before a step.
        steps: made in a row that nobody else could notice.
    """

    look: ClassVar[float] = 0.05
    lines: ClassVar[int] = 300_000
    steps: ClassVar[int] = 100_000


class Broken(NamedTuple):
    """Which invariant broke, and in what way."""

    invariant: str
    reason: str


def dependent(one: Footprint, other: Footprint) -> bool:
    """Whether two footprints touch a common location that one of them writes."""
    for location, write in one:
        for location2, write2 in other:
            if (write > 0 or write2 > 0) and location == location2:
                return True
    return False
