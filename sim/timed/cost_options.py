"""Options and a clock that may follow a cost table's name: ``haswell+nested@2.4GHz``."""

from __future__ import annotations

import json
import re
from pathlib import Path

from sim.errors import InputError, closest

OPTIONS = ("nested", "flat", "no-descriptors")
_CLOCK = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([GM])Hz")


def split_name(name: str) -> tuple[str, list[str], str]:
    """Return the table's own name, its options, and the clock, which is empty if none is given."""
    folder, slash, file = name.rpartition("/")
    front, _, clock = file.partition("@")
    base, *options = front.split("+")
    return f"{folder}{slash}{base}", options, clock


def suffix_of(name: str) -> str:
    """Return what follows the table's own name: ``+nested@2.4GHz``, or nothing."""
    return name.removeprefix(split_name(name)[0])


def with_options(name: str, *, add: str = "", remove: str = "") -> str:
    """Return a table's name with one option more, or one less; the same name if that changes nothing."""
    base, options, clock = split_name(name)
    kept = [option for option in options if option != remove]
    kept += [add] if add and add not in kept else []
    return "+".join([base, *kept]) + (f"@{clock}" if clock else "")


def beside(folder: Path, name: str) -> str:
    """Return *name*, or its path from *folder* if the file of that name lies there; options stay with it."""
    base, suffix = split_name(name)[0], suffix_of(name)
    return f"{folder / base}{suffix}" if (folder / base).is_file() else name


def changed(text: str, name: str, options: list[str], clock: str) -> str:
    """Return the text of a table with options set, and at another clock if one is given.  Raises InputError."""
    head = [f"name = {json.dumps(name)}"]
    for option in options:
        if option not in OPTIONS:
            raise InputError(f"cost table '{name}': no option '{option}'; there are {', '.join(OPTIONS)}"
                             f"{closest(option, OPTIONS)}")  # fmt: skip
        text = re.sub(rf"(?m)^{option}\s*=.*\n", "", text)
        head.append(f"{option} = true")
    if clock:
        given = _CLOCK.fullmatch(clock)
        if given is None:
            raise InputError(f"cost table '{name}': the clock '{clock}' must be like 2.4GHz or 2400MHz")
        hertz = round(float(given[1]) * {"G": 10**9, "M": 10**6}[given[2]])
        text = re.sub(r"(?m)^frequency_hz\s*=.*$", f"frequency_hz = {hertz}", text, count=1)
        text = re.sub(r"(?m)^clock_(source|sure)\s*=.*\n", "", text)
        head += ['clock_source = "given"', 'clock_sure = "given"']
    return re.sub(r"(?m)^name\s*=.*$", lambda _: "\n".join(head), text, count=1)
