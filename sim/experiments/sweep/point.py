"""One point of a sweep, run in a worker: from parameters to a flat row of numbers."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.units import percent
from scenarios.open import open_scenario
from sim.errors import InputError
from sim.experiments.failed import Failed, attempt
from sim.experiments.sweep.contents import file_hash
from sim.experiments.sweep.grid import Point
from sim.timed.paired import run_paired
from sim.version import version

if TYPE_CHECKING:
    from sim.timed.paired import PairedResult, RunResult

SHOOTDOWN_COLUMNS = (
    "targets", "mailbox_cycles", "send_cycles", "local_cycles", "ack_cycles", "receiver_cycles", "total_cycles",
)  # fmt: skip
WORK = ("user work", "kernel work")
COUNTERS = ("syscalls", "faults", "interrupts", "context_switches")


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs: the point; the paths and hashes of its files; the version of the code."""

    point: Point
    paths: dict[str, str]
    hashes: dict[str, str]
    version: str


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
    row = run_point(job.point, job.paths)
    for name, path in job.paths.items():
        if file_hash(Path(path)) != job.hashes[name]:
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


def run_point(point: Point, paths: dict[str, str]) -> dict[str, Any]:
    """Return the row of a point: numbers and texts, the parameters not included."""
    costs = None if point.table is None else paths[point.table] + point.options
    scenario = open_scenario(
        paths[point.scenario], costs=costs, cpus=point.cpus, seed=point.seed,
        overrides=deepcopy(dict(point.overrides)) or None,
    )  # fmt: skip
    pair = run_paired(
        scenario.source, profile=point.profile, baseline=point.baseline,
        pcid=scenario.pcid if point.pcid is None else point.pcid, cpus=scenario.cpus, costs=scenario.costs,
        seed=scenario.seed,
    )  # fmt: skip
    own = {"scenario": scenario.name, "costs": scenario.costs.name, "cpus": scenario.cpus}
    return {**own, **_measures(pair), "steady_overhead_percent": _steady(pair, point.warmup_ns)}


def _steady(pair: PairedResult, warmup_ns: int) -> float:
    """Overhead once the runs are warm: CPU cycles for a cycle of work, in the ledger's windows after the warm-up.

    The runs do the same work at different times, so their windows hold different work: it is compared per cycle of
    user and kernel work.  InputError if the warm-up leaves no whole window of a run.
    """
    base, profile = (_cost_of_work(run, warmup_ns) for run in (pair.baseline, pair.profile))
    return round(100 * (profile / base - 1), 6)


def _cost_of_work(run: RunResult, warmup_ns: int) -> float:
    """CPU cycles spent for a cycle of user and kernel work."""
    cut = warmup_ns * run.frequency_hz // 1_000_000_000
    frame = run.frames["ledger"]
    busy = work = 0
    for time, cause, cycles in zip(frame["time_cycles"], frame["cause"], frame["cycles"], strict=True):
        if int(str(time)) >= cut and cause != "idle":
            busy += int(str(cycles))
            work += int(str(cycles)) if cause in WORK else 0
    if not work:
        raise InputError(
            f"warmup: after {warmup_ns / 1e6:g} ms the run of {run.profile} does no work in any 10 ms window; it ends "
            f"at {1e3 * run.elapsed_cycles / run.frequency_hz:.3g} ms"
        )
    return busy / work


def _measures(pair: PairedResult) -> dict[str, Any]:
    """All numbers that a row holds."""
    base, run = pair.baseline, pair.profile
    row: dict[str, Any] = {
        "pcid": run.pcid,
        "frequency_hz": run.frequency_hz,
        "conserved": base.conserved and run.conserved,
        "overhead_percent": percent(base.busy_cycles, run.busy_cycles),
        "elapsed_percent": percent(base.elapsed_cycles, run.elapsed_cycles),
        "baseline_busy_cycles": base.busy_cycles,
        "profile_busy_cycles": run.busy_cycles,
        "baseline_elapsed_cycles": base.elapsed_cycles,
        "profile_elapsed_cycles": run.elapsed_cycles,
    }
    row.update({name: run.counters.get(name, 0) for name in COUNTERS})
    row.update(_shootdowns(run))
    for name, one in (("baseline", base), ("profile", run)):
        row.update({f"{name}: {cause}": cycles for cause, (_, cycles) in one.ledger.items()})
    return row


def _shootdowns(run: RunResult) -> dict[str, int]:
    """Sums over the shootdowns that had a remote target."""
    frame = run.frames.get("shootdowns", {})
    remote = [place for place, targets in enumerate(frame.get("targets", [])) if targets]
    sums = {f"shootdown_{name}": sum(int(str(frame[name][place])) for place in remote) for name in SHOOTDOWN_COLUMNS}
    return {"shootdowns": len(remote), **sums}
