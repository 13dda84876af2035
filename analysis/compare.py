"""What differs between two results: in set-up, in the answer, by cause; or between two checks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.results import read_summary
from sim.errors import InputError
from sim.inputs.json import read_json

Summary = Mapping[str, Any]
Row = dict[str, Any]

SET_UP = {
    "run": ("scenario", "file", "profile", "baseline", "pcid", "cpus", "frequency_hz", "costs", "seed", "engine",
            "window_cycles", "recorded", "version", "command"),
    "check": ("version", "command"),
}  # fmt: skip
EXPLORATION = ("litmus", "profile", "memory", "planted", "strategy")
JUDGED = ("verdict", "invariant", "reason", "executions", "abandoned", "steps", "depth", "exhausted", "left_out")


def compare(a: Path, b: Path) -> Row:
    """Return what differs between two results, as the object that ``svs-sim compare --json`` prints.

    Each is the folder of a run or of a check, or a file with what ``--json`` of either printed.  Raises InputError if
    one is neither, or if they are of unlike kinds.
    """
    one, other = _load(a), _load(b)
    kinds = [_kind(summary, path) for summary, path in ((one, a), (other, b))]
    if kinds[0] != kinds[1]:
        raise InputError(f"'{a}' is a {kinds[0]} and '{b}' a {kinds[1]}; give two of one kind")
    try:
        result: Row = {"kind": kinds[0], "set_up": _set_up(one, other, SET_UP[kinds[0]])}
        if kinds[0] == "check":
            return result | _checks(one, other)
        return result | {
            "answer": _answer(one, other), "intervals": {"a": _interval(one), "b": _interval(other)},
            "causes": _causes(one, other),
            "counters": _counters(one, other) if _sample(one) == _sample(other) else [],
        }  # fmt: skip
    except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise InputError(f"'{a}' or '{b}' is damaged or of a version that cannot be compared: {error!r}") from error


def _load(path: Path) -> Summary:
    """The summary of a folder, or the object in a file."""
    if not path.is_file():
        return read_summary(path)
    return read_json(path)


def _kind(summary: Summary, path: Path) -> str:
    """What the result is of."""
    if "ledger" in summary:
        return "run"
    if "results" in summary:
        return "check"
    if "sweep" in summary:
        raise InputError(f"'{path}' is the result of a sweep; runs and checks can be compared")
    raise InputError(f"'{path}' is the result of no run or check")


def _set_up(a: Summary, b: Summary, keys: tuple[str, ...]) -> list[Row]:
    """What was run, where it is not the same; inputs are distinguished by their hashes."""
    rows = [{"what": key, "a": a.get(key), "b": b.get(key)} for key in keys if a.get(key) != b.get(key)]
    whose = [(summary.get("whose") or {}).get("label") for summary in (a, b)]
    if whose[0] != whose[1]:
        rows.append({"what": "whose", "a": whose[0], "b": whose[1]})
    if _sample(a) != _sample(b):
        rows.append({"what": "sample", "a": _sample(a), "b": _sample(b)})
    inputs = [{(i["kind"], i["name"]): i["sha256"] for i in summary.get("inputs", [])} for summary in (a, b)]
    for kind, name in sorted({*inputs[0], *inputs[1]}):
        one, other = (found.get((kind, name)) for found in inputs)
        if one != other:
            rows.append({"what": f"{kind} {name}", "a": one, "b": other})
    return rows


def _sample(summary: Summary) -> str | None:
    """What a result is a sample of, whose sums are not those of the whole; None if it is whole."""
    sample = summary.get("sample")
    return sample and f"{sample['lines']:,} of {sample['of_lines']:,} lines in {sample['windows']} windows"


def _answer(a: Summary, b: Summary) -> Row:
    """Overheads in percent and times in seconds of both results; windows of a sample do not carry elapsed times."""
    answer: Row = {key: _both(_of(a, key), _of(b, key)) for key in ("overhead_percent", "elapsed_percent")}
    for key in ("busy", "elapsed"):
        for run in ("baseline", "profile"):
            answer[f"{run}_{key}_s"] = _both(*(_seconds(summary, key, run) for summary in (a, b)))
    return answer


def _seconds(summary: Summary, key: str, run: str) -> float | None:
    """A time of one of the two runs; None if a sample has none."""
    if key == "elapsed" and summary.get("sample"):
        return None
    return float(_of(summary, f"{key}_cycles")[run] / summary["frequency_hz"])


def _interval(summary: Summary) -> Row | None:
    """The 95 % interval of the CPU time added, from windows or repeats; None if there is none."""
    busy = ((summary.get("sample") or summary.get("repeats")) or {}).get("busy") or {}
    return None if busy.get("low") is None else {"low": busy["low"], "high": busy["high"]}


def _of(summary: Summary, key: str) -> Any:
    """A number of those whom the result is about; of the whole machine where it has none of theirs."""
    return (summary.get("whose") or {}).get(key, summary[key])


def _both(a: float | None, b: float | None) -> Row:
    difference = None if a is None or b is None else round(b - a, 9)
    return {"a": a, "b": b, "difference": difference}


def _causes(a: Summary, b: Summary) -> list[Row]:
    """What each cause adds: seconds, and percent of the baseline's CPU time; those that differ most come first."""
    added = [_added(a), _added(b)]
    rows: list[Row] = [
        {"cause": cause, "added_percent": _both(*(one.get(cause, (0.0, 0.0))[0] for one in added)),
         "added_s": _both(*(one.get(cause, (0.0, 0.0))[1] for one in added))}
        for cause in dict.fromkeys([*added[0], *added[1]])
    ]  # fmt: skip
    rows = [row for row in rows if row["added_percent"]["difference"] or row["added_s"]["difference"]]
    rows.sort(key=lambda row: (-abs(row["added_percent"]["difference"]), row["cause"]))
    return rows


def _added(summary: Summary) -> dict[str, tuple[float, float]]:
    """By cause: percent of the baseline's CPU time, and seconds."""
    busy, hz = _of(summary, "busy_cycles")["baseline"], summary["frequency_hz"]
    cycles = {row["cause"]: row["profile_cycles"] - row["baseline_cycles"] for row in _of(summary, "ledger")}
    return {cause: (100 * n / busy if busy else 0.0, n / hz) for cause, n in cycles.items() if cause != "idle"}


def _counters(a: Summary, b: Summary) -> list[Row]:
    """Counters of the profiles' runs that differ, the largest difference first."""
    own, others = a["counters"], b["counters"]
    rows = [{"counter": name, **_both(own.get(name, 0), others.get(name, 0))} for name in sorted({*own, *others})]
    return sorted((row for row in rows if row["difference"]), key=lambda row: -abs(row["difference"]))


def _checks(a: Summary, b: Summary) -> Row:
    """Explorations that came out otherwise, and those that only one of the two has."""
    found = [{tuple(r.get(key) for key in EXPLORATION): r for r in summary["results"]} for summary in (a, b)]
    rows: list[Row] = []
    for key in dict.fromkeys([*found[0], *found[1]]):
        one, other = (results.get(key) for results in found)
        name = dict(zip(EXPLORATION, key, strict=True))
        if one is None or other is None:
            rows.append({**name, "only_in": "a" if other is None else "b", "verdict": (one or other or {})["verdict"]})
        elif changed := {k: {"a": one.get(k), "b": other.get(k)} for k in JUDGED if one.get(k) != other.get(k)}:
            rows.append({**name, "changed": changed})
    return {"explorations": {"a": len(found[0]), "b": len(found[1])}, "differ": rows}
