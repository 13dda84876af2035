"""Overhead against system-call rate, CPUs, or any parameter of a sweep."""

from __future__ import annotations

import json
import re
import textwrap
from typing import TYPE_CHECKING

import pandas as pd

from analysis.charts.style import (
    MARKERS,
    df_intervals,
    empty,
    in_order,
    legend,
    new_figure,
    profile_colours,
    profile_of,
)
from sim.errors import InputError, closest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATE = "syscalls/s"
MOST_TICKS = 12
DASHES = ("-", "--", ":", "-.")
UNITS = {
    "µs": {"ns": 1e-3, "us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6},
    "KiB": {"B": 1 / 1024, "KiB": 1.0, "MiB": 1024.0, "GiB": 1024.0**2},
    "pages": {"page": 1.0, "pages": 1.0},
}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-zµ]+)\s*")


def series_names(points: pd.DataFrame, x: str) -> pd.Series:
    """Name of the line each row belongs to: profile, PCID where it varies, scenario and other varying parameters.

    Against the rate of system calls, the values of the scenario make the rates and so are no lines of their own.
    """
    names = points["profile"].astype(str)
    if points.groupby("profile")["pcid"].nunique().max() > 1:
        names = names + points["pcid"].map({True: ", PCID", False: ", no PCID"})
    for column in ("scenario", "costs"):
        if column != x and points[column].nunique() > 1:
            names = names + ", " + points[column].astype(str)
    keys = ["cpus", *(c for c in points.columns if c.startswith("set.") and c != "set.machine.cpus" and x != RATE)]
    keys = [column for column in keys if column != x and points[column].nunique() > 1]
    short = [column.rpartition(".")[2] for column in keys]
    for column, last in zip(keys, short, strict=True):
        key = last if short.count(last) == 1 else column.removeprefix("set.")
        names = names + f", {key} " + points[column].map(value_text)
    return names.rename("series")


def value_text(value: object) -> str:
    """A value of a sweep as it stands in a picture: a distribution by its name and numbers."""
    text = str(value)
    if text.startswith(("{", "[")):
        try:
            parts = json.loads(text)
        except ValueError:
            return text
        return " ".join(str(part) for part in (parts.values() if isinstance(parts, dict) else parts))
    return text


def parameters(points: pd.DataFrame) -> list[str]:
    """Return the parameters that a sweep varies, as columns.

    Values of its scenarios, the one with most values first; then the scenarios, or recordings, and cost tables.
    """
    counts = {c: points[c].nunique() for c in points.columns if c.startswith("set.") and points[c].nunique() > 1}
    others = [column for column in ("scenario", "costs") if points[column].nunique() > 1]
    return [*sorted(counts, key=lambda column: (-counts[column], column)), *others]


def df_overhead(points: pd.DataFrame, x: str) -> pd.DataFrame:
    """Return overhead against one parameter of a sweep.

    Columns: series (profile and whatever else varies); x (value of the parameter, or system calls a second and CPU
    of the baseline for ``syscalls/s``); unit (of x; empty for numbers and names); mean, low, high (percent of the
    baseline's busy CPU time, with the 95 % interval of Student's t over replications); replications.  Of samples, the
    interval is from the windows, and their number is in ``windows``.
    """
    frame = points.copy()
    frame["series"] = series_names(points, x)
    unit = ""
    if x == RATE:
        frame["x"], unit = rates(points), "1/s"
    elif x in frame.columns:
        frame["x"], unit = _measured(frame[x])
    else:
        known = ["scenario", "costs", "cpus", *(c.removeprefix("set.") for c in frame.columns if c.startswith("set."))]
        raise InputError(
            f"the sweep has no parameter '{x.removeprefix('set.')}' (it has {', '.join(known)})"
            f"{closest(x.removeprefix('set.'), known)}"
        )
    out = df_intervals(frame, ["series", "x"], "overhead_percent")
    # Names stay in the order of the grid.
    order = {value: place for place, value in enumerate(dict.fromkeys(frame["x"]))}
    if not pd.api.types.is_numeric_dtype(frame["x"]):
        out = out.sort_values(["series", "x"], key=lambda c: c.map(order) if c.name == "x" else c, kind="stable")
    out.insert(2, "unit", unit)
    return out.reset_index(drop=True)


def _measured(values: pd.Series) -> tuple[pd.Series, str]:
    """Values as numbers of one unit, if all are written as quantities of one kind; else as they are."""
    if pd.api.types.is_numeric_dtype(values):
        return values, ""
    for unit, factors in UNITS.items():
        numbers = [_number(str(value), factors) for value in values]
        if all(number is not None for number in numbers):
            return pd.Series(numbers, index=values.index, dtype=float), unit
    return values.map(value_text), ""


def _number(text: str, factors: dict[str, float]) -> float | None:
    """Read ``1.5 us``; None if it is nothing of that kind."""
    match = _QUANTITY.fullmatch(text)
    return float(match[1]) * factors[match[2]] if match and match[2] in factors else None


def rates(points: pd.DataFrame) -> pd.Series:
    """Return system calls a second and CPU in the baseline, the mean over replications of a point."""
    seconds = points["baseline_elapsed_cycles"] / points["frequency_hz"]
    rate = points["syscalls"] / (seconds * points["cpus"])
    keys = ["scenario", "costs", "cpus", *sorted(c for c in points.columns if c.startswith("set."))]
    return rate.groupby([points[key] for key in keys], dropna=False).transform("mean").round(1)


def key_words(key: str) -> str:
    """A key of a scenario as words: ``group.0.working_set`` is a working set, that of another group says whose."""
    *owner, last = key.split(".")
    other = next((f" of group {part}" for part in owner if part.isdigit() and part != "0"), "")
    return last.replace("_", " ") + other


def label_of(x: str, frame: pd.DataFrame) -> str:
    """Label of an axis with its unit; *frame* is of :func:`df_overhead`."""
    if x == RATE:
        return "system calls per second and CPU (1/s)"
    unit = frame["unit"].iloc[0] if len(frame) else ""
    name = "simulated CPUs" if x in ("cpus", "set.machine.cpus") else key_words(x.removeprefix("set."))
    numeric = pd.api.types.is_numeric_dtype(frame["x"])
    return f"{name} ({unit or ('number' if numeric else 'as named in the sweep')})"


def plot_overhead(frame: pd.DataFrame, x: str, caption: str) -> Figure:
    """Draw :func:`df_overhead`: a line with intervals for each series, coloured by profile."""
    names = in_order(frame["series"])
    longest = max((len(name) for name in names), default=0)
    size = (max(8.0, 5.8 + 0.075 * longest), max(4.8, 1.6 + 0.19 * len(names)))
    sampled = "windows" in frame.columns
    title = f"Overhead against {label_of(x, frame).split(' (')[0]}{', sampled' if sampled else ''}"
    figure, axes = new_figure(title, caption, size)
    ticks = {value: place for place, value in enumerate(dict.fromkeys(frame["x"]))}
    numeric = pd.api.types.is_numeric_dtype(frame["x"])
    colours = profile_colours(names)
    for place, name in enumerate(names):
        group = frame[frame["series"] == name]
        # Names are no scale: nothing leads from one to the next, and series stand side by side.
        aside = 0.5 * ((place + 0.5) / len(names) - 0.5)
        places = group["x"] if numeric else group["x"].map(ticks) + aside
        # Lines that fall together stay visible: later ones are thinner, with smaller marks and other dashes.
        axes.errorbar(
            places, group["mean"], yerr=[group["mean"] - group["low"], group["high"] - group["mean"]], capsize=3,
            marker=MARKERS[place % len(MARKERS)], color=colours[profile_of(name)], label=name, mfc="none",
            lw=max(2.6 - 0.35 * place, 1.0), ms=max(10 - 1.2 * place, 4),
            ls=DASHES[place % len(DASHES)] if numeric else "",
        )  # fmt: skip
    _scale(axes, frame, x, list(ticks))
    axes.axhline(0, color="black", lw=0.8)
    axes.set_xlabel(label_of(x, frame))
    axes.set_ylabel("added CPU time (% of the baseline's)")
    if frame.empty:
        empty(axes, "no point was finished")
    else:
        of = "windows" if sampled else "replications"
        interval = f"{'estimate' if sampled else 'mean'}, 95 % t interval"
        legend(axes, title=interval if frame[of].max() > 1 else None)
    return figure


def _scale(axes: Axes, frame: pd.DataFrame, x: str, values: list[object]) -> None:
    """Scale and ticks of the axis of the parameter; *values* are its own, in the order of the grid."""
    from matplotlib.ticker import FuncFormatter

    if not pd.api.types.is_numeric_dtype(frame["x"]):
        axes.set_xticks(range(len(values)), [textwrap.fill(str(value), 16) for value in values])
        return
    wide = len(frame) > 0 and frame["x"].min() > 0 and frame["x"].max() > 10 * frame["x"].min()
    if wide:
        axes.set_xscale("log")
    if (x == "cpus" or (wide and x != RATE)) and len(values) <= MOST_TICKS:
        axes.set_xticks(sorted(frame["x"].unique()))
        axes.minorticks_off()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
