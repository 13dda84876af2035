"""A replay token: everything that an execution depends on, in one word that can be pasted."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from sim.errors import InputError

PREFIX = "svs2-"  # svs1- tokens named one planted bug and not its contents


class Token(NamedTuple):
    """What a token says.

    *digest* ties it to the litmus program's contents; *planted* are the kernel's patches in order, by name and digest.
    """

    litmus: str
    digest: str
    profile: str
    memory: str
    planted: tuple[tuple[str, str], ...]
    choices: tuple[int, ...]


def digest(contents: object) -> str:
    """A short fingerprint of a litmus program."""
    return hashlib.sha256(repr(contents).encode()).hexdigest()[:12]


def encode(token: Token) -> str:
    """Write a token."""
    runs: list[int] = []
    for actor in token.choices:
        if runs and runs[-2] == actor:
            runs[-1] += 1
        else:
            runs += [actor, 1]
    data = json.dumps([*token[:5], runs], separators=(",", ":")).encode()
    return PREFIX + base64.urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")


def decode(text: str) -> Token:
    """Read a token; InputError if it is damaged."""
    bad = InputError(f"replay token '{text[:24]}...' is damaged (cut off or mistyped); it begins with {PREFIX}")
    if not text.startswith(PREFIX):
        raise bad
    body = text[len(PREFIX) :]
    try:
        litmus, mark, profile, memory, planted, runs = json.loads(_unpack(body))
        choices = _unroll(runs)
        planted = tuple((str(name), str(fingerprint)) for name, fingerprint in planted)
    except (ValueError, TypeError, binascii.Error, zlib.error):
        raise bad from None
    if not all(isinstance(part, str) for part in (litmus, mark, profile, memory)):
        raise bad
    return Token(litmus, mark, profile, memory, planted, choices)


def _unpack(body: str) -> bytes:
    """What was packed; ValueError or zlib.error if a character more, less or other than that is there."""
    packed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(packed, 1_000_000)
    if not unpacker.eof or unpacker.unused_data or base64.urlsafe_b64encode(packed).decode().rstrip("=") != body:
        raise ValueError("not a whole token")
    return unpacked


def _unroll(runs: Sequence[int]) -> tuple[int, ...]:
    """Runs (actor, length) back to choices; ValueError if they are none."""
    if len(runs) % 2 or not all(isinstance(n, int) and n >= 0 for n in runs) or sum(runs[1::2]) > 1_000_000:
        raise ValueError("not runs")
    return tuple(actor for actor, length in zip(runs[::2], runs[1::2], strict=True) for _ in range(length))
