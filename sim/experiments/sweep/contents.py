"""The files that a point's numbers depend on."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from scenarios.catalogue import resolve
from scenarios.recordings import looks_like_recording
from sim.inputs.door import RECORDING, sha256
from sim.inputs.toml import read_toml
from sim.timed.costs import DEFAULT, SHIPPED, load_costs


def file_hash(path: Path) -> str:
    """Hash of a file's content; InputError if it can't be read."""
    return sha256(path, RECORDING)


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
    machine = read_toml(scenario).table("machine", {})
    name = machine.text("costs", DEFAULT)
    return None if name in SHIPPED else costs_file(scenario, name)
