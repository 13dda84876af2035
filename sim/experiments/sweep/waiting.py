"""Points that wait for a process: each process gets those for which it has run the baseline, or read the recording."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from sim.experiments.sweep.point import Job

AT_HAND = 1024  # points among which one is chosen
Numbered = tuple[int, Job]


class About(NamedTuple):
    """What points can share, the costliest to have again first: the recording, what it says at a clock, baselines."""

    recording: str
    machine: tuple[str, str | None, str]
    baseline: str


def about(job: Job) -> About:
    """What a point can share with others."""
    point = job.point
    return About(point.scenario, (point.scenario, point.table, point.options), job.baseline)


class Waiting:
    """Points in their order, those with one baseline together."""

    def __init__(self, jobs: Iterable[Numbered]) -> None:
        self._rest = iter(jobs)
        self._groups: dict[About, deque[Numbered]] = {}
        self._count = 0
        self._at: dict[int, About] = {}

    def next_for(self, process: int) -> Numbered | None:
        """The point that a process is to run next; None if there is none left."""
        for number, job in islice(self._rest, AT_HAND - self._count):
            self._groups.setdefault(about(job), deque()).append((number, job))
            self._count += 1
        if not self._groups:
            return None
        mine = self._at.get(process)
        group = mine if mine in self._groups else self._best(mine, [at for n, at in self._at.items() if n != process])
        assert group is not None
        self._at[process] = group
        points = self._groups[group]
        found = points.popleft()
        self._count -= 1
        if not points:
            del self._groups[group]
        return found

    def _best(self, mine: About | None, others: list[About]) -> About:
        """The group of points to begin with, among equals the first.

        Rather one that no other process is at, for each of them runs the baseline; then one for which this process has
        read most, and no other has.
        """
        baselines, machines, recordings = ({at[place] for at in others} for place in (2, 1, 0))

        def unfit(group: About) -> tuple[bool, ...]:
            return (
                group.baseline in baselines,
                mine is None or group.machine != mine.machine,
                mine is None or group.recording != mine.recording,
                group.machine in machines,
                group.recording in recordings,
            )

        return min(self._groups, key=unfit)
