"""What ``svs-sim check`` explored, and what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.charts.material import EXPLORATIONS, Material
from analysis.charts.style import new_figure
from analysis.pictures import BLUE, ORANGE, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERDICTS = {"holds": (BLUE, ""), "violated": (VERMILION, "//"), "incomplete": (ORANGE, "..")}


def df_exploration(material: Material) -> pd.DataFrame:
    """Return explorations.  Columns: name (litmus, profile, memory model, planted bug); verdict; executions; steps."""
    frame = material.frame(EXPLORATIONS, ("litmus", "profile", "memory", "planted", "verdict", "executions", "steps"))
    planted = frame["planted"].map(lambda bug: f" + {bug}" if bug else "")
    name = frame["litmus"] + ", " + frame["profile"] + ", " + frame["memory"] + planted
    return frame.assign(name=name)[["name", "verdict", "executions", "steps"]]


def plot_exploration(frame: pd.DataFrame, caption: str) -> Figure:
    """Draw :func:`df_exploration`: executions tried, coloured by the verdict."""
    from matplotlib.patches import Patch

    figure, axes = new_figure("Explored interleavings", caption, (9, 1.8 + 0.24 * max(len(frame), 4)))
    looks = [VERDICTS[verdict] for verdict in frame["verdict"]]
    axes.barh(range(len(frame)), frame["executions"], color=[c for c, _ in looks], hatch=[h for _, h in looks],
              edgecolor="white", lw=0.3)  # fmt: skip
    for place, (runs, steps) in enumerate(zip(frame["executions"], frame["steps"], strict=True)):
        axes.text(runs, place, f" {runs:,} executions, {steps:,} steps", va="center", fontsize=7)
    axes.set_yticks(range(len(frame)), frame["name"], fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(0.7, 30 * frame["executions"].max() if len(frame) else 10)
    axes.set_xlabel("executions (number, logarithmic)")
    axes.set_ylabel("exploration")
    axes.legend(handles=[Patch(facecolor=c, hatch=h, edgecolor="white", label=v) for v, (c, h) in VERDICTS.items()],
                fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))  # fmt: skip
    return figure
