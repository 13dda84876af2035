"""What an execution did, for people."""

from __future__ import annotations


class Trace:
    """Notes of each transition, if they are wanted.

    Attributes:
        on: whether notes are kept.
        notes: those of the last transition.
        transitions: (actor, notes) of each transition so far.
    """

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self.notes: list[str] = []
        self.transitions: list[tuple[int, list[str]]] = []

    def note(self, text: str) -> None:
        """Add a line about the transition under way."""
        if self.on:
            self.notes.append(text)

    def begin(self) -> None:
        """A transition begins."""
        self.notes = []

    def end(self, actor: int) -> None:
        """It is over, or broke off."""
        if self.on:
            self.transitions.append((actor, self.notes))
