"""What a point's numbers depend on besides its parameters: the code, the libraries, the files."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from importlib import metadata, resources
from pathlib import Path

from scenarios.catalogue import resolve
from scenarios.recordings import looks_like_recording
from scenarios.schema import Table, read_toml
from sim.errors import InputError
from sim.timed.costs import DEFAULT, SHIPPED, load_costs

PACKAGES = ("sim", "scenarios", "analysis.sweep")
LIBRARIES = ("simpy", "networkx")


@cache
def code_version() -> str:
    """Hash of all code and data that a point's numbers can depend on."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        root = Path(str(resources.files(package)))
        for file in sorted(root.rglob("*")):
            if file.suffix in (".py", ".toml") and "cli" not in file.relative_to(root).parts[:1]:
                digest.update(f"{package}/{file.relative_to(root).as_posix()}\0".encode())
                digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def version() -> str:
    """The code with what it stands on: the hash of it, the version of Python and of the libraries of a run."""
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return ", ".join([code_version(), python, *(f"{name} {metadata.version(name)}" for name in LIBRARIES)])


def file_hash(path: Path) -> str:
    """Hash of a file's content; InputError if it can't be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None


def scenario_file(sweep: Path, name: str) -> Path:
    """Where a scenario lies: beside the sweep, shipped, or where the path leads.  InputError if nowhere."""
    beside = sweep.parent / name
    return beside if beside.is_file() else resolve(name)


def costs_file(sweep: Path, name: str) -> Path:
    """Where a cost table lies: shipped, beside the sweep, or where the path leads; InputError if it is none."""
    if name in SHIPPED:
        return Path(str(resources.files("sim.timed") / "costs_data" / f"{name}.toml"))
    beside = sweep.parent / name
    path = beside if beside.is_file() else Path(name)
    load_costs(path)
    return path


def own_costs(scenario: Path) -> Path | None:
    """The cost table that a scenario names itself; None for one that ships, which is part of the code."""
    if looks_like_recording(scenario):
        return None
    machine = Table(read_toml(scenario), str(scenario)).table("machine", {})
    name = machine.text("costs", DEFAULT)
    return None if name in SHIPPED else costs_file(scenario, name)
