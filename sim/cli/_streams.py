"""Standard input, output and error, in whatever state a command gets them."""

from __future__ import annotations

import contextlib
import io
import os
import sys

NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}


def open_streams() -> None:
    """Make sure that the three are open and take every letter.

    What is closed is opened to nothing: the next file would else get its number, and what is printed would end up in
    it.  A letter that an output's encoding does not have is escaped.
    """
    for name, number in NUMBERS.items():
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def settle() -> None:
    """Flush both outputs; one that takes no more (a closed pipe, a full disk) is led to nothing.

    Python flushes them once more at exit, and would then complain and change the exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, stream.fileno())
                os.close(nothing)
