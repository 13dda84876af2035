"""One execution along given choices."""

from __future__ import annotations

from collections.abc import Sequence

from sim.errors import InputError
from sim.explore.model import Footprint


class Replay:
    """Follow *choices*, then (if the run goes on) stop.

    InputError if a choice is not enabled, unless *lenient*: then it is skipped, and after the last choice the first
    enabled actor goes on (what shrinking needs).
    """

    learns = False

    def __init__(self, choices: Sequence[int], *, lenient: bool = False) -> None:
        self._choices = tuple(choices)
        self._lenient = lenient
        self._at = 0
        self._run = -1
        self._last = -1

    def begin(self) -> bool:
        """Once."""
        self._run += 1
        self._at = 0
        return self._run == 0

    def choose(self, enabled: Sequence[int]) -> int:
        """The next choice."""
        while self._at < len(self._choices):
            actor = self._choices[self._at]
            self._at += 1
            if actor in enabled:
                self._last = actor
                return actor
            if not self._lenient:
                raise InputError(
                    f"replay token: step {self._at} wants actor {actor}, but only {list(enabled)} can act; "
                    "the token belongs to another litmus program, profile, memory model or version"
                )
        if not self._lenient:
            return -1
        if self._last not in enabled:
            self._last = enabled[0]
        return self._last

    def took(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""

    def stuck(self, actor: int, footprint: Footprint) -> None:
        """Nothing to learn."""
