"""Damage of inputs: of bytes anywhere, and of one part at a time, so that the rest is still what a reader expects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from datetime import date
from random import Random
from typing import Any

ODD = (b"", b"0", b"-1", b"99999999999999999999", b"1e400", b"nan", b"\xff", b"\0", b"\x1b[2J", b'"', b"[[", b"\n",
       "\u00b2".encode(), b"a" * 9000, b"1979-05-27", b"{}", b"true", b"[[[[]]]]", b"10^400", b"<idle>-0",
       "\u202eabc".encode(), b"\r", b"9" * 5000)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 7, 8, 64, 65, 255, 256, 4096, 65536, -1, 2**31, 2**63, 2**64, 10**19, 0.0, 0.5, -0.5, 1e-300,
           1e300, float("inf"), float("nan"))  # fmt: skip
WORDS = ("", "x", "none", "pti", "svs-netbsd9", "1 us", "0 us", "1 ns", "20 ms", "1 page", "64 KiB", "7 cycles",
         "-1 us", "1e9 s", "1 ", "uniform", "0.0", "1.1", "\u00b2", "a\x1b[2Jb", "\u202e", "x" * 300, "../x",
         "/dev/zero", "a\nb")  # fmt: skip


def of_bytes(rng: Random, data: bytes) -> bytes:
    """Damage a text in a few places: bytes, words, lines."""
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        lines = data.split(b"\n")
        line = rng.randrange(len(lines))
        match rng.randrange(7):
            case 0:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + rng.choice(ODD) + data[at:]
            case 2:
                data = data[:at] + data[at + rng.choice((1, 2, 20, 400)) :]
            case 3:
                lines[line:line] = [rng.choice(lines)]
                data = b"\n".join(lines)
            case 4:
                del lines[line]
                data = b"\n".join(lines)
            case 5:
                words = lines[line].split(b" ")
                words[rng.randrange(len(words))] = rng.choice(ODD)
                lines[line] = b" ".join(words)
                data = b"\n".join(lines)
            case _:
                head, equals, _ = lines[line].partition(b"=")
                lines[line] = head + equals + b" " + rng.choice(ODD)
                data = b"\n".join(lines)
    return data


def of_lines(rng: Random, text: str) -> str:
    """Change a recording as buffers and people do: lines lost, doubled, moved, cut; words of other lines."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        here, there = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                del lines[here : here + rng.choice((1, 1, 5))]
            case 1:
                lines.insert(here, lines[there])
            case 2:
                lines[here], lines[there] = lines[there], lines[here]
            case 3:
                lines[here] = lines[here][: rng.randrange(len(lines[here]) + 1)]
            case 4:
                words, others = lines[here].split(" "), lines[there].split(" ")
                words[rng.randrange(len(words))] = rng.choice(others)
                lines[here] = " ".join(words)
            case _:
                lines[here] = "".join(rng.choice("0179fx") if c.isdigit() and rng.random() < 0.05 else c
                                      for c in lines[here])  # fmt: skip
        lines = lines or [""]
    return "\n".join(lines)


def of_tree(rng: Random, tree: Any, others: Sequence[Any] = (), *, numbers: Sequence[float] = NUMBERS,
            words: Sequence[str] = WORDS) -> Any:  # fmt: skip
    """Change one to three values of a tree of tables and lists; *others* are trees whose values may be taken over."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = _places(tree)
        if not places:
            return tree
        holder, key = rng.choice(places)
        old = holder[key]
        match rng.randrange(12):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(rng.randrange(len(holder) + 1), deepcopy(old))
            case 1:
                holder[rng.choice(("x", "name", "kind", f"{key}s", "\u00b2"))] = old
            case 2:
                holder[key] = rng.choice((rng.choice(words), rng.choice(numbers), True, [], {}, [old], {"x": old},
                                          date(1979, 5, 27)))  # fmt: skip
            case 3 | 4 | 5:
                alike = [h[k] for other in others for h, k in _places(other) if k == key and isinstance(k, str)]
                holder[key] = deepcopy(rng.choice(alike or [old]))
            case _:
                holder[key] = _another(rng, old, numbers, words)
    return tree


def _another(rng: Random, old: Any, numbers: Sequence[float], words: Sequence[str]) -> Any:
    """A value of the same type; of a text with a unit, mostly one with the same unit."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, str):
        alike = [word for word in words if word.split(" ")[1:] == old.split(" ")[1:]]
        return rng.choice(alike if alike and rng.random() < 0.8 else words)
    if isinstance(old, int | float):
        whole = [number for number in numbers if isinstance(number, int) == isinstance(old, int)]
        return rng.choice((rng.choice(whole or numbers), old + 1, old - 1, 2 * old))
    if isinstance(old, list):
        return rng.sample(old, len(old)) if rng.random() < 0.5 else old[: rng.randrange(len(old) + 1)]
    return old


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every value of a tree, as the table or list that holds it and the key."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    found: list[tuple[Any, Any]] = []
    for key in keys:
        found += [(tree, key), *_places(tree[key])]
    return found


def toml(table: dict[str, Any]) -> str:
    """Write a table as TOML, one line for each key at the top."""
    return "".join(f"{json.dumps(key, ensure_ascii=False)} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inner = (f"{json.dumps(key, ensure_ascii=False)} = {_value(one)}" for key, one in value.items())
        return "{ " + ", ".join(inner) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool | float) else str(value)
