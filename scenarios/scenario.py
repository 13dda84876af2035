"""A scenario: everything that a paired run needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scenarios.recordings.parts import Parts
from sim.kernel.program import Workload
from sim.timed.costs import CostTable


@dataclass(slots=True)
class Scenario:
    """A behaviour or a recording, opened and validated.

    Attributes:
        name: how results call it.
        title: one line on what it is.
        path: where it was read from.
        profile, baseline, pcid: what it is to be run under; pcid None means on where the profile has it.
        costs: the machine.
        cpus: simulated CPUs.
        seed: of all its random streams.
        source: makes a fresh, identical workload at each call.
        events: of a recording, how many lines it has; 0 for behaviours.
        size: as many, or for a behaviour about how many lines would cost as much to run.
        parts: windows of a recording that are to be run instead, one by one; ``source`` is then the first of them.
        reopen: makes it again in a process that this one starts; a recording's text is not read again.
    """

    name: str
    title: str
    path: Path
    profile: str
    baseline: str
    pcid: bool | None
    costs: CostTable
    cpus: int
    seed: int
    source: Callable[[], Workload]
    events: int = 0
    size: int = 0
    parts: Parts | None = None
    reopen: Callable[[], Scenario] | None = None
