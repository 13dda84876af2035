"""Files and folders written whole or not at all, under a name of their own until they are complete.

What a killed process left half-written is removed by the next one that writes to the same place: a lock
tells it from the work of a living one; it ends with its owner.
"""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sim.errors import InputError

PARTIAL = ".partial-"


def is_partial(name: str) -> bool:
    """Whether a name is that of something not yet complete."""
    return name.startswith(".") and PARTIAL in name


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write into; once it is complete, it replaces *path* in one step.

    Links are replaced, not followed, and whatever stops the process, *path* holds the old content or the new.  Raises
    InputError.
    """
    partial = _fresh(path.parent, path.name)
    try:
        clear_stale(path.parent, path.name)
        stream = os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb")
        with stream:
            _lock(stream.fileno())
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except FileNotFoundError:
        raise InputError(f"cannot write '{path}': there is no folder '{path.parent}'") from None
    except OSError as error:
        raise InputError(f"cannot write '{path}': {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step; see :func:`whole_file`."""
    with whole_file(path) as stream:
        stream.write(data)


@contextmanager
def partial_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield a new folder in *parent*, for what will be called *name*; it is removed at the end.  Raises OSError."""
    clear_stale(parent, name)
    folder = _fresh(parent, name)
    folder.mkdir(mode=0o700)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(lock)
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def clear_stale(parent: Path, name: str | None = None) -> None:
    """Remove what killed processes left half-written in *parent* for *name* (None: for anything)."""
    for found in glob.glob(f".{'*' if name is None else glob.escape(name)}{PARTIAL}*", root_dir=parent):
        place = parent / found
        with suppress(OSError):
            lock = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                _lock(lock)  # BlockingIOError if its owner lives
                if place.is_dir():
                    shutil.rmtree(place, ignore_errors=True)
                else:
                    place.unlink(missing_ok=True)
            finally:
                os.close(lock)


def _fresh(parent: Path, name: str) -> Path:
    """A place in *parent* that nothing else has."""
    return parent / f".{name}{PARTIAL}{secrets.token_hex(8)}"


def _lock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
