"""Running a sweep: what is cached is read, the rest is run here or on a cluster, the result is written at the end."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.files import is_partial, write_whole
from analysis.folder import SUMMARY, holds
from analysis.provenance import Input, provenance, write_frame
from scenarios.recordings import looks_like_recording
from sim.errors import InputError
from sim.experiments.store import ENTRY, Store
from sim.experiments.sweep.contents import file_hash
from sim.experiments.sweep.grid import Point, Sweep, point_key
from sim.experiments.sweep.local import run_here
from sim.experiments.sweep.point import Done, Job
from sim.version import version

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int], None]
CACHE = ".cache"
POINTS = "points.parquet"
OVER_REPLICATIONS = "Student's t over replications (scipy.stats.t.interval), 95 %"
OVER_WINDOWS = "of a ratio estimate, Student's t over the windows of a point, 95 %"
DRAWN = ("charts", "report.html", "points.csv")


@dataclass(frozen=True, slots=True)
class Failure:
    """A point that could not be run; *bug* says that it is the model that is wrong, not the input."""

    parameters: dict[str, Any]
    reason: str
    bug: bool = False


@dataclass(slots=True)
class SweepOutcome:
    """What a sweep gave: one row per point, in grid order; how many points were computed, cached, damaged."""

    frame: pd.DataFrame
    failures: list[Failure]
    computed: int
    cached: int
    damaged: int


def run_sweep(
    sweep: Sweep, out: Path | str, *, jobs: int = 1, cluster: str | None = None, progress: Progress | None = None,
    command: str | None = None,
) -> SweepOutcome:  # fmt: skip
    """Run all points that the cache in *out* does not hold and write ``points.parquet`` and ``summary.json``.

    *jobs* is the number of local processes, *cluster* the address of a Dask scheduler to use instead; the files are
    the same bytes either way.  *progress* is called with points done and points in all.  *command* is the
    command line to be kept.  Raises InputError.
    """
    out = Path(out)
    _refuse_foreign(out)
    hashes = {name: file_hash(path) for name, path in sweep.files.items()}
    keys = [point_key(point, hashes) for point in sweep.points]
    store = Store(out / CACHE)
    rows: dict[int, dict[str, Any]] = {}
    for number, key in enumerate(keys):
        row = store.get(key)
        if row is not None:
            rows[number] = row
    cached = len(rows)
    todo = [number for number in range(len(keys)) if number not in rows]
    failures: dict[int, Failure] = {}
    if progress is not None:
        progress(cached, len(keys))
    try:
        with closing(_run(sweep, todo, hashes, jobs, cluster)) as finished:
            for number, done in finished:
                if done.row is None:
                    failures[number] = Failure(sweep.points[number].parameters(), done.failure, done.bug)
                else:
                    rows[number] = store.put(keys[number], done.row)
                if progress is not None:
                    progress(len(rows) + len(failures), len(keys))
    finally:
        store.remove_if_empty()
    frame = _frame(sweep, rows)
    outcome = SweepOutcome(frame, [failures[n] for n in sorted(failures)], len(rows) - cached, cached, store.damaged)
    _write(sweep, out, outcome, provenance(_inputs(sweep, hashes), command))
    return outcome


def _inputs(sweep: Sweep, hashes: dict[str, str]) -> list[Input]:
    """The files that the points stand on."""
    scenarios = {point.scenario for point in sweep.points}
    kinds = {name: "costs" if name not in scenarios else "recording" if looks_like_recording(path) else "scenario"
             for name, path in sweep.files.items()}  # fmt: skip
    return [{"kind": kinds[name], "name": sweep.files[name].name, "sha256": digest} for name, digest in hashes.items()]


def _refuse_foreign(out: Path) -> None:
    """Only a new or empty folder, or that of an earlier sweep, may be written to."""
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file; results are written into a folder of their own")
    if out.is_dir() and any(out.iterdir()) and not _is_sweep(out):
        raise InputError(f"'{out}' holds files but no earlier sweep; give a new or an empty folder")


def _is_sweep(out: Path) -> bool:
    """Whether a folder is an earlier sweep's: by its summary or, if it has none yet, by what is in its cache."""
    if (out / SUMMARY).exists():
        return holds(out / SUMMARY, ("sweep", "points", "failed"))
    if (out / CACHE).is_symlink() or not (out / CACHE).is_dir():
        return False
    kept = [entry.name for entry in (out / CACHE).iterdir()]
    return all(is_partial(name) or ENTRY.fullmatch(name) for name in kept) and (
        bool(kept) or len(list(out.iterdir())) == 1
    )


def _jobs(sweep: Sweep, todo: list[int], hashes: dict[str, str]) -> Iterator[tuple[int, Job]]:
    """What the workers are given: points with one baseline follow one another, so that a process runs it once."""
    baselines = {number: _baseline(sweep.points[number]) for number in todo}
    first: dict[str, int] = {}
    readings: dict[str, set[Any]] = {}
    for number in todo:
        point = sweep.points[number]
        first.setdefault(baselines[number], number)
        readings.setdefault(point.scenario, set()).add((point.table, point.options, point.seed))
    for number in sorted(todo, key=lambda number: first[baselines[number]]):
        point = sweep.points[number]
        paths = {name: str(sweep.files[name]) for name in point.files}
        again = len(readings[point.scenario]) > 1
        own = {name: hashes[name] for name in point.files}
        yield number, Job(point, paths, own, version(), again, baselines[number])


def _baseline(point: Point) -> str:
    """The same for points whose baselines are one run."""
    return json.dumps((point.scenario, point.costs, point.cpus, point.overrides, point.pcid, point.replication))


def _run(
    sweep: Sweep, todo: list[int], hashes: dict[str, str], jobs: int, cluster: str | None
) -> Generator[tuple[int, Done], None, None]:
    """Run points here or on a cluster."""
    work = _jobs(sweep, todo, hashes)
    if cluster is not None and todo:
        from sim.experiments.sweep.cluster import run_on_cluster  # here, because workers need none of it

        yield from run_on_cluster(work, sweep.files, cluster)
    else:
        yield from run_here(work, min(jobs, max(len(todo), 1)))


def _frame(sweep: Sweep, rows: dict[int, dict[str, Any]]) -> pd.DataFrame:
    """One row a point in the order of the grid, parameters first."""
    import pandas as pd  # here, because workers need none

    frame = pd.DataFrame([{**sweep.points[n].parameters(), **rows[n]} for n in sorted(rows)])
    for column in frame.columns:
        if column.startswith("set.") and frame[column].map(_kind).nunique() > 1:
            frame[column] = frame[column].astype(str)
        elif frame[column].isna().all():  # numbers that no point has
            frame[column] = frame[column].astype(float)
    for column in ("scenario", "costs"):
        # Files that call themselves the same are distinguished by the names that the sweep gives them.
        given = pd.Series([getattr(sweep.points[n], column) for n in sorted(rows)], dtype=object)
        if len(rows) and given.groupby(frame[column]).nunique().max() > 1:
            frame[column] = given.where(given.notna(), frame[column])
    return frame


def _kind(value: object) -> str:
    """Text, number, or true and false: what may stand in one column."""
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _write(sweep: Sweep, out: Path, outcome: SweepOutcome, origin: dict[str, Any]) -> None:
    """Write the result, the summary last; what was drawn from another result goes."""
    sampled = sweep.sample is not None
    left_out = f"first {sweep.points[0].warmup_ns / 1e6:g} ms of each run left out of steady_overhead_percent"
    summary = {
        "sweep": sweep.name,
        "title": sweep.title,
        "seed": sweep.seed,
        "replications": sweep.replications,
        "points": len(sweep.points),
        "scenarios": sorted({point.scenario for point in sweep.points}),
        "sample": sweep.sample,
        "intervals": OVER_WINDOWS if sampled else OVER_REPLICATIONS,
        "warmup": "before each window, not measured" if sampled else left_out,
        "failed": [{"parameters": failure.parameters, "reason": failure.reason} for failure in outcome.failures],
        **origin,
    }
    buffer = io.BytesIO()
    write_frame(buffer, outcome.frame, summary)
    new = {POINTS: buffer.getvalue(), SUMMARY: (json.dumps(summary, indent=2, sort_keys=True) + "\n").encode()}
    if all((out / name).is_file() and (out / name).read_bytes() == data for name, data in new.items()):
        return
    (out / SUMMARY).unlink(missing_ok=True)
    for name in DRAWN:
        if (out / name).is_dir():
            shutil.rmtree(out / name)
        (out / name).unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    for name, data in new.items():
        write_whole(out / name, data)
