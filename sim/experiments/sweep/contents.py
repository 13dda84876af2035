"""The files that a point's numbers depend on."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from scenarios.catalogue import resolve
from scenarios.recordings import looks_like_recording
from sim.inputs.door import RECORDING, sha256
from sim.inputs.toml import read_toml
from sim.timed.cost_options import beside, split_name
from sim.timed.costs import DEFAULT, SHIPPED, is_shipped, load_costs


def file_hash(path: Path) -> str:
    """Hash of a file's content; InputError if it can't be read."""
    return sha256(path, RECORDING)


def scenario_file(sweep: Path, name: str) -> Path:
    """Where a scenario lies: beside the sweep, shipped, or where the path leads.  InputError if nowhere."""
    beside = sweep.parent / name
    return beside if beside.is_file() else resolve(name)


def costs_file(sweep: Path, name: str) -> Path:
    """Where a cost table lies: shipped, beside the sweep, or where the path leads; InputError if it is none.

    Options and a clock may follow the name; the file is that of the table without them.
    """
    own = split_name(name)[0]
    if own in SHIPPED:
        load_costs(name)
        return Path(str(resources.files("sim.timed") / "costs_data" / f"{own}.toml"))
    found = beside(sweep.parent, name)
    load_costs(found)
    return Path(split_name(found)[0])


def own_costs(scenario: Path) -> str | None:
    """The cost table that a scenario names itself; None for one that ships, which is part of the code."""
    if looks_like_recording(scenario):
        return None
    machine = read_toml(scenario).table("machine", {})
    name = machine.text("costs", DEFAULT)
    return None if is_shipped(name) else name
