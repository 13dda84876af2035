"""What a transition touches besides the words of its own steps."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from sim.explore.model import ENABLES, READ, WRITE, Access


class Touched:
    """Collects such touches until the transition under way is over.

    Attributes:
        now: that of the machine whose transition is under way, for objects that do not know their machine.
    """

    now: ClassVar[Touched]

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: list[Access] = []

    def wrote(self, location: Hashable) -> None:
        """Something was changed that is no word of memory but that others' checks read."""
        self._found.append((location, WRITE))

    def looked(self, location: Hashable) -> None:
        """Something was read without a step of its own: by a check, or a word that is private."""
        self._found.append((location, READ))

    def enabled(self, location: Hashable) -> None:
        """Somebody who NEEDS this can act from now on."""
        self._found.append((location, ENABLES))

    def take(self) -> list[Access]:
        """Hand over what was collected and begin again."""
        found, self._found = self._found, []
        return found
