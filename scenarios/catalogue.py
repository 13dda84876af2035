"""What ships: scenarios and recordings by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import NamedTuple

from sim.errors import InputError, closest
from sim.inputs.toml import read_toml

RECORDINGS = {
    "cc-build": "make -j2 of 24 C files with gcc -O2: fork, exec, faults",
    "pgbench-select": "PostgreSQL 15, pgbench -S, 4 clients",
    "redis": "redis-server under redis-benchmark set, 8 clients",
    "munmap-storm": "two threads: mmap, touch and munmap 16 pages, 3000 times each",
    "dd-512": "dd from zero to null, 20,000 blocks of 512 bytes",
}
SUFFIX = ".ftrace.gz"


class Shipped(NamedTuple):
    """One entry: ``kind`` is behaviour or recording."""

    name: str
    kind: str
    title: str
    path: Path


def list_scenarios() -> list[Shipped]:
    """Everything that ships, behaviours first, by name."""
    root = Path(str(resources.files("scenarios")))
    found = []
    for path in sorted(root.glob("*.toml")):
        title = read_toml(path).prose("title", "")
        found.append(Shipped(path.stem, "behaviour", title, path))
    for name, title in RECORDINGS.items():
        found.append(Shipped(name, "recording", title, root / "recordings" / "data" / f"{name}{SUFFIX}"))
    return found


def resolve(name: str) -> Path:
    """The file of a shipped name, or of a path; InputError with the closest name."""
    path = Path(name)
    shipped = {entry.name: entry.path for entry in list_scenarios()}
    if name in shipped and not path.is_file():
        return shipped[name]
    if path.is_dir():
        raise InputError(f"'{name}' is a folder; a scenario is a TOML file or a recording")
    if not path.exists():
        relative = path.name.removesuffix(".toml").removesuffix(SUFFIX)
        if len(path.parts) <= 2 and relative in shipped and path.parts[0] in ("scenarios", path.name):
            return shipped[relative]
        raise InputError(f"there is no file '{name}' and no shipped scenario of that name{closest(name, shipped)}")
    return path
