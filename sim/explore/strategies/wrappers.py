"""Strategies that wrap a strategy: recording, metrics, a preemption bound, a determinism check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sim.errors import ModelError
from sim.explore.explorer import Strategy
from sim.explore.model import Footprint


class Recording:
    """Keep the choices of the current execution in ``choices``."""

    def __init__(self, inner: Strategy) -> None:
        self.inner = inner
        self.learns = inner.learns
        self.choices: list[int] = []

    def begin(self) -> bool:
        """Start a new record."""
        self.choices = []
        return self.inner.begin()

    def choose(self, enabled: Sequence[int]) -> int:
        """Pass on and keep."""
        actor = self.inner.choose(enabled)
        if actor >= 0:
            self.choices.append(actor)
        return actor

    def took(self, actor: int, footprint: Footprint) -> None:
        """Pass on."""
        self.inner.took(actor, footprint)

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Pass on."""
        self.inner.stuck(actor, footprint)


class Metrics:
    """Count choices: ``steps`` by actor, ``switches`` between actors, ``forced`` choices (one enabled)."""

    def __init__(self, inner: Strategy) -> None:
        self.inner = inner
        self.learns = inner.learns
        self.steps: Counter[int] = Counter()
        self.executions = 0
        self.switches = 0
        self.forced = 0
        self._last = -1

    def begin(self) -> bool:
        """Count the execution."""
        more = self.inner.begin()
        self.executions += more
        self._last = -1
        return more

    def choose(self, enabled: Sequence[int]) -> int:
        """Count the choice."""
        actor = self.inner.choose(enabled)
        if actor >= 0:
            self.steps[actor] += 1
            self.forced += len(enabled) == 1
            self.switches += self._last not in (-1, actor)
            self._last = actor
        return actor

    def took(self, actor: int, footprint: Footprint) -> None:
        """Pass on."""
        self.inner.took(actor, footprint)

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Pass on."""
        self.inner.stuck(actor, footprint)


class PreemptionBound:
    """At most *bound* times an execution may leave an actor that could have gone on.

    ``cut`` counts the choices that were withheld; if it stays 0 nothing was left out.
    """

    def __init__(self, inner: Strategy, bound: int) -> None:
        self.inner = inner
        self.learns = inner.learns
        self.bound = bound
        self.cut = 0
        self._last = -1
        self._used = 0

    def begin(self) -> bool:
        """A new execution has its whole bound."""
        self._last = -1
        self._used = 0
        return self.inner.begin()

    def choose(self, enabled: Sequence[int]) -> int:
        """Offer only the current actor once the bound is used up."""
        could = self._last in enabled
        if could and self._used >= self.bound and len(enabled) > 1:
            self.cut += len(enabled) - 1
            enabled = (self._last,)
        actor = self.inner.choose(enabled)
        if could and actor != self._last:
            self._used += 1
        self._last = actor
        return actor

    def took(self, actor: int, footprint: Footprint) -> None:
        """Pass on."""
        self.inner.took(actor, footprint)

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Pass on."""
        self.inner.stuck(actor, footprint)


class Determinism:
    """Run every execution twice: the second must offer the same choices and touch the same locations as the first.

    A difference is a :class:`ModelError`, since it would make every result worthless.
    """

    def __init__(self, inner: Strategy) -> None:
        self.inner = inner
        self.learns = True
        self.checked = 0
        self._trail: list[tuple[tuple[int, ...], int, Footprint]] = []
        self._again = False
        self._at = 0

    def begin(self) -> bool:
        """Alternate between a run of the inner strategy and its repetition."""
        self._at = 0
        if self._trail and not self._again:
            self._again = True
            return True
        self._again = False
        self._trail = []
        return self.inner.begin()

    def choose(self, enabled: Sequence[int]) -> int:
        """Choose, or compare with what was offered the first time."""
        if not self._again:
            actor = self.inner.choose(enabled)
            if actor >= 0:
                self._trail.append((tuple(enabled), actor, ()))
            return actor
        if self._at == len(self._trail):
            return -1
        offered, actor, _ = self._trail[self._at]
        if offered != tuple(enabled):
            raise ModelError(f"not deterministic: step {self._at} offers {tuple(enabled)}, before {offered}")
        return actor

    def took(self, actor: int, footprint: Footprint) -> None:
        """Keep, or compare, what was touched."""
        if not self._again:
            offered, chosen, _ = self._trail[-1]
            self._trail[-1] = (offered, chosen, footprint)
            self.inner.took(actor, footprint)
            return
        if self._trail[self._at][2] != footprint:
            raise ModelError(f"not deterministic: step {self._at} of actor {actor} touches other locations")
        self._at += 1
        self.checked += 1

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Pass on, once."""
        if not self._again:
            self.inner.stuck(actor, footprint)
