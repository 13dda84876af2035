"""Points in processes of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

from sim.experiments.sweep.point import Done, Job, forget, run_job
from sim.workers import Workers

AHEAD = 2  # points handed out for each process, those that run included
KILLED = "its process was killed, perhaps for lack of memory"
Numbered = tuple[int, Job]


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
    rest = iter(jobs)
    left: list[Numbered] = []
    while True:
        # A process that dies takes all points with it that were handed out: each of them is tried again alone.
        for suspect in left:
            alone: list[Numbered] = []
            yield from _in_pool(iter([suspect]), 1, alone)
            for number, _ in alone:
                yield number, Done(None, KILLED)
        left = []
        yield from _in_pool(rest, processes, left)
        if not left:
            return


def _in_pool(jobs: Iterator[Numbered], processes: int, left: list[Numbered]) -> Iterator[tuple[int, Done]]:
    """Run points in fresh processes until all are done, or one process dies; *left* then gets the unfinished ones."""
    running: dict[Future[Done], Numbered] = {}
    with suppress(BrokenProcessPool), Workers(processes) as pool:
        while True:
            while len(running) < AHEAD * processes and (one := next(jobs, None)) is not None:
                left.append(one)
                running[pool.submit(run_job, one[1])] = one
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                one = running.pop(future)
                done = future.result()
                left.remove(one)
                yield one[0], done
