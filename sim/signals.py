"""The signals that end a command: each becomes an exception once, so that what was begun is put away."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
LATER = 0.01  # seconds until a signal comes again that came while something was finalized


class Ended(KeyboardInterrupt):
    """A signal asked the command to end; its number is the one argument."""

    @property
    def status(self) -> int:
        """The exit status of a command that such a signal ended."""
        return 128 + int(self.args[0])


def status_of(error: KeyboardInterrupt) -> int:
    """The exit status of a command that this ended."""
    return error.status if isinstance(error, Ended) else 128 + int(signal.SIGINT)


class _Heeded:
    """Signals that end the command, and one that Python has dropped, if any."""

    def __init__(self, signals: list[signal.Signals]) -> None:
        self._signals = signals
        self._told = sys.unraisablehook
        self.lost: list[int] = []

    def heed(self) -> None:
        """From now on, one of them raises."""
        for one in self._signals:
            signal.signal(one, self._end)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        """Raise; whoever is impatient and sends more does not stop the putting away."""
        for one in ENDING:
            signal.signal(one, signal.SIG_IGN)
        self.stop()
        raise Ended(number)

    def dropped(self, what: sys.UnraisableHookArgs) -> None:
        """What was raised where it cannot be; a signal comes again a little later, when that may be over."""
        if not isinstance(what.exc_value, Ended):
            self._told(what)
            return
        number = int(what.exc_value.args[0])
        self.lost.append(number)
        self.heed()
        signal.signal(signal.SIGALRM, lambda _, frame: self._end(number, frame))
        signal.setitimer(signal.ITIMER_REAL, LATER)

    def stop(self) -> None:
        """Nothing comes again."""
        if self.lost:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_IGN)


@contextmanager
def ending_signals() -> Iterator[None]:
    """Turn the signals into :class:`Ended` meanwhile; one that is ignored (``nohup``) stays ignored.

    Where an object is finalized, for instance a generator that nobody needs any more, Python drops every exception.
    There one of these would be lost, and all signals behind it; it is raised again a little later.  Only the main
    thread can do so; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.getsignal(one) for one in ENDING}
    alarm, hook = signal.getsignal(signal.SIGALRM), sys.unraisablehook
    signals = _Heeded([one for one, handler in before.items() if handler is not signal.SIG_IGN])
    signals.heed()
    sys.unraisablehook = signals.dropped
    try:
        yield
        if signals.lost:
            raise Ended(signals.lost[-1])
    finally:
        sys.unraisablehook = hook
        signals.stop()
        if signals.lost:
            signal.signal(signal.SIGALRM, alarm)
        for one, handler in before.items():
            signal.signal(one, handler)
