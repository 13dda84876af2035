"""A mutex as both drivers see it: who holds it and who waits."""

from __future__ import annotations

from collections import deque
from typing import Any

from sim.hardware.memory import Words


class Mutex:
    """A NetBSD mutex.

    ``ipl`` is 0 for an adaptive mutex, else the level a spin mutex raises to.  ``owner`` is the CPU that holds it, of
    an adaptive one too: no modelled path gives the CPU up while it holds one (:mod:`sim.kernel.mutex`).  ``lock_class``
    groups instances for statistics and lock order.
    """

    __slots__ = ("ipl", "lock_class", "name", "owner", "since", "waiters", "word")

    def __init__(self, name: str, lock_class: str, ipl: int = 0) -> None:
        self.name = name
        self.lock_class = lock_class
        self.ipl = ipl
        self.owner: Any = None
        self.since = 0
        self.waiters: deque[Any] = deque()
        self.word = Words(name)

    def __repr__(self) -> str:
        return f"<mutex {self.name}>"
