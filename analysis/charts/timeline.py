"""A short stretch of a run: what every CPU did."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from analysis.charts.opened_result import OpenedResult
from analysis.charts.style import empty, new_figure
from analysis.pictures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRACKS = ("mode", "lwp", "cr3", "lock", "interrupt")
MOST_CPUS = 12
MOST_FLOWS = 80  # beyond so many IPIs arrows hide what they explain
CHARACTER = 1 / 150  # of the picture's width, for a letter inside a stretch


class Look(NamedTuple):
    """How stretches of a kind are drawn: what the legend says, colour, hatch."""

    says: str
    colour: str
    hatch: str = ""


def _look(track: str, name: str) -> Look:
    """The kind of a stretch."""
    if track == "mode":
        return {"user": Look("user mode", SKY), "kernel": Look("kernel mode", ORANGE)}.get(
            name, Look("idle", "#E4E4E4")
        )
    if track == "lwp":
        return Look("LWP", "#C8C8C8")
    if track == "cr3":
        return Look("CR3: user tables", GREEN, "//") if name.startswith("user") else Look("CR3: kernel tables", PURPLE)
    if track == "lock":
        return Look("waits for a lock", VERMILION, "xx") if name.startswith("wait ") else Look("holds a lock", BLUE)
    return Look("interrupt handler", BLACK)


def df_timeline(opened: OpenedResult, run: str = "profile") -> pd.DataFrame:
    """Return the stretches of the recorded window.

    Columns: cpu, track, name, start_us, end_us (microseconds since the start of the run), flow (0, or a number that an
    IPI's sending, its handlers and its acknowledgement share).
    """
    frame = opened.frame("timeline")
    frame = frame[(frame["run"] == run) & frame["track"].isin(TRACKS)]
    scale = 1e6 / opened.frequency_hz
    frame = frame.assign(start_us=frame["time_cycles"] * scale, end_us=frame["end_cycles"] * scale)
    order = frame["track"].map({track: place for place, track in enumerate(TRACKS)})
    frame = frame.assign(order=order).sort_values(["cpu", "order", "start_us", "end_us"], kind="stable")
    return frame[["cpu", "track", "name", "start_us", "end_us", "flow"]].reset_index(drop=True)


def plot_timeline(frame: pd.DataFrame, caption: str) -> Figure:
    """Draw :func:`df_timeline`: a lane for each CPU and track, arrows along the IPIs.

    Of more CPUs than fit, those with most events are drawn.
    """
    all_cpus = frame["cpu"].nunique()
    busiest = frame["cpu"].value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    frame = frame[frame["cpu"].isin(busiest.index[:MOST_CPUS])].reset_index(drop=True)
    lanes = list(dict.fromkeys(zip(frame["cpu"], frame["track"], strict=True)))
    figure, axes = new_figure("What the CPUs did", caption, (11, 2 + 0.27 * max(len(lanes), 3)))
    lane = pd.Series([lanes.index(key) for key in zip(frame["cpu"], frame["track"], strict=True)], frame.index, int)
    width = max(frame["end_us"].max() - frame["start_us"].min(), 1e-3) if len(frame) else 1.0
    looks = pd.Series([_look(t, n) for t, n in zip(frame["track"], frame["name"], strict=True)], frame.index, object)
    lasting = frame["end_us"] > frame["start_us"]
    for look in dict.fromkeys(looks[lasting]):
        rows = frame[lasting & (looks == look)]
        # What is too short to be seen gets a hairline.
        lengths = (rows["end_us"] - rows["start_us"]).clip(lower=width / 3000)
        axes.barh(lane[rows.index], lengths, left=rows["start_us"], height=0.8, color=look.colour, hatch=look.hatch,
                  edgecolor="white", lw=0, label=look.says)  # fmt: skip
    _names(axes, frame[lasting & frame["track"].isin(("lwp", "cr3", "lock"))], lane, width)
    _flows(axes, frame, lane)
    for place, (cpu, _) in enumerate(lanes):
        if place and cpu != lanes[place - 1][0]:
            axes.axhline(place - 0.5, color=GREY, lw=0.8)
    axes.set_yticks(range(len(lanes)), [f"CPU {cpu} {track}" for cpu, track in lanes], fontsize=8)
    axes.set_ylim(max(len(lanes), 1) - 0.4, -0.6)
    axes.margins(x=0.01)
    axes.grid(visible=False)
    axes.set_xlabel("time since the start of the run (µs)")
    few = f" ({MOST_CPUS} of {all_cpus} CPUs, those with most events)" if all_cpus > MOST_CPUS else ""
    axes.set_ylabel(f"CPU and track{few}")
    if frame.empty:
        empty(axes, "nothing happened in the window")
    else:
        axes.legend(fontsize=7.5, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _names(axes: Axes, rows: pd.DataFrame, lane: pd.Series, width: float) -> None:
    """Write the names of LWPs, tables and locks into the stretches that have room for them."""
    for index, name, start, end in zip(rows.index, rows["name"], rows["start_us"], rows["end_us"], strict=True):
        if end - start > (len(name) + 1) * CHARACTER * width:
            axes.text((start + end) / 2, lane[index], name, ha="center", va="center", fontsize=6, clip_on=True,
                      bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8})  # fmt: skip


def _flows(axes: Axes, frame: pd.DataFrame, lane: pd.Series) -> None:
    """Mark where IPIs are sent and acknowledged, and draw their ways."""
    events = frame[(frame["track"] == "interrupt") & (frame["start_us"] == frame["end_us"])]
    sent = events[events["name"].str.startswith("send ")]
    acked = events.drop(index=sent.index)
    for rows, mark, says in ((sent, "^", "IPI sent"), (acked, "o", "all acknowledged")):
        if len(rows):
            axes.plot(rows["start_us"], lane[rows.index], mark, color=VERMILION, mec="black", mew=0.4, ms=5, label=says)
    if len(sent) > MOST_FLOWS:
        return
    handlers = frame[(frame["flow"] > 0) & (frame["end_us"] > frame["start_us"])]
    starts = {flow: (t, lane[i]) for i, flow, t in zip(sent.index, sent["flow"], sent["start_us"], strict=True)}
    ends = {flow: (t, lane[i]) for i, flow, t in zip(acked.index, acked["flow"], acked["start_us"], strict=True)}
    columns = (handlers["flow"], handlers["start_us"], handlers["end_us"])
    for index, flow, start, end in zip(handlers.index, *columns, strict=True):
        if flow in starts:
            axes.annotate("", (start, lane[index]), starts[flow],
                          arrowprops={"arrowstyle": "->", "lw": 0.6, "color": VERMILION})  # fmt: skip
        if flow in ends:
            # Some handlers acknowledge before they are over.
            axes.annotate("", ends[flow], (min(end, ends[flow][0]), lane[index]),
                          arrowprops={"arrowstyle": "->", "lw": 0.5, "ls": ":", "color": BLACK})  # fmt: skip
