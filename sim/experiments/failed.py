"""A point of many that could not be run: the others go on, and the reason is part of the answer."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from sim.errors import InputError, Standstill

T = TypeVar("T")


class Failed(NamedTuple):
    """Why a point could not be run; *bug* says that it is the model that is wrong, not the input."""

    reason: str
    bug: bool = False


def attempt(run: Callable[[], T]) -> T | Failed:
    """Return what *run* returns, or why it could not."""
    try:
        return run()
    except (InputError, Standstill) as error:
        return Failed(str(error))
    except Exception as error:  # noqa: BLE001 - reported with the point, and the command then ends with an error
        last = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({last.filename.rpartition('/')[2]}:{last.lineno})"
        return Failed(reason, bug=not isinstance(error, OSError | MemoryError))
