"""The signals that end a command: each becomes an exception once, so that what was begun is put away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class Ended(KeyboardInterrupt):
    """A signal asked the command to end; its number is the one argument."""

    @property
    def status(self) -> int:
        """The exit status of a command that such a signal ended."""
        return 128 + int(self.args[0])


def status_of(error: KeyboardInterrupt) -> int:
    """The exit status of a command that this ended."""
    return error.status if isinstance(error, Ended) else 128 + int(signal.SIGINT)


def _end(number: int, _frame: FrameType | None) -> None:
    """Raise; whoever is impatient and sends more does not stop the putting away."""
    for one in ENDING:
        signal.signal(one, signal.SIG_IGN)
    raise Ended(number)


@contextmanager
def ending_signals() -> Iterator[None]:
    """Turn the signals into :class:`Ended` meanwhile; one that is ignored (``nohup``) stays ignored.

    Only the main thread can do so; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.getsignal(one) for one in ENDING}
    for one, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(one, _end)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
