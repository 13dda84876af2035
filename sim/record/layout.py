"""Layouts of events, from the ``format`` files of tracefs, and functions that print their fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any

from sim.errors import InputError

Show = Callable[[bytes, int], str]
Convert = Callable[[Any], object]

_FIELD = re.compile(r"field:(?P<type>[^;]*?)(?P<name>\w+)(?:\[(?P<count>\w*)\])?;\s*offset:(\d+);\s*size:(\d+);"
                    r"\s*signed:(\d);")  # fmt: skip
_SYMBOL = re.compile(r'\{\s*(0x[0-9a-fA-F]+|\d+)\s*,\s*"([^"]*)"\s*\}')
_WANTED = re.compile(r"\{(\w+)")
_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ``code`` is its letter for :mod:`struct`, ``pointed`` says that it only points to its data."""

    offset: int
    size: int
    code: str
    pointed: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """An event's number, name, fields by name, and the names that its print format has for values."""

    number: int
    name: str
    fields: dict[str, Field]
    symbols: dict[int, str]


def read_layout(text: str) -> Layout:
    """Read a ``format`` file.  An array of numbers ``args[6]`` becomes fields ``args_0`` to ``args_5``."""
    head = dict(line.split(": ", 1) for line in text.splitlines()[:2] if ": " in line)
    fields: dict[str, Field] = {}
    for match in _FIELD.finditer(text):
        kind, name, count = match["type"], match["name"], match["count"]
        offset, size, signed = (int(match[group]) for group in (4, 5, 6))
        if "__data_loc" in kind:
            fields[name] = Field(offset, size, "HH", pointed=True)
        elif count is None:
            fields[name] = Field(offset, size, _code(size, signed), pointed=False)
        elif "char" in kind:
            fields[name] = Field(offset, size, f"{size}s", pointed=False)
        elif count.isdigit():
            each = size // int(count)
            for place in range(int(count)):
                fields[f"{name}_{place}"] = Field(offset + place * each, each, _code(each, signed), pointed=False)
    symbols = {int(number, 0): name for number, name in _SYMBOL.findall(text)}
    return Layout(int(head["ID"]), head["name"], fields, symbols)


def _code(size: int, signed: int) -> str:
    code = _CODES.get(size, f"{size}s")
    return code if signed else code.upper() if size in _CODES else code


def printer(layout: Layout, template: str, convert: dict[str, Convert]) -> Show:
    """Return a function of (page, offset of the event) that fills *template* with the event's fields.

    *convert* changes values before they are printed.  Raises InputError if the kernel's event lacks a field.
    """
    wanted = dict.fromkeys(_WANTED.findall(template))
    missing = [name for name in wanted if name not in layout.fields]
    if missing:
        raise InputError(f"this kernel's event {layout.name} has no field '{missing[0]}'; it cannot be recorded")
    names = sorted(wanted, key=lambda name: layout.fields[name].offset)
    unpack = Struct("<" + _struct(layout, names)).unpack_from
    plain = [name for name in names if not layout.fields[name].pointed and not layout.fields[name].code.endswith("s")]
    if len(plain) == len(names) and not convert:
        return lambda page, at: template.format(**dict(zip(names, unpack(page, at), strict=True)))
    pointed = {name for name in names if layout.fields[name].pointed}

    def show(page: bytes, at: int) -> str:
        raw = iter(unpack(page, at))
        values: dict[str, object] = {}
        for name in names:
            value = next(raw)
            if name in pointed:
                value = page[at + value : at + value + next(raw)]
            if name in convert:
                value = convert[name](value)
            values[name] = text_of(value) if isinstance(value, bytes) else value
        return template.format(**values)

    return show


def _struct(layout: Layout, names: list[str]) -> str:
    """The fields as a struct's format, with what lies between them skipped."""
    codes, at = [], 0
    for name in names:
        field = layout.fields[name]
        codes.append(f"{field.offset - at}x{field.code}")
        at = field.offset + field.size
    return "".join(codes)


def text_of(value: bytes) -> str:
    """Return a C string; what no line may hold becomes a question mark."""
    text = value.partition(b"\0")[0].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
