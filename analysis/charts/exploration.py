"""What ``svs-sim check`` explored, what it found, and how often each invariant was really judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.charts.opened_result import EXPLORATIONS, OpenedResult
from analysis.charts.style import HATCHES, colour, empty, in_order, legend, new_figure
from analysis.pictures import BLUE, GREY, ORANGE, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERDICTS = {"holds": (BLUE, ""), "violated": (VERMILION, "//"), "incomplete": (ORANGE, ".."), "crashed": (GREY, "xx")}
LEAST = 0.7  # where the axis begins, which has no 0


def df_exploration(opened: OpenedResult) -> pd.DataFrame:
    """Return explorations.  Columns: name (litmus, profile, memory model, planted bug); verdict; executions; steps."""
    frame = opened.frame(EXPLORATIONS, ("litmus", "profile", "memory", "planted", "verdict", "executions", "steps"))
    planted = frame["planted"].map(lambda bug: f" + {bug}" if bug else "")
    name = frame["litmus"] + ", " + frame["profile"] + ", " + frame["memory"] + planted
    return frame.assign(name=name)[["name", "verdict", "executions", "steps"]]


def plot_exploration(frame: pd.DataFrame, caption: str) -> Figure:
    """Draw :func:`df_exploration`: executions tried, coloured by the verdict."""
    from matplotlib.patches import Patch

    figure, axes = new_figure("Explored interleavings", caption, (9, 1.8 + 0.22 * max(len(frame), 4)))
    looks = [VERDICTS[verdict] for verdict in frame["verdict"]]
    axes.barh(range(len(frame)), frame["executions"], color=[c for c, _ in looks], hatch=[h for _, h in looks],
              edgecolor="white", lw=0.3)  # fmt: skip
    for place, (verdict, runs, steps) in enumerate(frame[["verdict", "executions", "steps"]].itertuples(index=False)):
        text = f" {runs:,} execution{'s' if runs != 1 else ''}, {steps:,} steps"
        if verdict == "holds" and not runs:
            text = " holds, not explored: follows from another memory model"
        axes.text(max(runs, LEAST), place, text, va="center", fontsize=7)
    axes.set_yticks(range(len(frame)), frame["name"], fontsize=7)
    axes.set_ylim(max(len(frame), 1) - 0.4, -0.6)
    axes.grid(visible=False)
    axes.set_xscale("log")
    axes.set_xlim(LEAST, 30 * max(1, frame["executions"].max()) if len(frame) else 10)
    axes.set_xlabel("executions (number, logarithmic)")
    axes.set_ylabel("exploration")
    if frame.empty:
        empty(axes, "nothing was explored")
    shown = [(v, *look) for v, look in VERDICTS.items() if v != "crashed" or v in set(frame["verdict"])]
    axes.legend(handles=[Patch(facecolor=c, hatch=h, edgecolor="white", label=v) for v, c, h in shown],
                fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))  # fmt: skip
    return figure


def df_premises(opened: OpenedResult) -> pd.DataFrame:
    """Return how often each invariant was judged with its premise true.

    Columns: invariant; profile; judged (number, over all explorations of the profile); explorations (in which it was
    judged at least once).
    """
    rows = [
        {"invariant": name, "profile": result["profile"], "judged": count, "explorations": int(count > 0)}
        for result in opened.summary["results"]
        for name, count in result["premises"].items()
    ]
    frame = pd.DataFrame(rows, columns=["invariant", "profile", "judged", "explorations"])
    return frame.groupby(["invariant", "profile"], sort=True)[["judged", "explorations"]].sum().reset_index()


def plot_premises(frame: pd.DataFrame, caption: str) -> Figure:
    """Draw :func:`df_premises`: a bar for each invariant and profile."""
    names, profiles = sorted(frame["invariant"].unique()), in_order(frame["profile"])
    height = 0.8 / max(len(profiles), 1)
    size = (9, 1.8 + 0.16 * max(len(frame), 8))
    figure, axes = new_figure("How often each invariant was really judged", caption, size)
    for number, profile in enumerate(profiles):
        rows = frame[frame["profile"] == profile]
        places = [names.index(name) + (number - (len(profiles) - 1) / 2) * height for name in rows["invariant"]]
        axes.barh(places, rows["judged"], height * 0.9, color=colour(profile, number), label=profile,
                  hatch=HATCHES[number % len(HATCHES)], edgecolor="white", lw=0.3)  # fmt: skip
        for place, judged, number_of in zip(places, rows["judged"], rows["explorations"], strict=True):
            text = f" {judged:,} times in {number_of}" if judged else " never: proves nothing"
            axes.text(max(judged, 0.6), place, text, va="center", fontsize=6)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.grid(visible=False)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, 200 * frame["judged"].max() if len(frame) else 1)
    axes.set_xlabel("judgements with a true premise (number, logarithmic; in how many explorations)")
    axes.set_ylabel("invariant")
    if frame.empty:
        empty(axes, "no invariant was judged")
    else:
        legend(axes)
    return figure
