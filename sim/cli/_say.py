"""What a command says on standard error, and the exit statuses of what it says."""

from __future__ import annotations

import sys

from sim.cli._streams import settle
from sim.inputs.shown import escaped

BAD_INPUT, MODEL_BROKEN = 2, 70
MODEL_BUG = "the model contradicts itself: this is a bug of svs-sim, not of your input; please report the above"
LONGEST = 1000  # characters of a message


def say(message: str, *, whole: bool = False) -> None:
    """Print one line on standard error, or a traceback as a *whole*; if stderr is closed, the status has to do.

    A name from a file may hold line breaks or what a terminal would obey, and be long.
    """
    if whole:
        line = message.rstrip()
    else:
        line = escaped(message)
        line = f"svs-sim: {line if len(line) <= LONGEST else f'{line[:LONGEST]}...'}"
    try:
        print(line, file=sys.stderr)
    except (OSError, ValueError):
        settle()
