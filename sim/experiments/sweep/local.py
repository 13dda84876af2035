"""Points in processes of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack

from sim.experiments.sweep.point import Done, forget, run_job
from sim.experiments.sweep.waiting import Numbered, Waiting
from sim.workers import Workers

AHEAD = 2  # points handed out for each process, those that run included
KILLED = "its process was killed, perhaps for lack of memory"


def run_here(jobs: Iterable[Numbered], processes: int) -> Iterator[tuple[int, Done]]:
    """Run points in *processes* local processes; yields them as they are finished.

    A point that takes its process with it (the system ends processes when memory is short) has failed; the others go
    on.  One process is this one.
    """
    if processes == 1:
        try:
            for number, job in jobs:
                yield number, run_job(job)
        finally:
            forget()
        return
    rest = Waiting(jobs)
    left: list[Numbered] = []
    while True:
        # A process that dies takes all points with it that it was given: each of them is tried again alone.
        for suspect in left:
            alone: list[Numbered] = []
            yield from _in_processes(Waiting([suspect]), 1, alone)
            for number, _ in alone:
                yield number, Done(None, KILLED)
        left = []
        yield from _in_processes(rest, processes, left)
        if not left:
            return


def _in_processes(rest: Waiting, processes: int, left: list[Numbered]) -> Iterator[tuple[int, Done]]:
    """Run points in fresh processes until all are done, or one process dies.

    Then the others finish what they were given, and *left* gets the points of the one that died.
    """
    running: dict[Future[Done], tuple[int, Numbered]] = {}
    given = [0] * processes
    with ExitStack() as stack:
        # A pool each: a point is for that process which has run its baseline, or read its recording.
        pools = [stack.enter_context(Workers(1)) for _ in range(processes)]
        while True:
            for place in [*range(processes)] * AHEAD:
                if not left and given[place] < AHEAD and (one := rest.next_for(place)) is not None:
                    try:
                        running[pools[place].submit(run_job, one[1])] = place, one
                        given[place] += 1
                    except BrokenProcessPool:
                        left.append(one)
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                place, one = running.pop(future)
                given[place] -= 1
                try:
                    done = future.result()
                except BrokenProcessPool:
                    left.append(one)
                else:
                    yield one[0], done
