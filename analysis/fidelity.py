"""How well a replay meets its recording, and what an unknown tracer may hide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analysis.rates import FEWEST, switch_cycles
from analysis.sampling import sample_text
from analysis.shares import by_cause, is_sample
from analysis.units import counted, percent, percent_text, time_text

if TYPE_CHECKING:
    from sim.timed.paired import PairedResult, RunResult

WARNS_ABOVE = 10  # percent
BUSY_SHARE = 2  # others that take more than this part of one CPU keep the machine busy
SHORT = 1e-3  # seconds in which beginnings and ends of tasks count
RUNS = {"baseline": "baseline_", "profile": ""}
MISSING_SHARE = 50  # more missing events than this part of the switches explain much
NAMES = {
    "elapsed_cycles": "elapsed",
    "cpu_cycles": "CPU time",
    "context_switches": "context switches",
    "syscalls": "system calls",
    "faults": "page faults",
    "forks": "forks",
}


def fidelity(pair: PairedResult) -> list[dict[str, Any]]:
    """Return how the baseline's replay compares with its recording, a row a number; empty for behaviours.

    Each row: ``what``; ``recorded``; ``untraced``, what it is without the tracer (null: unknown); ``replayed``;
    ``difference_percent``, of ``replayed`` to ``untraced`` if known, else to ``recorded`` (an elapsed time between the
    two does not differ, for waiting takes as long with a tracer as without); ``why``, in a sentence.
    """
    run = pair.baseline
    recorded = run.recorded
    if "cpu_cycles" not in recorded:
        return []
    if is_sample(run):
        cpu = sum(cycles for _, cycles in by_cause(run, chosen=False).values())
        return [_row("cpu_cycles", recorded["sampled_cycles"], cpu, None)]
    cpu = sum(cycles for _, cycles in by_cause(run, chosen=bool(run.whose)).values())
    of, elapsed = ("chosen_", run.chosen_elapsed_cycles) if run.whose else ("", run.elapsed_cycles)
    traced, untraced = recorded[f"{of}cpu_cycles"], recorded.get("untraced_cpu_cycles")
    rows = [
        _row("elapsed_cycles", recorded[f"{of}elapsed_cycles"], elapsed, recorded.get("untraced_elapsed_cycles"),
             shorter=traced - untraced if untraced else 0),
        _row("cpu_cycles", traced, cpu, untraced),
    ]  # fmt: skip
    counters = run.counters
    for what in ("context_switches", "syscalls", "faults", "forks"):
        rows.append(_row(what, recorded[what], counters.get(what, 0), None, _why(what, run)))
    return rows


def _row(
    what: str, recorded: int, replayed: int, untraced: int | None, why: str = "", shorter: int = 0
) -> dict[str, Any]:
    """One row; *shorter*: by how much an elapsed time may be so where nobody knows what it is without the tracer."""
    wanted = recorded - shorter if untraced is None else untraced
    if what == "elapsed_cycles":
        wanted = min(max(replayed, min(wanted, recorded)), max(wanted, recorded))
    return {
        "what": what,
        "recorded": recorded,
        "untraced": untraced,
        "replayed": replayed,
        "difference_percent": percent(wanted, replayed),
        "why": why,
    }


def _why(what: str, run: RunResult) -> str:
    """Why a count differs from what a plain count of the recording's lines gives."""
    counts, assumed = run.counters, run.assumptions
    parts = {
        "context_switches": [
            (run.recorded["context_switches"] - run.recorded["context_switches_printed"], "not printed"),
            (counts.get("sleeps avoided", 0), "sleeps less, for their wake-ups came first"),
        ],
        "syscalls": [(counts.get("made-up calls", 0), "more made up, counted apart")],
        "faults": [
            (counts.get("faults of the model", 0), "of the model's own"),
            (assumed.get("faults_outside_user_space", 0), "outside user space, left out"),
        ],
        "forks": [(assumed.get("forks_by_unknown_tasks", 0), "by tasks that are not recorded")],
    }[what]
    return ", ".join(f"{n:,} {text}" for n, text in parts if n)


def switches_warning(summary: Mapping[str, Any]) -> str | None:
    """Return a sentence on how many switches the replay has too few or too many; None if that matters little.

    It matters if as many as recorded, each at the price of those that there are, would change what the profile adds by
    more than a tenth.
    """
    of, recorded = summary["whose"] or summary, summary["recorded"]
    counts = of.get("switches") or {run: summary[f"{key}counters"]["context_switches"] for run, key in RUNS.items()}
    wanted = recorded["chosen_switches" if "switches" in of else "context_switches"]
    base, profile = of["busy_cycles"]["baseline"], of["busy_cycles"]["profile"]
    missing, added = wanted - counts["baseline"], switch_cycles(of["ledger"])
    if not base or counts["profile"] < FEWEST or not matters(missing * added / counts["profile"], profile - base):
        return None
    about = 100 * (profile - base + missing * added / counts["profile"]) / base
    what = "switches to and from its tasks" if "switches" in of else "context switches"
    return (
        f"The replay has {counts['baseline']:,} {what}, the recording {wanted:,}: tasks take turns "
        f"{'less' if missing > 0 else 'more'} often there. With as many as recorded, the overhead would be about "
        f"{about:.1f} %."
    )


def matters(change: float, added: int) -> bool:
    """Whether a change of what a profile adds is more than a tenth of it."""
    return abs(change) * 100 > WARNS_ABOVE * abs(added)


def warning(summary: Mapping[str, Any]) -> str | None:
    """Return a sentence on how far the replay is from its recording, with the likely reason; None within 10 %."""
    off = {row["what"]: row["difference_percent"] for row in summary.get("fidelity", ()) if row["what"] in _TIMES}
    worst = max(off, key=lambda what: abs(off[what] or 0), default=None)
    if worst is None or abs(off[worst] or 0) <= WARNS_ABOVE:
        return None
    why = _reason(summary, worst, off[worst])
    return f"The replay's {_TIMES[worst]} is {off[worst]:+.0f} % off the recording's: {why}."


_TIMES = {"elapsed_cycles": "elapsed time", "cpu_cycles": "CPU time"}


def _reason(summary: Mapping[str, Any], worst: str, off: float) -> str:
    """The likely reason of a replay's being longer or shorter than the recording."""
    assumed = {row["what"]: row["count"] for row in summary["assumptions"]}
    recorded = summary["recorded"]
    if summary["cpus"] != recorded["cpus"]:
        return f"it ran on {counted(summary['cpus'], 'CPU')}, the recording has {recorded['cpus']}"
    if recorded["elapsed_cycles"] < summary["frequency_hz"] * SHORT:
        return "the recording is shorter than a millisecond, and its tasks' beginnings and ends take time in the replay"
    missing = assumed.get("lost_events", 0) + assumed.get("switches_missing", 0)
    if missing * MISSING_SHARE > recorded["context_switches"]:
        return f"{counted(missing, 'event')} of the recording {'is' if missing == 1 else 'are'} missing"
    if worst == "cpu_cycles" and off < 0 and "untraced_cpu_cycles" in recorded:
        return "the program took much longer without the tracer, as if it had done something else"
    others = recorded["cpu_cycles"] - recorded.get("chosen_cpu_cycles", recorded["cpu_cycles"])
    if worst == "elapsed_cycles" and others * BUSY_SHARE > recorded["elapsed_cycles"]:
        return "other work kept the machine busy, and takes other turns in the replay; record while nothing else runs"
    if off < 0 and assumed.get("asleep_at_the_end"):
        return "tasks that slept at its end, or whose ends are missing, stop earlier in the replay"
    if worst == "elapsed_cycles" and off > 0:
        return "tasks that ran side by side wait for each other in the replay, or share a CPU"
    if worst == "elapsed_cycles":
        return "waits of the recording are shorter in the replay"
    return "what the model itself charges did not find its place in recorded durations"


def bounds(summary: Mapping[str, Any]) -> str | None:
    """Return what the overhead may be at least and at most while the tracer's time is in the base; None if it is not.

    At least: the tracer is all in the base.  At most: a system call is the cost table's bare one, so that what it took
    beyond that is the tracer's time for a line, which is no more than there is between lines where they are densest.
    """
    recorded = summary["recorded"]
    own = "chosen_syscalls" if summary["whose"] and "chosen_syscalls" in recorded else "syscalls"
    calls, took, bare = (recorded.get(name, 0) for name in (own, "call_cycles", "bare_call_cycles"))
    if "untraced_cpu_cycles" in recorded or not calls or took <= bare:
        return None
    of = summary["whose"] or summary
    base = of["busy_cycles"]["baseline"]
    added = of["busy_cycles"]["profile"] - base
    each = min(took - bare, recorded.get("densest_cycles") or took)
    least = base - recorded.get("chosen_lines", 2 * calls) * each
    hz = summary["frequency_hz"]
    said = (
        f"A system call took {took / hz * 1e9:,.0f} ns as recorded, the tracer's time included, and takes "
        f"{bare / hz * 1e9:,.0f} ns bare by the cost table: "
    )
    if least <= 0:
        return f"{said}the overhead is at least {percent(base, base + added):.1f} %; how much more is unknown."
    low, high = f"{100 * added / base:.1f} %", f"{100 * added / least:.1f} %"
    return (
        f"{said}the overhead is {low} either way."
        if low == high
        else (f"{said}the overhead lies between {low} and {high}.")
    )


def fidelity_table(summary: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return columns and rows, all texts: the recording's own numbers beside those of the baseline's run."""
    found, hz = summary["fidelity"], summary["frequency_hz"]
    untraced = any(row["untraced"] is not None for row in found)
    rows: list[tuple[str, ...]] = []
    for row in found:
        values = [row["recorded"], *((row["untraced"],) if untraced else ()), row["replayed"]]
        texts = [_text(value, hz, time=row["what"].endswith("_cycles")) for value in values]
        rows.append((NAMES[row["what"]], *texts, percent_text(row["difference_percent"]), row["why"]))
    cpus = (str(summary["recorded"]["cpus"]), *(("",) if untraced else ()), str(summary["cpus"]))
    rows.append(("CPUs", *cpus, "", ""))
    return ("", "recorded", *(("untraced",) if untraced else ()), "replayed", "difference", "why"), rows


def _text(value: int | None, hz: int, *, time: bool) -> str:
    if value is None:
        return ""
    return time_text(value, hz) if time else f"{value:,}"


def remarks(summary: Mapping[str, Any]) -> list[str]:
    """Return what has to be known before the numbers are read, in sentences; of old results nothing."""
    if "fidelity" not in summary:
        return []
    found = [warning(summary)] if summary["fidelity"] else []
    if summary["fidelity"] and not summary.get("sample"):  # these compare with numbers of the whole recording
        found += [switches_warning(summary), bounds(summary)]
    sampled = [sample_text(summary["sample"])] if summary.get("sample") else []
    return [*sampled, *filter(None, found), *summary["notes"]]
