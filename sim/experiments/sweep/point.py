"""One point of a sweep, run in a worker: from parameters to a flat row of numbers."""

from __future__ import annotations

import tempfile
import threading
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenarios.open import open_scenario
from scenarios.recordings import Recording, looks_like_recording
from scenarios.recordings.windows import read_sample
from sim.errors import InputError
from sim.experiments.failed import Failed, attempt
from sim.experiments.sampled import run_sample
from sim.experiments.sweep.contents import file_hash
from sim.experiments.sweep.grid import Point
from sim.experiments.sweep.pairs import Pairs
from sim.experiments.sweep.row import row_of_sample, row_of_whole
from sim.scratch import NoRoomError
from sim.version import version

if TYPE_CHECKING:
    from scenarios.scenario import Scenario


class _Kept(threading.local):
    """What the next point may need of the last one, in each thread.

    Attributes:
        recordings: the recording as read, or why it cannot be, which is no other for the next point.
        read: the scenario that was made of it.
        pairs: baselines.
    """

    def __init__(self) -> None:
        self.recordings: dict[tuple[str, str], Recording | str] = {}
        self.read: dict[tuple[Any, ...], Scenario] = {}
        self.pairs = Pairs()


_kept = _Kept()


def forget() -> None:
    """Keep nothing of this thread's last point."""
    _kept.recordings, _kept.read, _kept.pairs = {}, {}, Pairs()


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs: the point; the paths and hashes of its files; the version of the code.

    *again*: other points want something else of its recording, for another clock or seed, so that it is kept.
    *baseline*: the same for points whose baselines are one run.
    """

    point: Point
    paths: dict[str, str]
    hashes: dict[str, str]
    version: str
    again: bool = False
    baseline: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """A finished point, or why it failed; *bug* says that it is the model that is wrong, not the input."""

    row: dict[str, Any] | None
    failure: str = ""
    bug: bool = False


def run_job(job: Job) -> Done:
    """Run one point.  Whatever goes wrong is part of the answer, so that other points go on."""
    done = attempt(lambda: _checked(job))
    return Done(None, _without_paths(done.reason, job.paths), done.bug) if isinstance(done, Failed) else done


def _checked(job: Job) -> Done:
    """Run one point with the same code and files as the sweep was begun with."""
    if job.version != version():
        raise InputError("the worker has another version of svs-sim, Python, simpy or networkx; install the same")
    row = run_point(job)
    for name, path in job.paths.items():
        if file_hash(Path(path)) != job.hashes[name]:
            forget()
            raise InputError(f"{path} was changed while the sweep ran; run it again")
    return Done(row)


def _without_paths(reason: str, paths: dict[str, str]) -> str:
    """The reason of a failure with files named as in the sweep: the same on every machine."""
    for name, path in sorted(paths.items(), key=lambda item: -len(item[1])):
        reason = reason.replace(path, name)
    return reason


def run_sent(job: Job, *contents: bytes) -> Done:
    """Run one point on a machine that does not have its files: *contents* are theirs, in the order of ``paths``."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for number, ((name, path), data) in enumerate(zip(job.paths.items(), contents, strict=True)):
            place = Path(folder) / str(number) / Path(path).name
            place.parent.mkdir()
            place.write_bytes(data)
            paths[name] = str(place)
        return run_job(replace(job, paths=paths))


def run_point(job: Job) -> dict[str, Any]:
    """Return the row of a point: numbers and texts, the parameters not included."""
    point = job.point
    scenario = _open(job)
    cpus = point.cpus or scenario.cpus
    options: dict[str, Any] = {
        "profile": point.profile, "baseline": point.baseline,
        "pcid": scenario.pcid if point.pcid is None else point.pcid, "cpus": cpus, "costs": scenario.costs,
        "seed": scenario.seed,
    }  # fmt: skip
    pairs = _kept.pairs.about((_files_of(job), point.overrides, point.baseline, options["pcid"], cpus))
    if scenario.parts is None:
        row = row_of_whole(pairs.run(0, scenario.source, **options), point.warmup_ns)
    else:
        row = row_of_sample(*run_sample(scenario, options, jobs=1, run=pairs.run))
    return {"scenario": scenario.name, "costs": scenario.costs.name, "cpus": cpus, **row}


def _open(job: Job) -> Scenario:
    """The point's scenario; points of one recording that follow one another share what was read of it."""
    point, paths = job.point, job.paths
    path = Path(paths[point.scenario])
    costs = None if point.table is None else paths[point.table] + point.options
    if not looks_like_recording(path):
        overrides = deepcopy(dict(point.overrides)) or None
        return open_scenario(path, costs=costs, cpus=point.cpus, seed=point.seed, overrides=overrides)
    key = _files_of(job)
    if key not in _kept.read:
        _kept.read.clear()
        sample = None if point.sample is None else read_sample(point.sample)
        recording = _recording(job, path)
        _kept.read[key] = open_scenario(path, costs=costs, seed=point.seed, sample=sample, recording=recording)
        if not job.again:
            _kept.recordings.clear()
    return _kept.read[key]


def _recording(job: Job, path: Path) -> Recording:
    """The point's recording, read once; if it cannot be read, that is found out once."""
    name = job.point.scenario
    key = name, job.hashes[name]
    if key not in _kept.recordings:
        _kept.recordings.clear()
        try:
            _kept.recordings[key] = Recording(path)
        except NoRoomError:  # there may be room for the next point
            raise
        except InputError as error:
            _kept.recordings[key] = _without_paths(str(error), job.paths)
    found = _kept.recordings[key]
    if isinstance(found, str):
        raise InputError(found)
    return found


def _files_of(job: Job) -> tuple[Any, ...]:
    """What decides what is read of the point's files, by their contents: on a cluster, each point has copies."""
    point = job.point
    return point.scenario, tuple(job.hashes.items()), point.options, point.seed, point.sample
