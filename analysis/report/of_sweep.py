"""The report of a sweep."""

from __future__ import annotations

import shlex

import pandas as pd

from analysis.charts import OpenedResult, available, draw
from analysis.charts.ledger import df_ledger
from analysis.charts.overhead import df_overhead, label_of, parameters
from analysis.report.blocks import Block, Code, Facts, Section, Text, beginning, grid, origin, picture
from analysis.sampling import samples_text
from analysis.units import percent_text
from sim.inputs.shown import printable

COUNTERS = ("syscalls", "faults", "interrupts", "context_switches", "shootdowns")


def sections(opened: OpenedResult) -> list[Section]:
    """Make the sections, the validation left out."""
    points = opened.frame("points", ("profile", "overhead_percent"))
    return [
        Section("question", "Question", [Text(_question(opened, points)), *_caution(opened, points)]),
        Section("set-up", "Set-up", [_setup(opened, points)]),
        Section("headline", "Answer", _answer(points)),
        Section("charts", "Charts", [picture(draw(opened, c.name), c.says) for c in available(opened)]),
        Section("points", "Points", _points(points)),
        Section("ledger", "Ledger", [Text("What each cause adds, in percent of the baseline's CPU time, mean over all "
                                          f"points of a profile.{_where_intervals(opened)}"), _ledger(opened)]),
        Section("counters", "Counters", [_counters(points)]),
        Section("repeat", "How to repeat it", [Code(command(opened)), Text(
            "A sweep of your own is the path of its TOML file. Finished points are kept in the folder; with another "
            "version of svs-sim they are computed anew.")]),
        Section("assumptions", "Assumptions and failures", _failures(opened)),
    ]  # fmt: skip


def _question(opened: OpenedResult, points: pd.DataFrame) -> str:
    title = opened.summary.get("title") or opened.summary["sweep"]
    profiles = ", ".join(dict.fromkeys(points["profile"]))
    return f"{title[:1].upper()}{title[1:]}: how does the cost of {profiles} grow?"


def _caution(opened: OpenedResult, points: pd.DataFrame) -> list[Block]:
    """What has to be known of samples before their numbers are read."""
    return [Text(samples_text(opened.sample, points), strong=True)] if opened.sample else []


def _where_intervals(opened: OpenedResult) -> str:
    """Where the intervals of single causes are."""
    return " points.parquet has the interval of each point and cause." if opened.sample else ""


def _setup(opened: OpenedResult, points: pd.DataFrame) -> Facts:
    summary = opened.summary
    rows = [("sweep", summary["sweep"]), ("scenarios", ", ".join(summary["scenarios"]))]
    names = {"profile": "profiles", "baseline": "baseline", "costs": "cost tables", "cpus": "CPUs"}
    for column, name in names.items():
        rows.append((name, ", ".join(str(value) for value in dict.fromkeys(points[column]))))
    for column in (c for c in points.columns if c.startswith("set.")):
        rows.append((column.removeprefix("set."), ", ".join(str(v) for v in dict.fromkeys(points[column]))))
    repeated = ("sample", opened.sample) if opened.sample else ("replications", str(summary["replications"]))
    rows += [("points", f"{len(points)} of {summary['points']}"), repeated,
             ("seed", str(summary["seed"])), ("intervals", summary["intervals"])]  # fmt: skip
    return Facts((*rows, *origin(summary)))


def _answer(points: pd.DataFrame) -> list[Block]:
    """The range of each profile; of samples, how far off its points may be, too."""
    if points.empty:
        return [Text("No point could be run.", strong=True)]
    sampled = "windows" in points.columns
    rows = []
    names = points["profile"] + points["pcid"].map({True: " PCID", False: ""})
    for name, group in points.groupby(names, sort=False):
        values = group["overhead_percent"].dropna()
        least, median, most = (percent_text(value) for value in (values.min(), values.median(), values.max()))
        rows.append((name, least, median, most, *([_widest(group)] if sampled else []), len(values)))
    low, high = points["overhead_percent"].min(), points["overhead_percent"].max()
    return [
        Text(f"Added CPU time lies between {percent_text(low)} and {percent_text(high)}.", strong=True),
        grid(("profile", "least", "median", "most", *(["± at most"] if sampled else []), "points"), rows,
             caption="Added CPU time"),
    ]  # fmt: skip


def _widest(points: pd.DataFrame) -> str:
    """The largest half of an interval among estimates."""
    half = (points["overhead_percent_high"] - points["overhead_percent"]).max()
    return "-" if pd.isna(half) else f"{half:.2f} %"


def _points(points: pd.DataFrame) -> list[Block]:
    """Means with intervals, against what varies most."""
    x = parameters(points)[0] if parameters(points) else "cpus"
    frame = df_overhead(points, x)
    of = "windows" if "windows" in frame.columns else "replications"
    columns = ("series", "x", "mean", "low", "high", of)
    rows = [
        (
            series,
            f"{at:g}" if isinstance(at, float) else at,
            percent_text(mean),
            "-" if pd.isna(low) else f"{percent_text(low)} to {percent_text(high)}",
            number,
        )
        for series, at, mean, low, high, number in zip(*(frame[c] for c in columns), strict=True)
    ]
    heads = ("series", label_of(x, frame), "added CPU time", "95 % interval", of)
    return beginning(heads, rows, "points.parquet", numeric=2)


def _ledger(opened: OpenedResult) -> Block:
    wide = df_ledger(opened).pivot(index="cause", columns="profile", values="percent").fillna(0)
    wide = wide[(wide.abs() > 0).any(axis=1)]
    wide = wide.loc[wide.abs().max(axis=1).sort_values(ascending=False, kind="stable").index]
    return grid(("cause", *wide.columns), [(cause, *(percent_text(v) for v in row)) for cause, row in wide.T.items()])


def _counters(points: pd.DataFrame) -> Block:
    """Totals of the profiles' runs, mean a point."""
    there = [name for name in COUNTERS if name in points.columns]
    mean = points.groupby("profile", sort=False)[there].mean()
    rows = [(name, *(f"{value:,.0f}" for value in mean[name])) for name in there]
    return grid(("counter (mean a point)", *mean.index), rows)


def command(opened: OpenedResult) -> str:
    """The command that makes this result again."""
    if opened.summary.get("command"):
        return f"{opened.summary['command']} {shlex.join(['--out', printable(opened.path.name)])}"
    words = ["svs-sim", "sweep", opened.summary["sweep"], "--seed", str(opened.summary["seed"])]
    return shlex.join([*words, "--out", printable(opened.path.name)])


def _failures(opened: OpenedResult) -> list[Block]:
    failed = opened.summary.get("failed", [])
    if not failed:
        return [Text("All points were run. Profiles meet the same random numbers: a replication has one seed for all.")]
    rows = [(", ".join(f"{k} = {v}" for k, v in f["parameters"].items() if v is not None), f["reason"]) for f in failed]
    return [Text("These points could not be run:"), grid(("point", "reason"), rows, numeric=2)]
