"""The grid of a sweep: what its TOML file says, and the points that follow from it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from scenarios.open import open_scenario
from scenarios.recordings import looks_like_recording
from sim.errors import InputError, closest
from sim.experiments.sweep.contents import costs_file, own_costs, scenario_file
from sim.experiments.sweep.values import (
    Value,
    checked_profile,
    read_cpus,
    read_overrides,
    read_share,
    read_texts,
    read_warmup,
    values_of,
)
from sim.inputs.shown import name_of
from sim.inputs.table import Table
from sim.inputs.toml import read_toml
from sim.kernel.designs import make_design
from sim.timed.cost_options import suffix_of
from sim.version import version

MOST_POINTS = 1_000_000
MOST_TRIED = 100
KEYS = ("title", "seed", "replications", "scenarios", "profiles", "baseline", "pcid", "costs", "cpus", "warmup",
        "sample", "set")  # fmt: skip
# Values of a scenario for which a sweep has a key of its own: an axis, or something else to say.
AXES = {"machine.cpus": "cpus", "machine.costs": "costs", "pcid": "pcid"}
ELSEWHERE = {
    "profile": "profiles are listed above [set]: profiles = [...]",
    "baseline": 'a sweep has one baseline, above [set]: baseline = "none"',
    "seed": "each replication has a seed of its own; write seed = ... and replications = ... above [set]",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One paired run.

    ``overrides`` are dotted keys of the scenario with their values.  ``scenario`` and ``costs`` are the texts of the
    sweep's file; the paths that they stand for are in the sweep.  ``pcid`` and ``costs`` may be None: the scenario's.
    ``table`` names, in the sweep's files, the cost table that it runs on, if sweep or scenario bring one; ``options``
    follow that name.
    ``warmup_ns`` is the time at the beginning of each run that the steady overhead leaves out.
    ``sample`` is what of a recording is run, as ``run --sample`` takes it; None means all.
    """

    scenario: str
    profile: str
    baseline: str
    pcid: bool | None
    costs: str | None
    cpus: int | None
    overrides: tuple[tuple[str, Value], ...]
    replication: int
    seed: int
    warmup_ns: int = 0
    table: str | None = None
    options: str = ""
    sample: str | None = None

    def parameters(self) -> dict[str, Any]:
        """The point's parameters as columns: ``set.KEY`` for an overridden value, JSON for a list or a table."""
        own = {name: getattr(self, name) for name in ("scenario", "profile", "baseline", "pcid", "costs", "cpus")}
        values = {f"set.{key}": _cell(value) for key, value in self.overrides}
        how = {"warmup_ns": self.warmup_ns} if self.sample is None else {"sample": self.sample}
        return {**own, **values, "replication": self.replication, "seed": self.seed, **how}

    @property
    def files(self) -> list[str]:
        """The files it is made of, as the sweep names them."""
        return [name for name in (self.scenario, self.table) if name is not None]


def _cell(value: Value) -> str | int | float | bool:
    """A value as it stands in a column."""
    plain: str | int | float | bool = json.dumps(value) if isinstance(value, list | dict) else value
    return plain


@dataclass(slots=True)
class Sweep:
    """A validated sweep.

    ``files`` maps each scenario and cost table, as named in the points, to its path.  ``sample`` is that of all points.
    """

    name: str
    title: str
    seed: int
    replications: int
    points: list[Point]
    files: dict[str, Path]
    sample: str | None = None


def load_sweep(path: Path | str, *, seed: int | None = None) -> Sweep:
    """Read and validate a sweep: a file, or the name of a shipped one.  Raises InputError."""
    path = _find(Path(path))
    top = read_toml(path)
    top.only(*KEYS)
    _own_axes(top)
    own_seed = top.whole("seed", 0, least=0)
    replications = top.whole("replications", 1)
    scenarios = read_texts(top, "scenarios")
    profiles = [checked_profile(top, "profiles", name) for name in read_texts(top, "profiles")]
    baseline = checked_profile(top, "baseline", top.text("baseline", "none"))
    pcid = values_of(top, "pcid", bool, "true or false") if top.has("pcid") else [None]
    costs = read_texts(top, "costs") if top.has("costs") else [None]
    cpus = read_cpus(top) if top.has("cpus") else [None]
    overrides = read_overrides(top)
    designs = list(_designs(profiles, pcid))
    warmup = read_warmup(top)
    sample = read_share(top, replications)
    title = top.prose("title", "")
    lengths = [len(axis) for axis in (scenarios, costs, cpus, *overrides.values(), designs)]
    count = math.prod(lengths) * replications
    if count > MOST_POINTS:
        raise InputError(f"{path}: the grid has {count:,} points; it must have {MOST_POINTS:,} or fewer")
    files, tables, options = _files(path, scenarios, costs)
    _can_open(path, scenarios, costs, cpus, overrides, files)
    if sample is not None:
        _refuse_behaviours(top, scenarios, files)
    seed = own_seed if seed is None else seed
    seeds = [_seed_of(seed, number) for number in range(replications)]
    axes = (scenarios, costs, cpus, _settings(overrides), designs, range(replications))
    points = [
        Point(scenario, profile, baseline, use, table, number, tuple(keys.items()), replication, seeds[replication],
              warmup, table or tables.get(scenario), options.get(table or tables.get(scenario, ""), ""), sample)
        for scenario, table, number, keys, (profile, use), replication in itertools.product(*axes)
    ]  # fmt: skip
    return Sweep(name_of(path), title, seed, replications, points, files, sample)


def _own_axes(top: Table) -> None:
    """Move what a sweep has keys of its own for out of ``[set]``.  InputError if it is there twice, or can't be."""
    table = top.values.get("set")
    if not isinstance(table, dict):
        return
    for key, what in ELSEWHERE.items():
        if key in table:
            raise top.fail(f'set."{key}"', what)
    for key, axis in AXES.items():
        if key in table:
            if axis in top.values:
                raise top.fail(f'set."{key}"', f"{axis} = ... says the same; write one of them")
            top.values[axis] = table.pop(key)


def _find(path: Path) -> Path:
    """The file of a sweep, or of a shipped name."""
    shipped = {file.stem: file for file in sorted(Path(str(resources.files("scenarios") / "sweeps")).glob("*.toml"))}
    if path.is_dir():
        raise InputError(f"'{path}' is a folder; a sweep is a TOML file")
    if not path.exists():
        if str(path) in shipped:
            return shipped[str(path)]
        raise InputError(f"there is no file '{path}' and no shipped sweep of that name{closest(str(path), shipped)}")
    return path


def _settings(overrides: dict[str, list[Value]]) -> list[dict[str, Value]]:
    """All combinations of the values of ``[set]``, the last key changing fastest."""
    return [dict(zip(overrides, values, strict=True)) for values in itertools.product(*overrides.values())]


def _designs(profiles: list[str], pcid: list[bool | None]) -> Iterator[tuple[str, bool | None]]:
    """Profiles with and without PCID; one that can't use it appears once, without."""
    for profile in profiles:
        able = any(make_design(profile, use).pcid for use in (None, True))
        for use in pcid if able else dict.fromkeys(None if use is None else False for use in pcid):
            yield profile, use


def _seed_of(seed: int, replication: int) -> int:
    """The seed of a replication, the same for all points of the sweep: profiles meet common random numbers."""
    return int.from_bytes(hashlib.sha256(f"replication {seed} {replication}".encode()).digest()[:4])


def _files(
    sweep: Path, scenarios: list[str], costs: list[Any]
) -> tuple[dict[str, Path], dict[str, str], dict[str, str]]:
    """All files by name; the name of the cost table that a scenario brings along, by scenario; options by table."""
    files, tables, options = {}, {}, {}
    for name in scenarios:
        files[name] = scenario_file(sweep, name)
        own = own_costs(files[name])
        if own is not None:
            table = tables[name] = f"costs of {name}"
            files[table], options[table] = costs_file(files[name], own), suffix_of(own)
    for name in costs:
        if name is not None:
            files[name], options[name] = costs_file(sweep, name), suffix_of(name)
    return files, tables, options


def _refuse_behaviours(top: Table, scenarios: list[str], files: dict[str, Path]) -> None:
    """InputError if there is anything that no sample can be taken of."""
    for name in scenarios:
        if not looks_like_recording(files[name]):
            raise top.fail("sample", f"'{name}' is a behaviour, which is made as short as it should be; a sample is of "
                           "recordings, so sweep them in a file of their own")  # fmt: skip


def _can_open(
    sweep: Path, scenarios: list[str], costs: list[Any], cpus: list[Any], overrides: dict[str, list[Value]],
    files: dict[str, Path],
) -> None:  # fmt: skip
    """InputError if a scenario cannot be opened with any of the values: then the sweep is wrong, not a point of it.

    A recording has no values that could be set; whether it can be read shows when a point of it is run.
    """
    for name in scenarios:
        if looks_like_recording(files[name]):
            if overrides:
                raise InputError(f"{sweep}: [set] is for behaviours, and '{name}' is a recording; sweep it in a file "
                                 "of its own, over profiles, pcid, costs and cpus")  # fmt: skip
            continue
        reason = None
        combinations = itertools.product(costs, cpus, itertools.product(*overrides.values()))
        for table, number, values in itertools.islice(combinations, MOST_TRIED):
            keys = deepcopy(dict(zip(overrides, values, strict=True)))
            path = None if table is None else str(files[table]) + suffix_of(table)
            try:
                open_scenario(files[name], costs=path, cpus=number, overrides=keys or None)
            except InputError as error:
                reason = reason or error
            else:
                break
        else:
            raise InputError(f"{sweep}: {name} cannot be run with any of these values: {reason}")


def point_key(point: Point, hashes: dict[str, str]) -> str:
    """Hash of everything that determines a point's numbers; *hashes* are those of the sweep's files."""
    contents = [hashes[name] for name in point.files]
    what = {**point.parameters(), "overrides": point.overrides, "version": version(), "contents": contents}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
