"""Text of a recording from a file, plain or gzipped (recognised by its first bytes), in blocks of whole lines."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader
from pathlib import Path

from sim.errors import InputError
from sim.inputs.door import GIB, RECORDING, open_regular, size_text
from sim.inputs.shown import escaped

BLOCK = 1 << 18
LONGEST_LINE = 1 << 16
GZIP = b"\x1f\x8b"
UNPACKED = 200  # times its size, beyond a GiB: recordings are packed to a tenth, a bomb to a thousandth
BOM = b"\xef\xbb\xbf"
PLAIN = bytes(range(0x20, 0x7F)) + b"\t\r\n"
NOT_PLAIN = re.compile(r"[^ -~\t\n]+")
PACKED = {  # first bytes of what is packed in another way
    b"\xfd7zXZ": "xz: unpack it first",
    b"(\xb5/\xfd": "zstd: unpack it first",
    b"BZh": "bzip2: unpack it first",
}


def first_bytes(path: Path) -> bytes:
    """What the file begins with.  Raises InputError if it cannot be read, or only once."""
    with open_regular(path, RECORDING) as file:
        return file.read(16)


@contextmanager
def unchanged(path: Path) -> Iterator[BufferedReader]:
    """Yield the open file at *path*.  Raises InputError if it cannot be read, or has changed by the end."""
    with open_regular(path, RECORDING) as file:
        before = _signature(file)
        yield file
        if _signature(file) != before:
            raise InputError(f"{path}: it changed while it was read; run again once it is complete")


def _signature(file: BufferedReader) -> tuple[int, int]:
    """What tells that an open file is not as it was: size and time of the last change."""
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


def _unpacked(path: Path, raw: BufferedReader) -> tuple[BufferedIOBase, int]:
    """The file for reading its unpacked bytes, and how many there may be."""
    start = raw.read(16)
    raw.seek(0)
    for magic, what in PACKED.items():
        if start.startswith(magic):
            raise InputError(f"{path}: not text but {what}")
    if start.startswith(GZIP):
        most = max(GIB, UNPACKED * os.fstat(raw.fileno()).st_size)
        return gzip.GzipFile(fileobj=raw), min(most, RECORDING)
    return raw, RECORDING


def blocks(path: Path, report: Callable[[float], None] | None = None) -> Iterator[tuple[list[str], bool]]:
    """Yield lists of lines without their ends; the flag is false where the last one may be cut.

    *report* is told what share of the file has been read, before each of them.
    Raises InputError for a file that cannot be read, is binary, is a damaged gzip file, unpacks to more than a
    recording has, or changes while it is read.
    """
    with unchanged(path) as raw:
        size = os.fstat(raw.fileno()).st_size
        for block in _lines(path, *_unpacked(path, raw)):
            if report is not None:
                report(min(raw.tell() / size, 1.0))
            yield block


def _lines(path: Path, file: BufferedIOBase, most: int) -> Iterator[tuple[list[str], bool]]:
    """What :func:`blocks` yields, of at most *most* bytes."""
    number = total = 0
    rest = b""
    while data := _read(path, file, number):
        total += len(data)
        if total > most:
            raise InputError(f"{path}: it unpacks to more than {size_text(most)}; no recording is packed so small")
        if number == 0 and not rest:
            data = _beginning(path, data)
        whole, end, rest = (rest + data).rpartition(b"\n")
        if len(rest) > LONGEST_LINE or b"\0" in data:
            place = number + 1 + (whole + end + rest).partition(b"\0")[0].count(b"\n")
            raise InputError(f"{path}:{place}: binary data; a recording is ftrace text, plain or gzipped")
        if end:
            lines = _text(whole + end).split("\n")
            lines.pop()
            number += len(lines)
            yield lines, True
    if rest:
        yield [_text(rest)], False


def _text(data: bytes) -> str:
    """Lines as text: bytes that are no UTF-8 are replaced, and what cannot be printed is escaped.

    A task gives itself any name, and what a terminal or a page would obey has no place in a result.
    """
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    if data.isascii() and not data.translate(None, PLAIN):
        return text
    return NOT_PLAIN.sub(lambda match: escaped(match[0]), text)


def _read(path: Path, file: BufferedIOBase, number: int) -> bytes:
    """The next block, after line *number*; empty at the end."""
    try:
        return file.read(BLOCK)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        why = f"the gzip file is truncated or damaged after line {number} ({error})"
        raise InputError(f"{path}: {why}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot read on after line {number}: {error.strerror or error}") from None


def _beginning(path: Path, data: bytes) -> bytes:
    """The first block without a byte-order mark.  Raises InputError if it is packed once more."""
    if data.startswith(GZIP):
        raise InputError(f"{path}: gzipped twice; unpack it once")
    return data.removeprefix(BOM)
