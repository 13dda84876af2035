"""What a point of a sweep comes to: a flat row of numbers, of a whole run or of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.units import percent
from sim.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.timed.paired import PairedResult, RunResult

SHOOTDOWN_COLUMNS = (
    "targets", "mailbox_cycles", "send_cycles", "local_cycles", "ack_cycles", "receiver_cycles", "total_cycles",
)  # fmt: skip
WORK = ("user work", "kernel work")
COUNTERS = ("syscalls", "faults", "interrupts", "context_switches")


def row_of_whole(pair: PairedResult, warmup_ns: int) -> dict[str, Any]:
    """Return the row of a pair of whole runs.  Raises InputError if the warm-up leaves nothing of one."""
    base, run = pair.baseline, pair.profile
    return {
        **_machine(pair),
        "overhead_percent": percent(base.busy_cycles, run.busy_cycles),
        "elapsed_percent": percent(base.elapsed_cycles, run.elapsed_cycles),
        **_busy(pair),
        "baseline_elapsed_cycles": base.elapsed_cycles,
        "profile_elapsed_cycles": run.elapsed_cycles,
        **_counts(run),
        **_shootdowns(run),
        **_ledgers(pair),
        "steady_overhead_percent": _steady(pair, warmup_ns),
    }


def row_of_sample(pair: PairedResult, sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a sample, as :func:`sim.experiments.sampled.run_sample` makes it: sums, and what they say.

    What windows cannot carry, elapsed time and single shootdowns, is not in it.
    """
    row = _machine(pair) | _estimate("overhead_percent", sample["busy"])
    row |= {name: sample[name] for name in ("windows", "lines", "of_lines", "enough_windows")}
    row |= _busy(pair) | _counts(pair.profile) | _ledgers(pair)
    for cause in sample["causes"]:
        row |= _estimate(f"adds_percent: {cause['cause']}", cause)
    return row


def _estimate(name: str, found: Mapping[str, Any]) -> dict[str, float | None]:
    """An estimate and the ends of its interval, in columns of one name."""
    return {name: found["mean"], f"{name}_low": found["low"], f"{name}_high": found["high"]}


def _machine(pair: PairedResult) -> dict[str, Any]:
    """What it ran on, and whether all cycles are accounted for."""
    base, run = pair.baseline, pair.profile
    return {"pcid": run.pcid, "frequency_hz": run.frequency_hz, "conserved": base.conserved and run.conserved}


def _busy(pair: PairedResult) -> dict[str, int]:
    """CPU time."""
    return {"baseline_busy_cycles": pair.baseline.busy_cycles, "profile_busy_cycles": pair.profile.busy_cycles}


def _counts(run: RunResult) -> dict[str, int]:
    """How many there were of what is always counted."""
    return {name: run.counters.get(name, 0) for name in COUNTERS}


def _ledgers(pair: PairedResult) -> dict[str, int]:
    """The ledgers of both runs, a column for each cause."""
    runs = (("baseline", pair.baseline), ("profile", pair.profile))
    return {f"{name}: {cause}": cycles for name, run in runs for cause, (_, cycles) in run.ledger.items()}


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


def _shootdowns(run: RunResult) -> dict[str, int]:
    """Sums over the shootdowns that had a remote target."""
    frame = run.frames.get("shootdowns", {})
    remote = [place for place, targets in enumerate(frame.get("targets", [])) if targets]
    sums = {f"shootdown_{name}": sum(int(str(frame[name][place])) for place in remote) for name in SHOOTDOWN_COLUMNS}
    return {"shootdowns": len(remote), **sums}
