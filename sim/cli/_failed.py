"""Points of a sweep or a validation that failed: a line each on standard error, and the exit status."""

from __future__ import annotations

from collections.abc import Iterable

from sim.cli._say import BAD_INPUT, MODEL_BROKEN, say


def tell_failed(failures: Iterable[tuple[str, str, bool]]) -> int:
    """Report failed points (which, why, whether it is a bug of the model); return the command's exit status."""
    status = 0
    for which, why, bug in failures:
        say(f"point failed: {which}: {why}")
        status = max(status, MODEL_BROKEN if bug else BAD_INPUT)
    if status == MODEL_BROKEN:
        say("the model contradicts itself at some points: this is a bug of svs-sim; please report it")
    return status
