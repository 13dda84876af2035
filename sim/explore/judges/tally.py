"""How often each invariant was really judged, and the way to say that one is broken."""

from __future__ import annotations

from collections import Counter

from sim.explore.model import Broken, Violation


class Tally:
    """What the judges of one execution share.

    Attributes:
        premises: how often the premise of each invariant held, so that it was really judged.
        armed: judging has begun; while the first LWPs are brought up nothing is counted and nothing breaks.
        muted: invariants that may break, so that what comes after is judged too.
    """

    def __init__(self, muted: tuple[str, ...] = ()) -> None:
        self.premises: Counter[str] = Counter()
        self.muted = muted
        self.armed = False

    def premise(self, name: str) -> None:
        """Count that an invariant is really judged."""
        self.premises[name] += self.armed

    def broken(self, name: str, reason: str) -> None:
        """Report a violation, unless it may break."""
        if self.armed and name not in self.muted:
            raise Violation(Broken(name, reason))
