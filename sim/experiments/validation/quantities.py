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


def _added_percent(cycles: Callable[[RunResult, Scope], float]) -> Callable[[PairedResult, int, Scope], float]:
    """What the profile adds to *cycles* of a run, of the baseline's."""

    def added(pair: PairedResult, iterations: int, scope: Scope) -> float:
        base, own = cycles(pair.baseline, scope), cycles(pair.profile, scope)
        return 100 * (own - base) / base

    return added


def _added_cycles(pair: PairedResult, iterations: int, scope: Scope) -> float:
    return _iteration_cycles(pair.profile, iterations, scope) - _iteration_cycles(pair.baseline, iterations, scope)


def _user(run: RunResult, scope: Scope) -> int:
    """Cycles in user mode, refills of its translations included."""
    found = charges(run, scope)
    return sum(found.get(cause, 0) for cause in USER)


def _system(run: RunResult, scope: Scope) -> int:
    return busy_cycles(run, scope) - _user(run, scope)


def _ways_out(run: RunResult, scope: Scope) -> float:
    """Half of the crossings: a statistics clock samples the ways out in user mode.

    Their interrupts are off, so that the clock's is taken behind them.
    """
    found = charges(run, scope)
    return sum(found.get(cause, 0) for cause in CROSSINGS) / 2


def _sampled_user(run: RunResult, scope: Scope) -> float:
    return _user(run, scope) + _ways_out(run, scope)


def _sampled_system(run: RunResult, scope: Scope) -> float:
    return _system(run, scope) - _ways_out(run, scope)


def _elapsed(run: RunResult, scope: Scope) -> int:
    return run.elapsed_cycles


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
    "overhead_percent": Quantity(
        "%", "busy time that the profile adds, of the baseline's", _added_percent(busy_cycles), True
    ),
    "user_percent": Quantity(
        "%", "time in user mode that the profile adds, of the baseline's", _added_percent(_user), True
    ),
    "system_percent": Quantity(
        "%", "time in the kernel that the profile adds, of the baseline's", _added_percent(_system), True
    ),
    "sampled_user_percent": Quantity(
        "%", "the same, as sampled by a clock whose interrupt waits on the way out", _added_percent(_sampled_user), True
    ),
    "sampled_system_percent": Quantity(
        "%", "the same of time in the kernel, which has the ways in alone", _added_percent(_sampled_system), True
    ),
    "elapsed_percent": Quantity(
        "%", "elapsed time that the profile adds, of the baseline's", _added_percent(_elapsed), True, False
    ),
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
