"""Points of a sweep or a validation that failed: a line each on standard error, and the exit status."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from sim.inputs.shown import escaped

BAD_INPUT, MODEL_BROKEN = 2, 70


def tell_failed(failures: Iterable[tuple[str, str, bool]]) -> int:
    """Report failed points (which, why, whether it is a bug of the model); return the command's exit status."""
    status = 0
    for which, why, bug in failures:
        print(escaped(f"svs-sim: point failed: {which}: {why}"), file=sys.stderr)
        status = max(status, MODEL_BROKEN if bug else BAD_INPUT)
    if status == MODEL_BROKEN:
        print("svs-sim: the model contradicts itself at some points: this is a bug of svs-sim; please report it",
              file=sys.stderr)  # fmt: skip
    return status
