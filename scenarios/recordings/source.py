"""Text of a recording from a file, plain or gzipped (told by its first bytes), in blocks of whole lines."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sim.errors import InputError
from sim.inputs.door import RECORDING, open_regular

BLOCK = 1 << 18
LONGEST_LINE = 1 << 16
GZIP = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
PACKED = {  # first bytes of what is packed in another way
    b"\xfd7zXZ": "xz: unpack it first",
    b"(\xb5/\xfd": "zstd: unpack it first",
    b"BZh": "bzip2: unpack it first",
}


def first_bytes(path: Path) -> bytes:
    """What the file begins with.  Raises InputError if it cannot be read, or only once."""
    with open_regular(path, RECORDING) as file:
        return file.read(16)


def _open(path: Path) -> IO[bytes]:
    """Open the file for reading its unpacked bytes."""
    raw = open_regular(path, RECORDING)
    start = raw.read(16)
    raw.seek(0)
    for magic, what in PACKED.items():
        if start.startswith(magic):
            raw.close()
            raise InputError(f"{path}: not text but {what}")
    if start.startswith(GZIP):
        raw.close()
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return raw


def blocks(path: Path) -> Iterator[tuple[list[str], bool]]:
    """Yield lists of lines without their ends; the flag is false where the last one may be cut.

    Raises InputError for a file that cannot be read, is binary, or is a damaged gzip file.
    """
    number = 0
    rest = b""
    with _open(path) as file:
        while True:
            try:
                data = file.read(BLOCK)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                why = f"the gzip file is truncated or damaged after line {number} ({error})"
                raise InputError(f"{path}: {why}") from None
            except OSError as error:
                raise InputError(f"{path}: cannot read on after line {number}: {error.strerror or error}") from None
            if not data:
                break
            if number == 0 and not rest:
                data = _beginning(path, data)
            whole, end, rest = (rest + data).rpartition(b"\n")
            if len(rest) > LONGEST_LINE or b"\0" in data:
                place = number + 1 + (whole + end + rest).partition(b"\0")[0].count(b"\n")
                raise InputError(f"{path}:{place}: binary data; a recording is ftrace text, plain or gzipped")
            if end:
                lines = (whole + end).decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
                lines.pop()
                number += len(lines)
                yield lines, True
    if rest:
        yield [rest.decode("utf-8", "replace")], False


def _beginning(path: Path, data: bytes) -> bytes:
    """The first block without a byte-order mark.  Raises InputError if it is packed once more."""
    if data.startswith(GZIP):
        raise InputError(f"{path}: gzipped twice; unpack it once")
    return data.removeprefix(BOM)
