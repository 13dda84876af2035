"""Ends a procedure of the kernel that makes no step and never will: a loop that only computes.

Nothing else can, for the driver waits for the next step.  While an exploration goes on, or a changed kernel is
imported, a timer looks every twentieth of a second of CPU time what is at work: a procedure on its way to its next
step, or a call into kernel or hardware, as the kernel boots or a step is carried out.  From there on every line is
counted until that is done; so many of them, and it is an endless loop.  The clock only decides when counting begins:
what ends is never taken for what does not, however busy the machine is.  A loop within a single call of the
interpreter's own code, as a sum over an endless iterator is, comes to no line and is not found.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sim.explore.blame import of_kernel, place
from sim.explore.model import ENDLESS, AtWork, Broken, Patience, Violation

TICKS = {"line": 1.0, "opcode": 0.2}  # what counts as how many lines
FRAMES = 1000  # calls within one another that code under check may come to, whoever explores it


class _Count:
    """Counts lines until what is at work is done.

    Args:
        stack: its frames, the innermost first.
        call: the call that is at work; None for a procedure on its way to its next step.
    """

    def __init__(self, stack: list[FrameType], call: FrameType | None) -> None:
        self.lines = 0.0
        self._stack = stack
        self._call = call

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if self._call is None and AtWork.judge is None:
            sys.settrace(None)
            return None
        if event in TICKS:
            self.lines += TICKS[event]
            if self.lines > Patience.lines:
                sys.settrace(None)
                raise Violation(Broken("progress", f"{self._loop(frame)} makes no step and {ENDLESS}"))
        elif event == "call":
            return self if self._call is None or of_kernel(frame.f_code) else None
        elif event == "return":
            if frame is self._stack[0]:
                del self._stack[0]
            if frame is self._call or not self._stack:
                sys.settrace(None)
                return None
        return self

    def _loop(self, frame: FrameType) -> str:
        """Where the loop is: in the innermost frame that has not returned since counting began."""
        return place(next((one for one in self._stack if of_kernel(one.f_code)), frame).f_code)


def _look(_number: int, frame: FrameType | None) -> None:
    """The timer has run down.  Who traces lines, as a debugger does, is left alone."""
    if sys.gettrace() is not None:
        return
    stack: list[FrameType] = []
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    call = None
    if AtWork.judge is None:
        outermost = max((at for at, one in enumerate(stack) if of_kernel(one.f_code)), default=-1)
        if outermost < 0:
            return
        del stack[outermost + 1 :]
        call = stack[-1]
    count = _Count(stack, call)
    for one in list(stack):
        one.f_trace = count
    stack[0].f_trace_opcodes = True  # a loop of a single instruction, "while True: pass", comes to no line again
    sys.settrace(count)


@contextmanager
def watchdog() -> Generator[None, None, None]:
    """Watch what the body runs, and let no recursion in it go deeper than anywhere else.

    Only the main thread can be watched, and only where nobody else has the profiling timer.
    """
    deepest = sys.getrecursionlimit()
    sys.setrecursionlimit(_depth() + FRAMES)
    free = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGPROF)
    mine = free and (handler is signal.SIG_DFL or getattr(handler, "__module__", "") == __name__)
    before = 0.0, 0.0
    try:
        if mine:
            signal.signal(signal.SIGPROF, _look)  # for good: a signal may be on its way when the timer is stopped
            before = signal.setitimer(signal.ITIMER_PROF, Patience.look, Patience.look)
        yield
    finally:
        if mine:
            signal.setitimer(signal.ITIMER_PROF, before[1], before[1])  # of who watches around this
            if isinstance(sys.gettrace(), _Count):  # what was at work is over for whoever asked for the watch
                sys.settrace(None)
        sys.setrecursionlimit(deepest)


def _depth() -> int:
    """How many calls there are within one another."""
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


@contextmanager
def impatient() -> Generator[None, None, None]:
    """Take code for endless sooner meanwhile: where it is known to be, and is only to be met again."""
    before = Patience.look, Patience.lines, Patience.steps
    Patience.look, Patience.lines, Patience.steps = 0.01, 10_000, 10_000
    try:
        yield
    finally:
        Patience.look, Patience.lines, Patience.steps = before
