"""Shootdowns, context switches, locks and the TLB: how long, how often, for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.charts.opened_result import OpenedResult
from analysis.charts.style import HATCHES, PALETTE, broken, colour, empty, in_order, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOOTDOWN_PARTS = {
    "mailbox_cycles": "wait for the mailbox",
    "send_cycles": "send",
    "local_cycles": "local flush",
    "ack_cycles": "wait for acknowledgements",
}
SWITCH_PARTS = {
    "svs_lwp_switch_cycles": "svs_lwp_switch",
    "svs_pdir_switch_cycles": "svs_pdir_switch",
    "other_cycles": "rest of the switch",
}
LOCKS = ("ci_svs_mtx", "pm_lock")


def df_shootdowns(opened: OpenedResult) -> pd.DataFrame:
    """Return mean times of shootdowns that have a remote target.

    Columns: series (profile); x (CPUs that took part in a run, the initiator included; simulated CPUs in a sweep);
    count; mailbox_ns, send_ns, local_ns, ack_ns, total_ns (mean nanoseconds a shootdown on the initiator);
    receiver_ns (mean nanoseconds in the handler of one receiver).
    """
    parts = [*SHOOTDOWN_PARTS, "total_cycles"]
    every = [*parts, "receiver_cycles", "targets"]
    if opened.kind == "run":
        frame = opened.frame("shootdowns")
        by_run = {run: opened.summary[run] for run in ("baseline", "profile")}
        frame = frame[frame["targets"] > 0].assign(series=frame["run"].map(by_run), count=1)
        frame = frame.assign(x=frame["targets"] + 1)
        frame[["receiver_cycles", *parts]] *= 1e9 / opened.frequency_hz
    else:
        columns = [f"shootdown_{name}" for name in every]
        points = opened.frame("points", ("shootdowns", *columns))
        names = points["profile"] + points["pcid"].map({True: " PCID", False: ""})
        frame = points.assign(x=points["cpus"], series=names, count=points["shootdowns"])
        frame[every] = frame[columns]
        frame[["receiver_cycles", *parts]] = frame[["receiver_cycles", *parts]].mul(1e9 / frame["frequency_hz"], axis=0)
    sums = frame.groupby(["series", "x"], sort=True)[[*every, "count"]].sum()
    sums = sums[sums["count"] > 0]
    out = pd.DataFrame({"count": sums["count"]})
    for part in parts:
        out[part.replace("_cycles", "_ns")] = sums[part] / sums["count"]
    out["receiver_ns"] = sums["receiver_cycles"] / sums["targets"]
    return out.reset_index()


def plot_shootdowns(frame: pd.DataFrame, caption: str) -> Figure:
    """Draw :func:`df_shootdowns`: a group for each number of CPUs, the initiator's time stacked."""
    series, xs = in_order(frame["series"]), sorted(frame["x"].unique())
    size = (min(max(8.0, 4 + 0.16 * len(series) * len(xs)), 24), 4.8)
    figure, axes = new_figure("Shootdown latency against CPUs", caption, size)
    width = 0.8 / max(len(series), 1)
    places: dict[str, list[float]] = {}
    for number, name in enumerate(series):
        rows = frame[frame["series"] == name]
        places[name] = [xs.index(x) + (number - (len(series) - 1) / 2) * width for x in rows["x"]]
        bottom = pd.Series(0.0, index=rows.index)
        for place, (part, label) in enumerate(SHOOTDOWN_PARTS.items()):
            values = rows[part.replace("_cycles", "_ns")]
            axes.bar(places[name], values, width * 0.9, bottom=bottom, color=PALETTE[place], hatch=HATCHES[place],
                     edgecolor="white", lw=0.4, label=label if number == 0 else None)  # fmt: skip
            bottom = bottom + values
        axes.plot(places[name], rows["receiver_ns"], "kD", mfc="white", ms=6, ls="",
                  label="handler of one receiver\n(while the initiator waits)" if number == 0 else None)  # fmt: skip
    if frame.empty:
        empty(axes, "no shootdown had a remote target")
        axes.set_xticks([])
    else:
        _group_ticks(axes, places, xs)
        legend(axes)
    axes.set_xlabel("CPUs (number)")
    axes.set_ylabel("mean time a shootdown (ns)")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    return figure


def _group_ticks(axes: Axes, places: dict[str, list[float]], xs: list[object]) -> None:
    """Label each bar with its series and, below, each group with its x."""
    # A bar in the middle of its group stands where the group's own label does.
    axes.xaxis.remove_overlapping_locs = False
    at = [place for own in places.values() for place in own]
    few = len(at) <= 6
    names = [broken(name) for name, own in places.items() for _ in own]
    axes.set_xticks(at, names, minor=True, rotation=0 if few else 90, fontsize=7)
    lines = [name.split("\n") for name in names]
    pad = 10 + 9 * max(map(len, lines)) if few else 8 + 4.4 * max(len(line) for own in lines for line in own)
    axes.set_xticks(range(len(xs)), [str(x) for x in xs])
    axes.tick_params(axis="x", which="major", length=0, pad=pad)


def df_switches(opened: OpenedResult) -> pd.DataFrame:
    """Return the mean cost of a context switch.

    Columns: series (profile); kind; count; svs_lwp_switch_ns, svs_pdir_switch_ns, other_ns (mean nanoseconds).
    """
    frame = opened.frame("switches")
    names = {run: opened.summary[run] for run in ("baseline", "profile")}
    svs = frame["svs_lwp_switch_cycles"] + frame["svs_pdir_switch_cycles"]
    frame = frame.assign(series=frame["run"].map(names), other_cycles=frame["total_cycles"] - svs)
    grouped = frame.groupby(["kind", "series"], sort=True)
    mean = grouped[list(SWITCH_PARTS)].mean() * (1e9 / opened.frequency_hz)
    mean.columns = pd.Index([column.replace("_cycles", "_ns") for column in mean.columns])
    mean["count"] = grouped.size()
    return mean.reset_index()


def plot_switches(frame: pd.DataFrame, caption: str) -> Figure:
    """Draw :func:`df_switches` as stacked bars, one for each kind and profile."""
    figure, axes = new_figure("Cost of a context switch", caption, (8, 1.8 + 0.35 * max(len(frame), 3)))
    left = pd.Series(0.0, index=frame.index)
    for place, (part, label) in enumerate(SWITCH_PARTS.items()):
        values = frame[part.replace("_cycles", "_ns")]
        axes.barh(range(len(frame)), values, left=left, color=PALETTE[place], hatch=HATCHES[place],
                  edgecolor="white", lw=0.4, label=label)  # fmt: skip
        left = left + values
    for place, (total, count) in enumerate(zip(left, frame["count"], strict=True)):
        axes.text(total, place, f" {total:,.0f} ns, {count:,} time{'s' if count != 1 else ''}", va="center", fontsize=8)
    axes.grid(visible=False)
    axes.set_yticks(range(len(frame)), [f"{k}, {s}" for k, s in zip(frame["kind"], frame["series"], strict=True)])
    axes.set_xlim(0, 1.3 * left.max() if len(frame) else 1)
    axes.invert_yaxis()
    axes.set_xlabel("mean time a switch (ns)")
    axes.set_ylabel("kind of switch, profile")
    if frame.empty:
        empty(axes, "no LWP was switched")
    else:
        legend(axes)
    return figure


def df_locks(opened: OpenedResult) -> pd.DataFrame:
    """Return how long holders waited for ``ci_svs_mtx`` and ``pm_lock``.

    Columns: series (lock and profile); wait_ns; share (of all holdings that waited longer, from 1 down to 0).
    """
    frame = opened.frame("locks")
    frame = frame[frame["lock"].isin(LOCKS)]
    names = {run: opened.summary[run] for run in ("baseline", "profile")}
    frame = frame.assign(series=frame["lock"] + ", " + frame["run"].map(names))
    counts = frame.groupby(["series", "wait_cycles"], sort=True)["count"].sum().reset_index()
    total = counts.groupby("series")["count"].transform("sum")
    counts["share"] = 1 - counts.groupby("series")["count"].cumsum() / total
    counts["wait_ns"] = counts["wait_cycles"] * 1e9 / opened.frequency_hz
    return counts[["series", "wait_ns", "share"]]


def plot_locks(frame: pd.DataFrame, caption: str) -> Figure:
    """Draw :func:`df_locks`: the share of acquisitions that waited longer than a time."""
    figure, axes = new_figure("Waiting for ci_svs_mtx and pm_lock", caption)
    longest = frame["wait_ns"].max() if len(frame) else 0.0
    for place, (name, group) in enumerate(frame.groupby("series", sort=True)):
        style = "--" if str(name).startswith("pm_lock") else "-"
        waits = [*group["wait_ns"], longest * 1.05]
        shares = [100 * share for share in [*group["share"], 0.0]]
        axes.step(waits, shares, where="post", label=name, color=PALETTE[place % len(PALETTE)], ls=style)
    if longest:
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
    else:
        empty(axes, "no lock was waited for")
        axes.set_ylim(0, 100)
        axes.set_xlim(0, 100)
    axes.set_xlabel("wait (ns)")
    axes.set_ylabel("acquisitions that waited longer (%)")
    if len(frame):
        legend(axes)
    return figure


TLB_PREFIXES = ("page walks", "STLB hits", "CR3 writes", "INVLPG", "INVPCID", "tlbshoot", "TLB shootdown")


def df_tlb(opened: OpenedResult) -> pd.DataFrame:
    """Return TLB refills and flushes by what caused them.  Columns: name (counter); baseline, profile (counts)."""
    frame = opened.frame("counters")
    frame = frame[frame["name"].str.startswith(TLB_PREFIXES)]
    wide = frame.pivot_table(index="name", columns="run", values="value", aggfunc="sum", fill_value=0)
    wide = wide.reindex(columns=["baseline", "profile"], fill_value=0)
    wide["rank"] = [next(i for i, p in enumerate(TLB_PREFIXES) if str(n).startswith(p)) for n in wide.index]
    return wide.reset_index().sort_values(["rank", "name"]).drop(columns="rank").reset_index(drop=True)


def plot_tlb(frame: pd.DataFrame, names: tuple[str, str], caption: str) -> Figure:
    """Draw :func:`df_tlb`; *names* are those of the baseline's and the profile's design."""
    figure, axes = new_figure("TLB refills and flushes", caption, (8, 2 + 0.32 * max(len(frame), 3)))
    for offset, run, name in ((-0.2, "baseline", names[0]), (0.2, "profile", names[1])):
        places = [place + offset for place in range(len(frame))]
        axes.barh(places, frame[run], 0.38, label=name, color=colour(name, 0))
        for place, value in zip(places, frame[run], strict=True):
            axes.text(max(value, 0.6), place, f" {value:,}", va="center", fontsize=7)
    axes.set_yticks(range(len(frame)), frame["name"])
    axes.set_ylim(max(len(frame), 1) - 0.4, -0.6)
    axes.grid(visible=False)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, 8 * max(frame[["baseline", "profile"]].max().max(), 1) if len(frame) else 1)
    axes.set_xlabel("times in the whole run (number, logarithmic)")
    axes.set_ylabel("counter")
    if frame.empty:
        empty(axes, "the TLB was neither refilled nor flushed")
    else:
        legend(axes)
    return figure
