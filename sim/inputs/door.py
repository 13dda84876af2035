"""The one door for files: whatever is read is a regular file of bounded size."""

from __future__ import annotations

import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

from sim.errors import InputError

MIB = 1 << 20
GIB = 1 << 30
RECORDING = 64 * GIB  # the most that is read of a recording, which is read as a stream
TIB = 1 << 40  # more than anything that is only looked into


def open_regular(path: Path, most: int) -> BufferedReader:
    """Open a regular file of at most *most* bytes for reading.

    A FIFO, terminal or device may keep its reader waiting or deliver bytes without end, so it is refused before it is
    opened.  The file may still grow while it is read: whoever reads all of it uses :func:`read_bytes`.  Raises
    InputError, which names the file.
    """
    try:
        _check(path, os.stat(path), most)
        # Should it have become a FIFO just now, opening does not wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check(path, os.fstat(fd), most)
        except InputError:
            os.close(fd)
            raise
        return os.fdopen(fd, "rb")
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from None
    except ValueError:  # a zero byte in the name
        raise InputError(f"cannot read {str(path)!r}: no file has such a name") from None


def _check(path: Path, found: os.stat_result, most: int) -> None:
    """InputError unless a file is regular and not too large."""
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"cannot read '{path}': it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"cannot read '{path}': it is not a regular file, but a FIFO, a device or a socket")
    if found.st_size > most:
        raise _too_large(path, most)


def _too_large(path: Path, most: int) -> InputError:
    return InputError(f"cannot read '{path}': it is larger than {size_text(most)}, the bound of such files")


def size_text(size: int) -> str:
    """Write a bound in bytes as people do: ``16 MiB``."""
    return f"{size // GIB} GiB" if size % GIB == 0 else f"{size // MIB} MiB"


PART = 64 * MIB


def read_bytes(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most *most* bytes.  Raises InputError."""
    try:
        with open_regular(path, most) as file:
            # In parts: Python reserves as much memory as it is asked for, and the bound may be more than there is.
            data = b""
            while len(data) <= most and (part := file.read(min(PART, most + 1 - len(data)))):
                data += part
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from None
    if len(data) > most:
        raise _too_large(path, most)
    return data


def read_text(path: Path, most: int) -> str:
    """Return the text of a regular UTF-8 file of at most *most* bytes.  Raises InputError."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start + 1})") from None


def sha256(path: Path, most: int) -> str:
    """Return the hash of a file's content.  Raises InputError."""
    try:
        with open_regular(path, most) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from None
