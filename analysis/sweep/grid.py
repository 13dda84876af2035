"""The grid of a sweep: what its TOML file says, and the points that follow from it."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from scenarios.catalogue import resolve
from scenarios.schema import Table, read_toml
from sim.errors import InputError, closest
from sim.kernel.design import make_design
from sim.timed.costs import SHIPPED, load_costs
from sim.timed.paired import check_profile

PACKAGES = ("sim", "scenarios", "analysis.sweep")
MOST_POINTS = 1_000_000
NANOSECONDS = 1_000_000_000  # a clock of 1 GHz counts them
Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Point:
    """One paired run.

    ``overrides`` are dotted keys of the scenario with their values.  ``scenario`` and ``costs`` are the texts of the
    sweep's file; the paths that they stand for are in the sweep.  ``pcid`` and ``costs`` may be None: the scenario's.
    ``warmup_ns`` is the time at the beginning of each run that the steady overhead leaves out.
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

    def parameters(self) -> dict[str, Any]:
        """The point's parameters as columns: ``set.KEY`` for an overridden value."""
        own = {name: getattr(self, name) for name in ("scenario", "profile", "baseline", "pcid", "costs", "cpus")}
        return {**own, **{f"set.{key}": value for key, value in self.overrides}, "replication": self.replication,
                "seed": self.seed, "warmup_ns": self.warmup_ns}  # fmt: skip


@dataclass(slots=True)
class Sweep:
    """A validated sweep.  ``files`` maps each scenario and cost table, as named in the points, to its path."""

    name: str
    title: str
    seed: int
    replications: int
    points: list[Point]
    files: dict[str, Path]


def load_sweep(path: Path | str, *, seed: int | None = None) -> Sweep:
    """Read and validate a sweep: a file, or the name of a shipped one.  Raises InputError."""
    path = _find(Path(path))
    top = Table(read_toml(path), str(path))
    title = top.text("title", "")
    own_seed = top.whole("seed", 0, least=0)
    replications = top.whole("replications", 1)
    scenarios = _texts(top, "scenarios")
    profiles = [_checked(top, "profiles", name) for name in _texts(top, "profiles")]
    baseline = _checked(top, "baseline", top.text("baseline", "none"))
    pcid = _values(top, "pcid", bool, "true or false") if top.has("pcid") else [None]
    costs = _texts(top, "costs") if top.has("costs") else [None]
    cpus = _values(top, "cpus", int, "whole numbers") if top.has("cpus") else [None]
    overrides = _overrides(top)
    warmup = top.duration("warmup", NANOSECONDS) if top.has("warmup") else 0
    top.finish()
    seed = own_seed if seed is None else seed
    seeds = [_seed_of(seed, number) for number in range(replications)]
    axes = (scenarios, costs, cpus, [dict(zip(overrides, values, strict=True)).items() for values in
            itertools.product(*overrides.values())], list(_designs(profiles, pcid)), range(replications))  # fmt: skip
    count = 1
    for axis in axes:
        count *= len(axis)
    if not 0 < count <= MOST_POINTS:
        raise InputError(f"{path}: the grid has {count:,} points; it must have between 1 and {MOST_POINTS:,}")
    points = [
        Point(scenario, profile, baseline, use, table, number, tuple(keys), replication, seeds[replication], warmup)
        for scenario, table, number, keys, (profile, use), replication in itertools.product(*axes)
    ]
    return Sweep(path.stem, title, seed, replications, points, _files(path, scenarios, [c for c in costs if c]))


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


def _values(top: Table, key: str, kind: type, what: str) -> list[Any]:
    """A value or a list of different values of one type."""
    raw = top.get(key)
    values = raw if isinstance(raw, list) else [raw]
    if not values or any(type(value) is not kind for value in values):
        raise top.fail(key, f"{raw!r} must be a list of {what}")
    if len(set(values)) != len(values):
        raise top.fail(key, f"{raw!r} names one twice")
    if kind is int and min(values) < 1:
        raise top.fail(key, f"{min(values)} must be 1 or more")
    return values


def _texts(top: Table, key: str) -> list[Any]:
    return _values(top, key, str, "texts in quotes")


def _checked(top: Table, key: str, profile: str) -> str:
    """A profile's name."""
    try:
        return check_profile(profile)
    except InputError as error:
        raise top.fail(key, str(error)) from None


def _overrides(top: Table) -> dict[str, list[Value]]:
    """The table ``[set]``: dotted keys of the scenario, each with its values."""
    table = top.table("set", {})
    found: dict[str, list[Value]] = {}
    for key in table.values:
        raw = table.get(key)
        if isinstance(raw, dict):
            raise table.fail(key, f'write the dotted key in quotes, as "{key}.{next(iter(raw), "key")}" = [...]')
        values = raw if isinstance(raw, list) else [raw]
        if not values or any(not isinstance(value, Value) for value in values):
            raise table.fail(key, f"{raw!r} must be a list of texts, numbers, or true and false")
        found[key] = values
    return found


def _designs(profiles: list[str], pcid: list[bool | None]) -> Iterator[tuple[str, bool | None]]:
    """Profiles with and without PCID; one that can't use it appears once, without."""
    for profile in profiles:
        able = any(make_design(profile, use).pcid for use in (None, True))
        for use in pcid if able else dict.fromkeys(None if use is None else False for use in pcid):
            yield profile, use


def _seed_of(seed: int, replication: int) -> int:
    """The seed of a replication, the same for all points of the sweep: profiles meet common random numbers."""
    return int.from_bytes(hashlib.sha256(f"replication {seed} {replication}".encode()).digest()[:4])


def _files(sweep: Path, scenarios: list[str], costs: list[str]) -> dict[str, Path]:
    """Where scenarios and cost tables lie; relative names start at the sweep's file."""
    found = {}
    for name in scenarios:
        beside = sweep.parent / name
        found[name] = beside if beside.is_file() else resolve(name)
    for name in costs:
        if name in SHIPPED:
            found[name] = Path(str(resources.files("sim.timed") / "costs_data" / f"{name}.toml"))
        else:
            beside = sweep.parent / name
            found[name] = beside if beside.is_file() else Path(name)
            load_costs(found[name])
    return found


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


def file_hash(path: Path) -> str:
    """Hash of a file's content; InputError if it can't be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None


def point_key(point: Point, hashes: dict[str, str]) -> str:
    """Hash of everything that determines a point's numbers; *hashes* are those of the sweep's files."""
    what = {
        **point.parameters(),
        "code": code_version(),
        "scenario_content": hashes[point.scenario],
        "costs_content": None if point.costs is None else hashes[point.costs],
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
