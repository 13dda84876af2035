"""What publications print, computed from a paired run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sim.causes import CROSSING, REFILL, of_group
from sim.errors import InputError
from sim.experiments.validation.scope import Scope, busy_cycles, charges, shares

if TYPE_CHECKING:
    from sim.timed.paired import PairedResult, RunResult

NS = 1_000_000_000
REFILLS = of_group(REFILL)
USER = ("user work", "user TLB refill")
CROSSINGS = of_group(CROSSING)


class Quantity(NamedTuple):
    """A quantity: unit, meaning, and how a pair of runs gives it.

    *of* takes the pair, the iterations and whose time counts.  *reciprocal* says that the inverse of the quantity, not
    itself, grows in proportion to a time that is added to both runs.  *parts*: whether one group, or the calls of one
    name, can have it.
    """

    unit: str
    says: str
    of: Callable[[PairedResult, int, Scope], float]
    reciprocal: bool = False
    parts: bool = True


def iteration_ns(run: RunResult, iterations: int, scope: Scope) -> float:
    """Nanoseconds of busy time an iteration, or a call if *scope* is of calls."""
    return _iteration_cycles(run, iterations, scope) * NS / run.frequency_hz


def _iteration_cycles(run: RunResult, iterations: int, scope: Scope) -> float:
    return busy_cycles(run, scope) / shares(run, iterations, scope)


def _added_ns(pair: PairedResult, iterations: int, scope: Scope) -> float:
    return iteration_ns(pair.profile, iterations, scope) - iteration_ns(pair.baseline, iterations, scope)


def _overhead(pair: PairedResult, iterations: int, scope: Scope) -> float:
    base = busy_cycles(pair.baseline, scope)
    return 100 * (busy_cycles(pair.profile, scope) - base) / base


def _added_cycles(pair: PairedResult, iterations: int, scope: Scope) -> float:
    return _iteration_cycles(pair.profile, iterations, scope) - _iteration_cycles(pair.baseline, iterations, scope)


def _of_user(run: RunResult, scope: Scope) -> tuple[int, int]:
    """Cycles in user mode, refills of its translations included, and those in the kernel."""
    found = charges(run, scope)
    user = sum(found.get(cause, 0) for cause in USER)
    return user, busy_cycles(run, scope) - user


def _user(pair: PairedResult, iterations: int, scope: Scope) -> float:
    base, own = _of_user(pair.baseline, scope)[0], _of_user(pair.profile, scope)[0]
    return 100 * (own - base) / base


def _system(pair: PairedResult, iterations: int, scope: Scope) -> float:
    base, own = _of_user(pair.baseline, scope)[1], _of_user(pair.profile, scope)[1]
    return 100 * (own - base) / base


def _of_sampled_user(run: RunResult, scope: Scope) -> tuple[float, float]:
    """The same as a statistics clock sees it: half of the crossings, the ways out, is sampled in user mode.

    Their interrupts are off, so that the clock's is taken behind them.
    """
    user, system = _of_user(run, scope)
    found = charges(run, scope)
    out = sum(found.get(cause, 0) for cause in CROSSINGS) / 2
    return user + out, system - out


def _sampled_user(pair: PairedResult, iterations: int, scope: Scope) -> float:
    base, own = _of_sampled_user(pair.baseline, scope)[0], _of_sampled_user(pair.profile, scope)[0]
    return 100 * (own - base) / base


def _sampled_system(pair: PairedResult, iterations: int, scope: Scope) -> float:
    base, own = _of_sampled_user(pair.baseline, scope)[1], _of_sampled_user(pair.profile, scope)[1]
    return 100 * (own - base) / base


def _elapsed(pair: PairedResult, iterations: int, scope: Scope) -> float:
    base = pair.baseline.elapsed_cycles
    return 100 * (pair.profile.elapsed_cycles - base) / base


def _loss(pair: PairedResult, iterations: int, scope: Scope) -> float:
    own = busy_cycles(pair.profile, scope)
    return 100 * (own - busy_cycles(pair.baseline, scope)) / own


def _gain(pair: PairedResult, iterations: int, scope: Scope) -> float:
    own = busy_cycles(pair.profile, scope)
    return 100 * (busy_cycles(pair.baseline, scope) - own) / own


def _run_ns(pair: PairedResult, iterations: int, scope: Scope) -> float:
    return iteration_ns(pair.profile, iterations, scope)


def _run_cycles(pair: PairedResult, iterations: int, scope: Scope) -> float:
    return _iteration_cycles(pair.profile, iterations, scope)


def _elapsed_ns(pair: PairedResult, iterations: int, scope: Scope) -> float:
    return pair.profile.elapsed_cycles / iterations * NS / pair.profile.frequency_hz


def _per_second(pair: PairedResult, iterations: int, scope: Scope) -> float:
    return iterations * pair.profile.frequency_hz / pair.profile.elapsed_cycles


def _elapsed_loss(pair: PairedResult, iterations: int, scope: Scope) -> float:
    own = pair.profile.elapsed_cycles
    return 100 * (own - pair.baseline.elapsed_cycles) / own


def _refill(pair: PairedResult, iterations: int, scope: Scope) -> float:
    found = charges(pair.profile, scope)
    return 100 * sum(found.get(cause, 0) for cause in REFILLS) / busy_cycles(pair.profile, scope)


def _flush_cycles(pair: PairedResult, iterations: int, scope: Scope) -> float:
    frame = pair.profile.frames["shootdowns"]
    rows = zip(frame["cpu"], frame["pages"], frame["total_cycles"], strict=True)
    taken = [int(str(total)) for at, pages, total in rows if pages != -1 and scope.cpu in (None, at)]
    if not taken:
        raise InputError("flush_cycles: no flush of single pages happened in this workload")
    return sum(taken) / len(taken)


QUANTITIES = {
    "added_ns": Quantity("ns", "busy time that the profile adds to an iteration", _added_ns),
    "added_cycles": Quantity("cycles", "busy cycles that the profile adds to an iteration", _added_cycles),
    "overhead_percent": Quantity("%", "busy time that the profile adds, of the baseline's", _overhead, True),
    "user_percent": Quantity("%", "time in user mode that the profile adds, of the baseline's", _user, True),
    "system_percent": Quantity("%", "time in the kernel that the profile adds, of the baseline's", _system, True),
    "sampled_user_percent": Quantity(
        "%", "the same, as sampled by a clock whose interrupt waits on the way out", _sampled_user, True
    ),
    "sampled_system_percent": Quantity(
        "%", "the same of time in the kernel, which has the ways in alone", _sampled_system, True
    ),
    "elapsed_percent": Quantity("%", "elapsed time that the profile adds, of the baseline's", _elapsed, True, False),
    "elapsed_loss_percent": Quantity(
        "%", "iterations a second of elapsed time that the profile loses", _elapsed_loss, True, False
    ),
    "loss_percent": Quantity("%", "throughput that the profile loses against the baseline", _loss, True),
    "gain_percent": Quantity("%", "throughput that the profile gains over the baseline", _gain, True),
    "run_ns": Quantity("ns", "busy time of an iteration under the profile", _run_ns),
    "run_cycles": Quantity("cycles", "busy cycles of an iteration under the profile", _run_cycles),
    "elapsed_ns": Quantity(
        "ns", "elapsed time of an iteration under the profile, waiting included", _elapsed_ns, parts=False
    ),
    "per_second": Quantity("1/s", "iterations a second of elapsed time under the profile", _per_second, True, False),
    "refill_percent": Quantity("%", "TLB refills under the profile, of its busy time", _refill),
    "flush_cycles": Quantity(
        "cycles", "mean length of a flush of single pages under the profile", _flush_cycles, parts=False
    ),
}
