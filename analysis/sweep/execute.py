"""Running a sweep: what is cached is read, the rest is run here or on a cluster, the result is written at the end."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd

from analysis.sweep.grid import Point, Sweep, code_version, file_hash, point_key
from analysis.sweep.point import Done, Job, run_job
from analysis.sweep.store import Store, write_whole
from sim.errors import InputError

Progress = Callable[[int, int], None]
CACHE = ".cache"
SUMMARY = "summary.json"
POINTS = "points.parquet"
AHEAD = 4


@dataclass(frozen=True, slots=True)
class Failure:
    """A point that could not be run."""

    parameters: dict[str, Any]
    reason: str


@dataclass(slots=True)
class SweepOutcome:
    """What a sweep gave: a row a point, in the order of the grid; how many points were computed, cached, damaged."""

    frame: pd.DataFrame
    failures: list[Failure]
    computed: int
    cached: int
    damaged: int


def run_sweep(
    sweep: Sweep, out: Path | str, *, jobs: int = 1, cluster: str | None = None, progress: Progress | None = None
) -> SweepOutcome:
    """Run all points that the cache in *out* does not hold and write ``points.parquet`` and ``summary.json``.

    *jobs* is the number of local processes, *cluster* the address of a Dask scheduler to use instead; the files are
    the same bytes either way.  *progress* is called with points done and points in all.  Raises InputError.
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
    finished = _on_cluster(sweep, todo, cluster) if cluster else _here(sweep, todo, jobs)
    if progress is not None:
        progress(cached, len(keys))
    try:
        for number, done in finished:
            if done.row is None:
                failures[number] = Failure(sweep.points[number].parameters(), done.failure)
            else:
                rows[number] = store.put(keys[number], done.row)
            if progress is not None:
                progress(len(rows) + len(failures), len(keys))
    finally:
        store.remove_if_empty()
    frame = _frame(sweep, rows)
    outcome = SweepOutcome(frame, [failures[n] for n in sorted(failures)], len(rows) - cached, cached, store.damaged)
    _write(sweep, out, outcome)
    return outcome


def _refuse_foreign(out: Path) -> None:
    """Only a new or empty folder, or that of an earlier sweep, may be written to."""
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file; results are written into a folder of their own")
    if out.is_dir() and any(out.iterdir()) and not (out / CACHE).is_dir():
        raise InputError(f"'{out}' holds files but no earlier sweep; give a new or an empty folder")


def _job(sweep: Sweep, point: Point, *, send: bool) -> Job:
    """What a worker is given; with *send*, the files themselves."""
    names = [name for name in (point.scenario, point.costs) if name is not None]
    paths = {name: str(sweep.files[name]) for name in names}
    contents = {name: (sweep.files[name].name, sweep.files[name].read_bytes()) for name in names} if send else {}
    return Job(point, paths, contents, code_version())


def _here(sweep: Sweep, todo: list[int], jobs: int) -> Iterator[tuple[int, Done]]:
    """Run points in local processes, a few handed out ahead of those that run."""
    if jobs == 1 or len(todo) < 2:
        for number in todo:
            yield number, run_job(_job(sweep, sweep.points[number], send=False))
        return
    # Not forked: a child must not inherit the progress bar's thread.
    with ProcessPoolExecutor(
        min(jobs, len(todo)), mp_context=get_context("spawn"), initializer=_end_with_parent
    ) as pool:
        running = {}
        rest = iter(todo)
        try:
            while True:
                for number in rest:
                    running[pool.submit(run_job, _job(sweep, sweep.points[number], send=False))] = number
                    if len(running) >= AHEAD * jobs:
                        break
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool:
            raise InputError(
                "a worker process was killed, perhaps for lack of memory; finished points are kept: run the same "
                "command again, with fewer --jobs"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """End this worker when its parent is killed: it would wait for work for ever."""
    parent = parent_process()

    def wait_for_its_end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait_for_its_end, daemon=True).start()


def _on_cluster(sweep: Sweep, todo: list[int], address: str) -> Iterator[tuple[int, Done]]:
    """Run points on a Dask cluster."""
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise InputError("--cluster needs Dask: install 'svs-sim[cluster]'") from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"--cluster {address}: no Dask scheduler answers there ({type(error).__name__})") from None
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise InputError(f"--cluster {address}: the scheduler has no workers")
        numbers = {}
        for number in todo:
            future = client.submit(run_job, _job(sweep, sweep.points[number], send=True), pure=False)
            numbers[future.key] = (number, future)
        for future in as_completed([future for _, future in numbers.values()], loop=client.loop):
            number, _ = numbers.pop(future.key)
            failure = future.exception()
            yield number, future.result() if failure is None else Done(None, f"{type(failure).__name__}: {failure}")


def _frame(sweep: Sweep, rows: dict[int, dict[str, Any]]) -> pd.DataFrame:
    """One row a point in the order of the grid, parameters first."""
    frame = pd.DataFrame([{**sweep.points[n].parameters(), **rows[n]} for n in sorted(rows)])
    for column in frame.columns:
        if column.startswith("set.") and len({type(value) for value in frame[column]}) > 1:
            frame[column] = frame[column].astype(str)
    return frame


def _write(sweep: Sweep, out: Path, outcome: SweepOutcome) -> None:
    """Write the result, the summary last."""
    out.mkdir(parents=True, exist_ok=True)
    summary = {
        "sweep": sweep.name,
        "title": sweep.title,
        "seed": sweep.seed,
        "replications": sweep.replications,
        "points": len(sweep.points),
        "scenarios": sorted({point.scenario for point in sweep.points}),
        "intervals": "Student's t over replications (scipy.stats.t.interval), 95 %",
        "warmup": f"first {sweep.points[0].warmup_ns / 1e6:g} ms of each run left out of steady_overhead_percent",
        "failed": [{"parameters": failure.parameters, "reason": failure.reason} for failure in outcome.failures],
    }
    buffer = io.BytesIO()
    outcome.frame.to_parquet(buffer, index=False, engine="pyarrow", compression="zstd")
    write_whole(out / POINTS, buffer.getvalue())
    write_whole(out / SUMMARY, (json.dumps(summary, indent=2, sort_keys=True) + "\n").encode())
