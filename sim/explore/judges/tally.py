"""How often each invariant was really judged, and the way to say that one is broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sim.explore.model import Broken, Violation

Noted = Callable[[Broken], None]


class Tally:
    """What the judges of one execution share.

    Attributes:
        premises: how often the premise of each invariant held, so that it was really judged.
        armed: judging has begun; while the first LWPs are brought up nothing is counted and nothing breaks.
        muted: invariants that may break, so that what comes after is judged too.
        noted: called with each breach of those.
    """

    def __init__(self, muted: tuple[str, ...] = (), noted: Noted = lambda broken: None) -> None:
        self.premises: Counter[str] = Counter()
        self.muted = muted
        self.noted = noted
        self.armed = False

    def premise(self, name: str) -> None:
        """Count that an invariant is really judged."""
        self.premises[name] += self.armed

    def broken(self, name: str, reason: str) -> None:
        """Report a violation, unless it may break."""
        if self.armed:
            self.breaks(Broken(name, reason))

    def breaks(self, broken: Broken) -> None:
        """Report a violation, whether judging has begun or not."""
        if broken.invariant not in self.muted:
            raise Violation(broken)
        self.noted(broken)
