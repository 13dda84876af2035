"""Garbage of explorations: executions are full of cycles, and one after the other is thrown away.

Python looks for such garbage after each 700 objects that were made, which is a fraction of one execution, so that each
is looked at in vain a dozen times.  While an exploration goes on it looks after as many as some ten executions have.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

OBJECTS = 20_000  # some MB


@contextmanager
def seldom_collected() -> Generator[None, None, None]:
    """Look for garbage seldom while the body runs."""
    before = gc.get_threshold()
    gc.set_threshold(max(OBJECTS, before[0]) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
