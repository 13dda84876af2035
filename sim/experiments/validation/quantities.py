"""What publications print, computed from a paired run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sim.causes import REFILL, of_group
from sim.errors import InputError

if TYPE_CHECKING:
    from sim.timed.paired import PairedResult, RunResult

NS = 1_000_000_000
REFILLS = of_group(REFILL)
USER = ("user work", "user TLB refill")


class Quantity(NamedTuple):
    """A quantity: unit, meaning, and how a pair of runs gives it.

    *of* takes the pair, the iterations and the CPU that counts (None: all of them).  *reciprocal* says that the inverse
    of the quantity, not itself, grows in proportion to a time that is added to both runs.
    """

    unit: str
    says: str
    of: Callable[[PairedResult, int, int | None], float]
    reciprocal: bool = False


def busy_cycles(run: RunResult, cpu: int | None) -> int:
    """Cycles not idle, of one CPU or of all."""
    if cpu is None:
        return run.busy_cycles
    if cpu >= run.cpus:
        raise InputError(f"cpu = {cpu}: the scenario has {run.cpus} CPUs, counted from 0")
    frame = run.frames["ledger"]
    rows = zip(frame["cpu"], frame["cause"], frame["cycles"], strict=True)
    return sum(int(str(cycles)) for at, cause, cycles in rows if at == cpu and cause != "idle")


def iteration_ns(run: RunResult, iterations: int, cpu: int | None) -> float:
    """Nanoseconds of busy time an iteration."""
    return busy_cycles(run, cpu) / iterations * NS / run.frequency_hz


def _added_ns(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    return iteration_ns(pair.profile, iterations, cpu) - iteration_ns(pair.baseline, iterations, cpu)


def _overhead(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    base = busy_cycles(pair.baseline, cpu)
    return 100 * (busy_cycles(pair.profile, cpu) - base) / base


def _added_cycles(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    return (busy_cycles(pair.profile, cpu) - busy_cycles(pair.baseline, cpu)) / iterations


def _of_user(run: RunResult) -> tuple[int, int]:
    """Cycles in user mode, refills of its translations included, and those in the kernel."""
    user = sum(run.ledger[cause][1] for cause in USER if cause in run.ledger)
    return user, run.busy_cycles - user


def _user(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    base, own = _of_user(pair.baseline)[0], _of_user(pair.profile)[0]
    return 100 * (own - base) / base


def _system(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    base, own = _of_user(pair.baseline)[1], _of_user(pair.profile)[1]
    return 100 * (own - base) / base


def _elapsed(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    base = pair.baseline.elapsed_cycles
    return 100 * (pair.profile.elapsed_cycles - base) / base


def _loss(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    own = busy_cycles(pair.profile, cpu)
    return 100 * (own - busy_cycles(pair.baseline, cpu)) / own


def _gain(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    own = busy_cycles(pair.profile, cpu)
    return 100 * (busy_cycles(pair.baseline, cpu) - own) / own


def _run_ns(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    return iteration_ns(pair.profile, iterations, cpu)


def _run_cycles(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    return busy_cycles(pair.profile, cpu) / iterations


def _elapsed_ns(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    return pair.profile.elapsed_cycles / iterations * NS / pair.profile.frequency_hz


def _per_second(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    return iterations * pair.profile.frequency_hz / pair.profile.elapsed_cycles


def _refill(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    run = pair.profile
    rows = zip(*(run.frames["ledger"][column] for column in ("cpu", "cause", "cycles")), strict=True)
    refill = sum(int(str(cycles)) for at, cause, cycles in rows if cause in REFILLS and cpu in (None, at))
    return 100 * refill / busy_cycles(run, cpu)


def _flush_cycles(pair: PairedResult, iterations: int, cpu: int | None) -> float:
    frame = pair.profile.frames["shootdowns"]
    rows = zip(frame["cpu"], frame["pages"], frame["total_cycles"], strict=True)
    taken = [int(str(total)) for at, pages, total in rows if pages != -1 and cpu in (None, at)]
    if not taken:
        raise InputError("flush_cycles: no flush of single pages happened in this workload")
    return sum(taken) / len(taken)


QUANTITIES = {
    "added_ns": Quantity("ns", "busy time that the profile adds to an iteration", _added_ns),
    "added_cycles": Quantity("cycles", "busy cycles that the profile adds to an iteration", _added_cycles),
    "overhead_percent": Quantity("%", "busy time that the profile adds, of the baseline's", _overhead, True),
    "user_percent": Quantity("%", "time in user mode that the profile adds, of the baseline's", _user, True),
    "system_percent": Quantity("%", "time in the kernel that the profile adds, of the baseline's", _system, True),
    "elapsed_percent": Quantity("%", "elapsed time that the profile adds, of the baseline's", _elapsed, True),
    "loss_percent": Quantity("%", "throughput that the profile loses against the baseline", _loss, True),
    "gain_percent": Quantity("%", "throughput that the profile gains over the baseline", _gain, True),
    "run_ns": Quantity("ns", "busy time of an iteration under the profile", _run_ns),
    "run_cycles": Quantity("cycles", "busy cycles of an iteration under the profile", _run_cycles),
    "elapsed_ns": Quantity("ns", "elapsed time of an iteration under the profile, waiting included", _elapsed_ns),
    "per_second": Quantity("1/s", "iterations a second of elapsed time under the profile", _per_second, True),
    "refill_percent": Quantity("%", "TLB refills under the profile, of its busy time", _refill),
    "flush_cycles": Quantity("cycles", "mean length of a flush of single pages under the profile", _flush_cycles),
}
