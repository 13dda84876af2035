"""The states that a search has met."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim.explore.model import Footprint


@dataclass(slots=True)
class States:
    """The states met, by number.

    Attributes:
        number: by fingerprint.
        future: what is touched from each on, in whatever order; None as long as not all of it is known.
        next: the transitions made from each: by actor, the state behind it and what it touched.
        unfinished: those that are left, but lie on a cycle with one that is not.
    """

    number: dict[bytes, int] = field(default_factory=dict)
    future: list[int | None] = field(default_factory=list)
    next: list[dict[int, tuple[int, Footprint]]] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)

    def of(self, mark: bytes) -> tuple[int, bool]:
        """The number of a state, and whether it was met before."""
        number = self.number.setdefault(mark, len(self.future))
        if number < len(self.future):
            return number, True
        self.future.append(None)
        self.next.append({})
        return number, False
