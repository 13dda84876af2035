"""A short stretch of a run: what every CPU did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.charts.material import Material
from analysis.charts.style import HATCHES, PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRACKS = ("mode", "lwp", "cr3", "lock", "interrupt")
LEGEND_AT_MOST = 24


def df_timeline(material: Material, run: str = "profile") -> pd.DataFrame:
    """Return the stretches of the recorded window.

    Columns: cpu, track, name, start_us, end_us (microseconds since the start of the run), flow.
    """
    frame = material.frame("timeline")
    frame = frame[(frame["run"] == run) & frame["track"].isin(TRACKS)]
    scale = 1e6 / material.frequency_hz
    frame = frame.assign(start_us=frame["time_cycles"] * scale, end_us=frame["end_cycles"] * scale)
    order = frame["track"].map({track: place for place, track in enumerate(TRACKS)})
    frame = frame.assign(order=order).sort_values(["cpu", "order", "start_us", "end_us"], kind="stable")
    return frame[["cpu", "track", "name", "start_us", "end_us", "flow"]].reset_index(drop=True)


def plot_timeline(frame: pd.DataFrame, caption: str) -> Figure:
    """Draw :func:`df_timeline`: a lane for each CPU and track, arrows along the IPIs."""
    lanes = list(dict.fromkeys(zip(frame["cpu"], frame["track"], strict=True)))
    figure, axes = new_figure("What the CPUs did", caption, (11, 2 + 0.3 * max(len(lanes), 3)))
    names = list(dict.fromkeys(frame["name"]))
    width = max(frame["end_us"].max() - frame["start_us"].min(), 1e-3) if len(frame) else 1.0
    for place, name in enumerate(names):
        rows = frame[frame["name"] == name]
        heights = [lanes.index(lane) for lane in zip(rows["cpu"], rows["track"], strict=True)]
        # An event has no length; a hairline makes it visible.
        lengths = (rows["end_us"] - rows["start_us"]).clip(lower=width / 2000)
        axes.barh(heights, lengths, left=rows["start_us"], height=0.8, color=PALETTE[place % len(PALETTE)],
                  hatch=HATCHES[place // len(PALETTE) % len(HATCHES)], lw=0,
                  label=name if place < LEGEND_AT_MOST else None)  # fmt: skip
    for _, group in frame[frame["flow"] > 0].groupby("flow"):
        ends = [(r.start_us, lanes.index((r.cpu, r.track))) for r in group.sort_values("start_us").itertuples()]
        for begin, end in zip(ends, ends[1:], strict=False):
            axes.annotate("", end, begin, arrowprops={"arrowstyle": "->", "lw": 0.7, "color": "black"})
    axes.set_yticks(range(len(lanes)), [f"CPU {cpu} {track}" for cpu, track in lanes], fontsize=8)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlabel("time since the start of the run (µs)")
    axes.set_ylabel("CPU and track")
    if names:
        axes.legend(fontsize=6.5, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
