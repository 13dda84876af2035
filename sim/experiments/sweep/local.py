"""Points in processes of this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from threading import Thread

from sim.experiments.sweep.point import Done, Job, run_job

AHEAD = 2  # points handed out for each process, those that run included
KILLED = "its process was killed, perhaps for lack of memory"
Numbered = tuple[int, Job]


def run_here(jobs: Iterable[Numbered], processes: int) -> Iterator[tuple[int, Done]]:
    """Run points in *processes* local processes; yields them as they are finished.

    A point that takes its process with it (the system ends processes when memory is short) has failed; the others go
    on.  One process is this one.
    """
    if processes == 1:
        for number, job in jobs:
            yield number, run_job(job)
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
    others = set(active_children())
    # Not forked: a child must not inherit the progress bar's thread.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_start)
    try:
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
    except BrokenProcessPool:
        return
    finally:
        # Whoever stops listening, an interrupt for instance, does not wait for points that nobody will keep.
        for process in set(active_children()) - others if running else ():
            process.terminate()
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    """Prepare a worker: an interrupt from the terminal is its parent's to handle, and it ends when its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def wait_for_its_end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait_for_its_end, daemon=True).start()
