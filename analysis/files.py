"""Files written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from sim.errors import InputError

PARTIAL = ".partial"


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step; whatever stops the process, it holds the old content or the new."""
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"cannot write '{path}': {error.strerror}") from None
