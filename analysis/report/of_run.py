"""The report of a paired run."""

from __future__ import annotations

import shlex
from typing import Any

from analysis.charts import OpenedResult, available, draw
from analysis.fidelity import fidelity_table, remarks
from analysis.overview import df_overview, estimates, headline, interval_text, plot_overview
from analysis.rates import rates
from analysis.report.blocks import Code, Facts, Numbers, Section, Text, grid, origin, picture
from analysis.units import counted, percent_text, time_text
from analysis.units import percent as excess
from scenarios.catalogue import list_scenarios
from sim.inputs.shown import printable

MOST_NAMED = 3


def sections(opened: OpenedResult) -> list[Section]:
    """Make the sections, the validation left out."""
    summary = opened.summary
    return [
        Section("question", "Question", [Text(_question(summary))]),
        Section("set-up", "Set-up", [_setup(summary)]),
        Section("headline", "Answer", [Text(f"{headline(summary)}.", strong=True), _numbers(summary), _why(summary),
                                           *map(Text, remarks(summary))]),
        Section("charts", "Charts", [
            picture(plot_overview(summary), "CPU time of both runs, and what each cause adds"),
            *(picture(draw(opened, chart.name), chart.says) for chart in available(opened)),
        ]),
        Section("ledger", "Ledger", [
            Text("Every cycle of every CPU is charged to one cause. Times are summed over CPUs; the percentages are of "
                 "the baseline's CPU time."), _ledger(summary)]),
        Section("counters", "Counters", [_counters(summary)]),
        Section("repeat", "How to repeat it", [
            Text("Same version, same command, same bytes:"), Code(command(opened)),
            Text(f"'{printable(opened.path.name)}' stands for any folder.")]),
        Section("assumptions", "Assumptions, and the recording's own numbers", _assumptions(summary)),
    ]  # fmt: skip


def title_of(name: str) -> str:
    """What ships under that name, in a line; nothing for a user's own."""
    return next((entry.title for entry in list_scenarios() if entry.name == name), "")


def _question(summary: dict[str, Any]) -> str:
    what = title_of(summary["scenario"])
    return (
        f"What does the isolation of {summary['profile']} cost {summary['scenario']}"
        f"{f' ({what})' if what else ''}, compared with {summary['baseline']}, and on what is the time spent?"
    )


def _setup(summary: dict[str, Any]) -> Facts:
    pcid = summary["pcid"]
    return Facts((
        ("scenario", summary["scenario"]),
        ("profile", f"{summary['profile']}, {'with' if pcid['profile'] else 'without'} PCID"),
        ("baseline", f"{summary['baseline']}, {'with' if pcid['baseline'] else 'without'} PCID"),
        ("machine", f"{counted(summary['cpus'], 'CPU')} at {summary['frequency_hz'] / 1e9:g} GHz, "
                    f"cost table {summary['costs']}"),
        ("seed", str(summary["seed"])),
        ("engine", summary["engine"]),
        ("ledger", "complete: the causes of every CPU sum exactly to the elapsed time" if summary["conserved"] else
         "INCOMPLETE: do not use these numbers"),
        *origin(summary),
    ))  # fmt: skip


def _numbers(summary: dict[str, Any]) -> Numbers:
    whose, sure = summary.get("whose"), estimates(summary)
    rows = [(percent_text((whose or summary)["overhead_percent"]), "its CPU time" if whose else "CPU time")]
    if whose:
        rows.append((percent_text(whose["rest"]["overhead_percent"]), "CPU time of the rest of the machine"))
    if whose and "elapsed_percent" in whose:
        rows.insert(1, (percent_text(whose["elapsed_percent"]), "its elapsed time"))
    elif not summary.get("sample"):
        rows.append((percent_text(summary["elapsed_percent"]), "elapsed time"))
    if sure is not None:
        of = counted(sure["windows"], "window") if "windows" in sure else counted(sure["runs"], "run")
        rows.append((interval_text(sure["busy"]), f"CPU time, 95 % interval of {of}"))
        if "elapsed" in sure:
            rows.append((interval_text(sure["elapsed"]), "elapsed time, the same"))
    for rate in rates(summary):
        each = rate.each_cycles / summary["frequency_hz"] * 1e9
        rows.append((f"{each:+,.1f} ns", f"each {rate.event}, of {rate.count:,}"))
    return Numbers(tuple(rows))


def _why(summary: dict[str, Any]) -> Text:
    """The causes that add most, in words."""
    frame = df_overview(summary)
    frame = frame[frame["difference_cycles"] > 0].sort_values("difference_cycles", ascending=False)[:MOST_NAMED]
    if frame.empty:
        return Text("No cause adds time.")
    parts = [f"{cause} ({percent_text(points)})" for cause, points in zip(frame["cause"], frame["points"], strict=True)]
    return Text(f"The largest contributors are {', '.join(parts)}.")


def _ledger(summary: dict[str, Any]) -> Any:
    frame = df_overview(summary)
    frame = frame[(frame["baseline_cycles"] != 0) | (frame["profile_cycles"] != 0)]
    hz = summary["frequency_hz"]
    columns = ("cause", "count", "baseline_cycles", "profile_cycles", "difference_cycles", "points")
    rows = [
        (cause, time_text(added, hz, sign=True), percent_text(points), time_text(before, hz), time_text(after, hz),
         f"{count:,}")
        for cause, count, before, after, added, points in zip(*(frame[c] for c in columns), strict=True)
    ]  # fmt: skip
    sums = [int(frame[column].sum()) for column in columns[2:5]]
    rows.append(("all", time_text(sums[2], hz, sign=True), percent_text(frame["points"].sum()), time_text(sums[0], hz),
                 time_text(sums[1], hz), ""))  # fmt: skip
    return grid(("cause", "added", "overhead", summary["baseline"], summary["profile"], "times"), rows)


def _counters(summary: dict[str, Any]) -> Any:
    base, own = summary.get("baseline_counters", {}), summary["counters"]
    rows = [(name, f"{base.get(name, 0):,}", f"{own.get(name, 0):,}") for name in sorted({*base, *own}, key=str.lower)]
    of = "windows" if summary.get("sample") else "whole run"
    return grid((f"counter ({of})", summary["baseline"], summary["profile"]), rows)


def command(opened: OpenedResult) -> str:
    """The command that makes this result again: the one that made it, or what the summary says of it."""
    summary = opened.summary
    if summary.get("command"):
        return f"{summary['command']} {shlex.join(['--out', printable(opened.path.name)])}"
    words = ["svs-sim", "run", summary.get("file") or summary["scenario"], "--profile", summary["profile"],
             "--baseline", summary["baseline"]]  # fmt: skip
    if not summary["pcid"]["profile"]:
        words.append("--no-pcid")
    words += ["--cpus", str(summary["cpus"]), "--costs", summary["costs"], "--seed", str(summary["seed"])]
    if summary["engine"] != "fast":
        words += ["--engine", summary["engine"]]
    if summary.get("window_cycles"):
        # Picoseconds are exact enough to give the same cycles back.
        start, end = (1e9 * cycle / summary["frequency_hz"] for cycle in summary["window_cycles"])
        words += ["--window", f"{start:.3f}ns:{end:.3f}ns"]
    return shlex.join([*words, "--out", printable(opened.path.name)])


def _assumptions(summary: dict[str, Any]) -> list[Any]:
    blocks: list[Any] = []
    used = [entry for entry in summary["assumptions"] if entry["count"]]
    if used:
        blocks.append(Text("Where the recording is silent, a rule was used:"))
        blocks.append(grid(("rule", "times"), [(entry["rule"], f"{entry['count']:,}") for entry in used]))
    recorded = summary["recorded"]
    if not recorded:
        return [Text("The workload is a behaviour written down in full: nothing had to be assumed about it.")]
    said = Text(f"The recording beside its replay under {summary['baseline']}:")
    if summary.get("fidelity"):
        columns, texts = fidelity_table(summary)
        return [*blocks, said, grid(columns, texts, remarks=1)]
    hz, own = summary["frequency_hz"], summary["elapsed_cycles"]["baseline"]
    switches = summary["baseline_counters"].get("context_switches", 0)
    rows = [("elapsed", time_text(recorded["elapsed_cycles"], hz), time_text(own, hz),
             percent_text(excess(recorded["elapsed_cycles"], own))),
            ("context switches", f"{recorded['context_switches']:,}", f"{switches:,}",
             percent_text(excess(recorded["context_switches"], switches))),
            ("CPUs", str(recorded["cpus"]), str(summary["cpus"]), "")]  # fmt: skip
    return [*blocks, said, grid(("", "recorded", "replayed", "difference"), rows)]
