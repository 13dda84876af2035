"""The ledger as stacked bars, a bar for each profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.charts.opened_result import OpenedResult
from analysis.charts.style import HATCHES, PALETTE, broken, empty, in_order, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 10


def df_ledger(opened: OpenedResult) -> pd.DataFrame:
    """Return what each cause adds under each profile.

    Columns: profile (and the scenario or cost table, where a sweep has several); cause; percent (of the baseline's
    busy CPU time, difference to the baseline; mean over the points of a sweep); cycles (CPU cycles charged under the
    profile, mean likewise).  Of a run that is about somebody, they are those of these alone.
    """
    if opened.kind == "run":
        summary = opened.summary
        of = summary.get("whose") or summary
        frame = pd.DataFrame(of["ledger"])
        frame["profile"] = summary["profile"]
        busy = of["busy_cycles"]["baseline"]
    else:
        causes = [c.removeprefix("profile: ") for c in opened.frame("points").columns if c.startswith("profile: ")]
        points = opened.frame("points", tuple(f"baseline: {cause}" for cause in causes))
        frame, busy = _from_points(points, causes), None
    frame = frame[frame["cause"] != "idle"].copy()
    base = frame["busy"] if busy is None else busy
    frame["percent"] = 100 * (frame["profile_cycles"] - frame["baseline_cycles"]) / base
    frame["cycles"] = frame["profile_cycles"]
    return frame.groupby(["profile", "cause"], sort=True)[["percent", "cycles"]].mean().reset_index()


def _from_points(points: pd.DataFrame, causes: list[str]) -> pd.DataFrame:
    """One row for each point and cause."""
    names = points["profile"] + points["pcid"].map({True: " PCID", False: ""})
    for column in ("scenario", "costs"):
        if points[column].nunique() > 1:
            names = names + ", " + points[column]
    parts = [
        pd.DataFrame(
            {"profile": names, "cause": cause, "busy": points["baseline_busy_cycles"],
             "profile_cycles": points[f"profile: {cause}"], "baseline_cycles": points[f"baseline: {cause}"]}
        )
        for cause in causes
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def plot_ledger(frame: pd.DataFrame, caption: str) -> Figure:
    """Draw :func:`df_ledger`: what is added above zero, what is saved below."""
    wide = frame.pivot(index="cause", columns="profile", values="percent").fillna(0)
    order = wide.abs().max(axis=1).sort_values(ascending=False, kind="stable").index
    kept = [cause for cause in order[:SHOWN] if wide.loc[cause].abs().max() > 0]
    rest = wide.drop(index=kept)
    rest = rest[rest.abs().max(axis=1) > 0]
    profiles = in_order(wide.columns)
    longest = max((len(line) for profile in profiles for line in broken(profile).split("\n")), default=0)
    size = (max(9.0, 3 + max(1.1, 0.11 * longest) * len(profiles)), 5.0)
    figure, axes = new_figure("Where the overhead goes", caption, size)
    layers = [(cause, wide.loc[cause]) for cause in kept]
    if len(rest):
        layers.append((f"{len(rest)} other{'s' if len(rest) > 1 else ''}", rest.sum()))
    _bars(axes, profiles, layers)
    if not layers:
        empty(axes, "no cause differs from the baseline")
    axes.axhline(0, color="black", lw=0.8)
    axes.set_xlim(-0.6, len(profiles) - 0.4)
    axes.set_xticks(range(len(profiles)), [broken(profile) for profile in profiles])
    axes.set_xlabel("profile (the total stands above each bar)")
    axes.set_ylabel("added CPU time (% of the baseline's)")
    if layers:
        legend(axes, title="cause")
    return figure


def _bars(axes: Axes, profiles: list[str], layers: list[tuple[str, pd.Series[float]]]) -> None:
    """Stack each cause's percents by profile, what is saved downwards; the totals above."""
    above, below = dict.fromkeys(profiles, 0.0), dict.fromkeys(profiles, 0.0)
    for place, (cause, values) in enumerate(layers):
        bottoms = []
        for profile in profiles:
            side = above if values[profile] >= 0 else below
            bottoms.append(side[profile])
            side[profile] += values[profile]
        axes.bar(
            range(len(profiles)),
            [values[p] for p in profiles],
            bottom=bottoms,
            width=0.6,
            label=cause,
            color=PALETTE[place % len(PALETTE)],
            hatch=HATCHES[place // len(PALETTE)],
            edgecolor="white",
            lw=0.4,
        )
    for place, profile in enumerate(profiles):
        total = above[profile] + below[profile]
        axes.annotate(f"{total:+.2f} %", (place, above[profile]), xytext=(0, 3), textcoords="offset points",
                      ha="center", fontsize=9)  # fmt: skip
