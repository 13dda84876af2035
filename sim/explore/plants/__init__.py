"""Planted bugs: single departures from the kernel, each of which a litmus program must find.

Each is a file ``diffs/NAME.diff``: a unified diff of the kernel's sources below a header of ``key: value`` lines.  It
can't silently stop planting anything: once the lines around it have changed it no longer applies, which is an error.
"""

from __future__ import annotations

from email.parser import HeaderParser
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sim.errors import InputError, closest
from sim.explore.patches import Patch

FOLDER = Path(__file__).parent / "diffs"


class Plant(NamedTuple):
    """A planted bug.

    Attributes:
        breaks: the invariant that it breaks.
        litmus, profile, memory: where it is found.
        says: what is wrong, in a sentence.
        patch: what it changes.
        runs: PCT finds it within this many runs (seed 1, depth 3).
    """

    name: str
    breaks: str
    litmus: str
    profile: str
    memory: str
    says: str
    patch: Patch
    runs: int


@cache
def plants() -> tuple[Plant, ...]:
    """All planted bugs, by name."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.diff")))


def find(name: str) -> Plant:
    """Return a planted bug by name; InputError if there is none."""
    by_name = {plant.name: plant for plant in plants()}
    if name not in by_name:
        raise InputError(f"no planted bug '{name}'{closest(name, by_name)} (svs-sim check --list-plants shows them)")
    return by_name[name]


def _read(path: Path) -> Plant:
    """A plant from its file; KeyError if its header lacks a key."""
    file = HeaderParser().parsestr(path.read_text(encoding="utf-8"))
    words = {key: " ".join(value.split()) for key, value in file.items()}  # long ones go on in an indented line
    patch = Patch(words["name"], str(file.get_payload()))
    name, breaks, litmus, profile, memory, says = map(
        words.__getitem__, ("name", "breaks", "litmus", "profile", "memory", "says")
    )
    return Plant(name, breaks, litmus, profile, memory, says, patch, int(words["runs"]))
