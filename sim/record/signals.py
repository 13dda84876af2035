"""Signals that end a recording: all of them become a KeyboardInterrupt, so that what was set up is put away."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """A signal asked for the end; ``number`` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def from_terminal(interrupt: KeyboardInterrupt) -> bool:
    """Whether the interrupt is a Ctrl-C, which the terminal sends to the recorded command as well."""
    return not isinstance(interrupt, Ended) or interrupt.number == signal.SIGINT


@contextmanager
def raised_as_interrupt() -> Iterator[None]:
    """Within, a signal that ends processes raises :class:`Ended` in the main thread."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise Ended(number)

    before = {number: signal.signal(number, end) for number in ENDING if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Within, those signals wait, so that putting away is not itself interrupted."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
