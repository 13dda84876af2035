"""Whose CPU time a result is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.units import percent

if TYPE_CHECKING:
    from sim.timed.paired import PairedResult, RunResult

IDLE_TASK = "(idle)"
NOTHING = (0, 0)


def share(pair: PairedResult) -> dict[str, Any] | None:
    """Return the part of ``summary.json`` on those whom the run was asked about; None if that is everybody."""
    label = pair.baseline.whose
    if not label:
        return None
    base, profile = by_cause(pair.baseline, chosen=True), by_cause(pair.profile, chosen=True)

    def added(cause: str) -> int:
        return profile.get(cause, NOTHING)[1] - base.get(cause, NOTHING)[1]

    rows = [
        {
            "cause": cause,
            "count": profile.get(cause, NOTHING)[0],
            "baseline_cycles": base.get(cause, NOTHING)[1],
            "profile_cycles": profile.get(cause, NOTHING)[1],
        }
        for cause in sorted({**base, **profile}, key=lambda cause: (-added(cause), cause))
    ]
    own = {"baseline": sum(c for _, c in base.values()), "profile": sum(c for _, c in profile.values())}
    elapsed = {name: getattr(pair, name).chosen_elapsed_cycles for name in ("baseline", "profile")}
    rest = {name: getattr(pair, name).busy_cycles - own[name] for name in ("baseline", "profile")}
    whole = {
        "elapsed_cycles": elapsed,
        "elapsed_percent": percent(elapsed["baseline"], elapsed["profile"]),
        "switches": {name: getattr(pair, name).chosen_switches for name in ("baseline", "profile")},
    }
    return ({} if is_sample(pair.baseline) else whole) | {
        "label": label,
        "busy_cycles": own,
        "overhead_percent": percent(own["baseline"], own["profile"]),
        "ledger": rows,
        "rest": {"busy_cycles": rest, "overhead_percent": percent(rest["baseline"], rest["profile"])},
    }


def is_sample(run: RunResult) -> bool:
    """Return whether a result is the sum over windows of a recording: that has no beginning and no end of a task."""
    return "windows" in run.frames


def by_cause(run: RunResult, *, chosen: bool) -> dict[str, tuple[int, int]]:
    """(count, cycles) by cause of the tasks, those asked for or all, idle time left out."""
    found: dict[str, tuple[int, int]] = {}
    columns = ("comm", "chosen", "cause", "count", "cycles")
    tasks: dict[str, list[Any]] = run.frames.get("tasks", dict.fromkeys(columns, []))
    for comm, picked, cause, count, cycles in zip(*(tasks[column] for column in columns), strict=True):
        if comm != IDLE_TASK and cause != "idle" and (picked or not chosen):
            before = found.get(cause, NOTHING)
            found[cause] = (before[0] + count, before[1] + cycles)
    return found
