"""What to check, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim.explore.explorer import Budget
from sim.explore.litmus import Litmus
from sim.explore.patches import Patch


@dataclass(slots=True)
class Request:
    """What to check, and how.

    The kernel has *patches*; *runs* is for ``pct`` and ``random``; *budget* for all; *mirror*: in every assignment of
    roles to CPUs; *also*: a profile of which the result must be true as well, else there is none
    (:class:`sim.explore.model.Differs`).
    """

    litmus: Litmus
    profile: str
    memory: str = "sc"
    patches: tuple[Patch, ...] = ()
    strategy: str = "auto"
    budget: Budget = field(default_factory=Budget)
    seed: int = 1
    runs: int = 500
    depth: int = 3
    preemptions: int | None = None
    deterministic: bool = False
    mirror: bool = False
    also: str = ""
