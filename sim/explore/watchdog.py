"""Ends a procedure of the kernel that makes no step and never will: a loop that only computes.

Nothing else can, for the driver waits for the next step.  While an exploration goes on a timer looks every tenth of a
second of CPU time whether a procedure is at work.  If so, every line that it runs from there on is counted until it
makes its step; so many of them, and it is an endless loop.  The clock only decides when counting begins: a procedure
that ends is never taken for one that does not.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sim.explore.model import AtWork, Broken, Violation

LOOK = 0.1  # seconds of CPU time
MOST_LINES = 300_000  # before a step: procedures run some dozen


class _Count:
    """Counts lines until the procedure at work has made its step."""

    def __init__(self) -> None:
        self.lines = 0

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if AtWork.judge is None:
            sys.settrace(None)
            return None
        self.lines += event == "line"
        if self.lines > MOST_LINES:
            sys.settrace(None)
            raise Violation(Broken("progress", f"{frame.f_code.co_name} makes no step and never ends"))
        return self


def _look(_number: int, frame: FrameType | None) -> None:
    """The timer has run down.  Who traces lines, as a debugger does, is left alone."""
    if AtWork.judge is None or sys.gettrace() is not None:
        return
    count = _Count()
    while frame is not None:
        frame.f_trace = count
        frame = frame.f_back
    sys.settrace(count)


@contextmanager
def watchdog() -> Generator[None, None, None]:
    """Watch what the body explores; only the main thread can be, and only where nobody else has the profiling timer."""
    free = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGPROF)
    if not free or handler is not signal.SIG_DFL and getattr(handler, "__module__", "") != __name__:
        yield
        return
    signal.signal(signal.SIGPROF, _look)  # for good: a signal may be on its way when the timer is stopped
    signal.setitimer(signal.ITIMER_PROF, LOOK, LOOK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
