"""Processes that share out work on this machine, started in the same way wherever there are some."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from sim.signals import ENDING

P = ParamSpec("P")
T = TypeVar("T")


def processors() -> int:
    """How many processors this process may use; where the system does not tell, how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers(ProcessPoolExecutor):
    """A pool of fresh processes that end with their parent and leave what a terminal sends to it.

    They are not forked: a child must not inherit the progress bar's thread.  Each calls *begin* with *args* first,
    which may be what processes can only inherit, like a queue.
    """

    def __init__(self, processes: int, begin: Callable[..., None] | None = None, *args: Any) -> None:
        self._others = set(active_children())
        super().__init__(processes, mp_context=get_context("spawn"), initializer=_start, initargs=(begin, args))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a call; this is also where processes are started, and they inherit the mask of signals.

        A new process imports for a while before its initializer runs. Were it open to an interrupt meanwhile, it
        would end with a traceback; and were its parent, between its start and the note of it, nobody would end it.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        """Wait for the work; after an exception, an interrupt for instance, end it: nobody will keep its results."""
        if kind is not None:
            for process in set(active_children()) - self._others:
                process.terminate()
        self.shutdown(cancel_futures=kind is not None)


def _start(begin: Callable[..., None] | None, args: tuple[Any, ...]) -> None:
    """Prepare a worker."""
    for one in (signal.SIGINT, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # with which the parent ends it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    parent = parent_process()

    def wait_for_its_end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait_for_its_end, daemon=True).start()
    if begin is not None:
        begin(*args)
