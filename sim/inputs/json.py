"""The one reader of JSON: what an earlier command wrote, perhaps edited since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.inputs.door import MIB, read_bytes
from sim.inputs.shown import escaped

MOST_BYTES = 256 * MIB


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, what cannot be printed in its texts escaped.

    Raises InputError if it cannot be read or is none.
    """
    data = read_bytes(path, MOST_BYTES)
    try:
        found = _clean(json.loads(data))
    except RecursionError:
        raise InputError(f"'{path}' is damaged: it is nested too deep") from None
    except ValueError as error:  # not JSON, or a number of more than 4,300 digits
        raise InputError(f"'{path}' is damaged or no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"'{path}' is damaged: it must hold one JSON object")
    return found


def _clean(value: Any) -> Any:
    """A value whose texts can be printed."""
    if isinstance(value, str):
        return escaped(value, keep="\n\t")
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {escaped(key): _clean(one) for key, one in value.items()}
    return value
