"""Overhead against system-call rate, CPUs, or any parameter of a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.charts.style import MARKERS, colour, df_intervals, empty, legend, new_figure
from sim.errors import InputError, closest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASE_COLUMNS = {"profile", "pcid", "cpus", "costs", "replication", "seed", "baseline", "scenario"}
RATE = "syscalls/s"


def series_names(points: pd.DataFrame, x: str) -> pd.Series:
    """Name of the line each row belongs to: profile, PCID where it varies, scenario and other varying parameters."""
    parts = [points["profile"].astype(str)]
    if points.groupby("profile")["pcid"].nunique().max() > 1:
        parts.append(points["pcid"].map({True: "PCID", False: "no PCID"}).astype(str))
    others = ["scenario", "costs", "cpus", *(column for column in points.columns if column.startswith("set."))]
    for column in others:
        if column != x and points[column].nunique() > 1 and x != RATE:
            parts.append(points[column].astype(str))
    names = parts[0]
    for part in parts[1:]:
        names = names + ", " + part
    return names.rename("series")


def df_overhead(points: pd.DataFrame, x: str) -> pd.DataFrame:
    """Return overhead against one parameter of a sweep.

    Columns: series (profile and whatever else varies); x (value of the parameter, or system calls a second and CPU
    of the baseline for ``syscalls/s``); mean, low, high (percent of the baseline's busy CPU time, with the 95 %
    interval of Student's t over replications); replications.
    """
    frame = points.copy()
    frame["series"] = series_names(points, x)
    if x == RATE:
        frame["x"] = _rates(points)
    elif x in frame.columns:
        frame["x"] = frame[x]
    else:
        known = ["cpus", *(c for c in frame.columns if c.startswith("set."))]
        raise InputError(f"the sweep has no parameter '{x}'{closest(x, known)}; it has {', '.join(known)}")
    return df_intervals(frame, ["series", "x"], "overhead_percent")


def _rates(points: pd.DataFrame) -> pd.Series:
    """System calls a second and CPU in the baseline, the mean over replications of a point."""
    seconds = points["baseline_elapsed_cycles"] / points["frequency_hz"]
    rate = points["syscalls"] / (seconds * points["cpus"])
    keys = ["scenario", "costs", "cpus", *sorted(c for c in points.columns if c.startswith("set."))]
    return rate.groupby([points[key] for key in keys], dropna=False).transform("mean").round(1)


def label_of(x: str) -> str:
    """Label of an axis with its unit."""
    if x == RATE:
        return "system calls per second and CPU (1/s)"
    return "simulated CPUs (number)" if x == "cpus" else f"{x.removeprefix('set.')} (as in the scenario)"


def plot_overhead(frame: pd.DataFrame, x: str, caption: str) -> Figure:
    """Draw :func:`df_overhead`: a line with intervals for each series."""
    from matplotlib.ticker import FuncFormatter

    figure, axes = new_figure(f"Overhead against {label_of(x).split(' (')[0]}", caption)
    numeric = pd.api.types.is_numeric_dtype(frame["x"])
    ticks = {value: place for place, value in enumerate(dict.fromkeys(frame["x"]))}
    for place, (name, group) in enumerate(frame.groupby("series", sort=True)):
        places = group["x"] if numeric else group["x"].map(ticks)
        axes.errorbar(
            places, group["mean"], yerr=[group["mean"] - group["low"], group["high"] - group["mean"]], capsize=3,
            marker=MARKERS[place % len(MARKERS)], color=colour(str(name), place), label=str(name), lw=1.5, ms=5,
        )  # fmt: skip
    if x == RATE and frame["x"].min() > 0 and frame["x"].max() > 10 * frame["x"].min():
        axes.set_xscale("log")
    if x == RATE:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if x == "cpus":
        axes.set_xticks(sorted(frame["x"].unique()))
    if not numeric:
        axes.set_xticks(list(ticks.values()), [str(value) for value in ticks])
    axes.axhline(0, color="black", lw=0.8)
    axes.set_xlabel(label_of(x))
    axes.set_ylabel("added CPU time (% of the baseline's)")
    if frame.empty:
        empty(axes, "no points")
    legend(axes, title="mean, 95 % t interval")
    return figure
