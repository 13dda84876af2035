"""Opening a scenario, whatever it is: a shipped name, a TOML file, a recording."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from scenarios.behaviours import load_behaviour
from scenarios.catalogue import SUFFIX, resolve
from scenarios.recordings import Recording, looks_like_recording
from scenarios.recordings.whose import EVERYBODY, Whose
from scenarios.recordings.windows import Sample
from scenarios.scenario import Scenario
from sim.errors import InputError
from sim.inputs.door import TIB, open_regular
from sim.inputs.shown import printable
from sim.scratch import NoRoomError
from sim.timed.costs import DEFAULT, load_costs

DEFAULT_PROFILE = "svs-netbsd9"
FIRST_BYTES = 8192
EVENT = re.compile(rb"\s*\S.*\[\d+\].*\s\d+\.\d{3,}:\s")


def open_scenario(
    name: str | Path, *, costs: str | None = None, cpus: int | None = None, seed: int | None = None,
    overrides: dict[str, Any] | None = None, whose: Whose = EVERYBODY, untraced_cpu_s: float | None = None,
    sample: Sample | None = None, recording: Recording | None = None,
    report: Callable[[float], None] | None = None,
) -> Scenario:  # fmt: skip
    """Open and validate a scenario; the arguments override what it says.  Raises InputError.

    Of a recording only: *whose* cost the result is about, *untraced_cpu_s*, what that took without a tracer, and
    *sample*, of which windows it is to be run if not whole; *recording*: what was read of it before, with those two;
    *report* is told what share of the reading is done.
    """
    options: dict[str, Any] = {"costs": costs, "cpus": cpus, "seed": seed, "overrides": overrides, "whose": whose,
               "untraced_cpu_s": untraced_cpu_s, "sample": sample, "recording": recording,
               "report": report}  # fmt: skip
    return _open(resolve(str(name)), **options)


def _open(
    path: Path, *, costs: str | None, cpus: int | None, seed: int | None, overrides: dict[str, Any] | None,
    whose: Whose, untraced_cpu_s: float | None, sample: Sample | None, recording: Recording | None,
    report: Callable[[float], None] | None,
) -> Scenario:  # fmt: skip
    """Open the scenario at *path*."""
    if not looks_like_recording(path):
        _refuse_recording(path)
        if not whose.everybody or untraced_cpu_s is not None:
            raise InputError(f"{path}: --comm, --pid and --untraced-cpu are for recordings; this is a behaviour")
        if sample is not None:
            raise InputError(f"{path}: --sample is for recordings; a behaviour is made as short as it should be")
        load = partial(load_behaviour, path, costs=costs, cpus=cpus, seed=seed, overrides=overrides)
        scenario = load()
        scenario.reopen = load
        return scenario
    if overrides:
        raise InputError(f"{path}: a recording has no key '{next(iter(overrides))}' to override")
    table = load_costs(costs or DEFAULT)
    read = recording or Recording(path, whose, untraced_cpu_s, report)
    machine = table.frequency_hz, seed or 0
    try:
        parts = None if sample is None else read.parts(sample, *machine)
    except NoRoomError:
        raise
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    source = read.source(*machine) if parts is None else partial(parts.source, 0)
    first = source()
    events = first.recorded["events"]
    short = printable(path.name).removesuffix(".gz").removesuffix(".txt").removesuffix(SUFFIX.removesuffix(".gz"))
    make = partial(
        Scenario,
        name=short, title="recording", path=path, profile=DEFAULT_PROFILE, baseline="none", pcid=None, costs=table,
        cpus=cpus or first.cpus, seed=seed or 0, source=source, events=events, size=events,
        parts=parts,
    )  # fmt: skip
    return make(reopen=make)


def _refuse_recording(path: Path) -> None:
    """A recording that somebody called ``*.toml`` would otherwise get a useless TOML error."""
    with open_regular(path, TIB) as file:
        start = file.read(FIRST_BYTES)
    if start.startswith(b"\x1f\x8b") or any(EVENT.match(line) for line in start.splitlines()):
        raise InputError(f"{path}: this is a recording, but *.toml is read as a behaviour; give it another name")
