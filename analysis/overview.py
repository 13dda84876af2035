"""The one chart of ``svs-sim run``: what the profile adds to the baseline, and to which cause it is charged."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analysis.pictures import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from analysis.units import counted, time_text, unit_for
from sim.causes import BY_NAME, GROUPS, OTHER

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of the causes, the chart shows so many at most and at least, and in between those above this share of all changes.
MOST = 12
LEAST = 3
SMALLEST = 0.002
TITLE_WIDTH, CAPTION_WIDTH = 68, 130  # letters a line
COLOURS = dict(zip(GROUPS, (BLUE, SKY, GREEN, ORANGE, VERMILION), strict=True))


def df_overview(summary: Mapping[str, Any]) -> pd.DataFrame:
    """Return the ledger with differences, one row per cause but idle, those that add most first.

    It is that of those whom the run was asked about, else of the whole machine.

    Columns: cause; count (charges in the profile's run); baseline_cycles, profile_cycles, difference_cycles (CPU
    cycles, summed over CPUs); points (percent of the baseline's busy time that the cause adds).
    """
    of = summary.get("whose") or summary
    import pandas as pd

    frame = pd.DataFrame(of["ledger"], columns=["cause", "count", "baseline_cycles", "profile_cycles"])
    frame = frame[frame["cause"] != "idle"].reset_index(drop=True)
    frame["difference_cycles"] = frame["profile_cycles"] - frame["baseline_cycles"]
    frame["points"] = 100 * frame["difference_cycles"] / max(of["busy_cycles"]["baseline"], 1)
    return frame


def headline(summary: Mapping[str, Any]) -> str:
    """Return the result in one line."""
    of = summary.get("whose") or summary
    overhead = of["overhead_percent"]
    name = _about(summary["scenario"], of.get("label", ""))
    sample = summary.get("sample")
    if overhead is None and sample:
        return f"{name}, sampled: on no CPU in {counted(sample['windows'], 'window')}; more windows may show it"
    if overhead is None:
        return f"{name}: no CPU was busy"
    if sample:
        return _estimated(f"{name}, sampled", summary, sample["busy"], counted(sample["windows"], "window"))
    repeats = summary.get("repeats") or {"runs": 0}
    runs = counted(repeats["runs"], "run")
    if repeats["runs"] <= 1:
        said = f"{name}: {summary['profile']} takes {_more(overhead)} CPU time than {summary['baseline']}"
        return f"{said} ({runs})" if repeats["runs"] else said
    return _estimated(name, summary, repeats["busy"], runs)


def _estimated(name: str, summary: Mapping[str, Any], cpu: Mapping[str, Any], of: str) -> str:
    """The headline where there is an interval, made *of* so many runs or windows."""
    sure = f"({interval_text(cpu)}, {of})"
    if not_seen(cpu):
        return f"{name}: no difference in CPU time seen between {summary['profile']} and {summary['baseline']} {sure}"
    return f"{name}: {summary['profile']} takes {_more(cpu['mean'])} CPU time than {summary['baseline']} {sure}"


def estimates(summary: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what has intervals: a sample for CPU time (``busy``), repeats for ``elapsed`` time too; None: nothing."""
    repeats = summary.get("repeats") or {"runs": 0}
    sample: Mapping[str, Any] | None = summary.get("sample")
    return sample or (repeats if repeats["runs"] > 1 else None)


def _about(scenario: str, label: str) -> str:
    """What a result is of, and whose; a command recorded under its own name is named once."""
    if not label or label.startswith(f"{scenario} ("):
        return label or scenario
    return f"{scenario}, {label}"


def _more(percents: float) -> str:
    return f"{abs(percents):.1f} % {'more' if percents >= 0 else 'less'}"


def not_seen(measured: Mapping[str, Any]) -> bool:
    """Return whether the interval of a difference, a part of ``repeats`` in ``summary.json``, contains zero."""
    low, high = measured["low"], measured["high"]
    return low is not None and low <= 0 <= high


def interval_text(measured: Mapping[str, Any]) -> str:
    """Return the interval of a difference as a text; of one run, a dash."""
    low, high = measured["low"], measured["high"]
    if low is None:
        return "-"
    digits = next(d for d in (1, 2, 3) if high - low >= 2 * 10**-d or d == 3)
    return f"{low:+.{digits}f} to {high:+.{digits}f} %"


def plot_overview(summary: Mapping[str, Any]) -> Figure:
    """Draw the chart of ``summary.json``: both runs as bars on top, below what each cause adds."""
    from analysis.figure import ShownFigure

    frame = df_overview(summary)
    frame = _shown(frame)
    rows = max(len(frame), 1)
    figure = ShownFigure(figsize=(8, 3.0 + 0.3 * rows), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=[1.6, rows + 1.5])
    figure.suptitle(broken(headline(summary), TITLE_WIDTH), fontsize=13, fontweight="bold")
    _draw_totals(top, summary)
    _draw_causes(bottom, frame, summary)
    figure.supxlabel(broken(caption(summary), CAPTION_WIDTH), fontsize=7.5, color="#444444")
    return figure


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the causes that matter, largest addition first, and sum up the others in a last row."""
    frame = frame[frame["difference_cycles"] != 0]
    size = frame["difference_cycles"].abs()
    rank = size.rank(method="first", ascending=False)
    kept = (rank <= MOST) & ((rank <= LEAST) | (size >= SMALLEST * size.sum()))
    # One single other is shown by its own name.
    if len(frame) - kept.sum() <= 1:
        kept[:] = True
    others = frame[~kept]
    frame = frame[kept].sort_values("difference_cycles", ascending=False, kind="stable")
    if others.empty:
        return frame
    last = others[["count", "difference_cycles", "points"]].sum().to_dict()
    import pandas as pd

    return pd.concat([frame, pd.DataFrame([{"cause": f"{len(others)} others", **last}])], ignore_index=True)


def caption(summary: Mapping[str, Any]) -> str:
    """Return what the numbers stand on: scenario, machine, seed."""
    pcid = summary.get("pcid", {}).get("profile")
    sample = summary.get("sample")
    sampled = f", a sample of {sample['lines']:,} of {sample['of_lines']:,} lines" if sample else ""
    return (
        f"scenario {summary['scenario']}{sampled}, {counted(summary['cpus'], 'CPU')} at "
        f"{summary['frequency_hz'] / 1e9:g} GHz, costs {summary.get('costs', '?')}, "
        f"profile {summary['profile']} ({'with' if pcid else 'without'} PCID) "
        f"against {summary['baseline']}, seed {summary['seed']}"
    )


def broken(text: str, width: int) -> str:
    """Return a text on lines that fit a picture, long names included; a number and its unit stay together."""
    return "\n".join(textwrap.wrap(joined(text), width))


def joined(text: str) -> str:
    """Return the text with percentages that no line break parts."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _draw_totals(axes: Axes, summary: Mapping[str, Any]) -> None:
    """Draw the busy time of both runs, by groups of causes."""
    of = summary.get("whose") or summary
    unit = unit_for(of["busy_cycles"].values(), summary["frequency_hz"])
    runs = ("profile", "baseline")
    left = dict.fromkeys(runs, 0.0)
    for group, colour in COLOURS.items():
        for place, run in enumerate(runs):
            width = unit.scale * sum(
                row[f"{run}_cycles"] for row in of["ledger"] if row["cause"] != "idle" and _group(row["cause"]) == group
            )
            label = group if run == "profile" else None
            axes.barh(place, width, left=left[run], color=colour, label=label, height=0.62, edgecolor="white", lw=0.4)
            left[run] += width
    for place, run in enumerate(runs):
        axes.text(left[run], place, f" {left[run]:.4g} {unit.name}", va="center", fontsize=9)
    axes.set_yticks(range(2), [f"{summary[run]}" for run in runs])
    axes.set_xlim(0, 1.14 * max(*left.values(), 1e-9))
    whose = f"CPU time of {of['label']}" if "label" in of else "CPU time of all CPUs, idle left out"
    sampled = ", in the sample" if summary.get("sample") else ""
    axes.set_xlabel(f"{whose}{sampled} ({unit.name})", fontsize=9)
    axes.legend(ncols=5, fontsize=7.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False,
                handlelength=1.0, columnspacing=1.2)  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)


def _colour(cause: str) -> str:
    """Return the colour of a cause's group; grey for the sum of the others."""
    return GREY if cause.endswith(" others") else COLOURS[_group(cause)]


def _group(cause: str) -> str:
    """Return the group of a cause, which may be one that an earlier version had."""
    return BY_NAME[cause].group if cause in BY_NAME else OTHER


def _draw_causes(axes: Axes, frame: pd.DataFrame, summary: Mapping[str, Any]) -> None:
    """Draw what each cause adds, with how often it was charged."""
    axes.spines[["top", "right"]].set_visible(False)
    if frame.empty:
        axes.text(0.5, 0.5, "nothing to show: no cause differs", ha="center", va="center", transform=axes.transAxes)
        axes.set_yticks([])
        return
    unit = unit_for(frame["difference_cycles"].tolist(), summary["frequency_hz"])
    values = [cycles * unit.scale for cycles in frame["difference_cycles"]]
    places = list(range(len(values)))
    colours = [_colour(str(cause)) for cause in frame["cause"]]
    axes.barh(places, values, color=colours, height=0.7)
    span = max(*values, 0.0) - min(*values, 0.0) if len(values) > 1 else abs(values[0])
    rows = zip(places, values, frame["difference_cycles"], frame["points"], frame["count"], strict=True)
    for place, value, cycles, points, count in rows:
        time = time_text(int(cycles), summary["frequency_hz"], sign=True)
        text = f"{time}  ({points:+.2f} %, {int(count):,} times)"
        axes.text(max(value, 0.0) + 0.01 * span, place, text, va="center", fontsize=8)
    axes.set_yticks(places, frame["cause"].tolist())
    axes.invert_yaxis()
    axes.set_xlim(min(*values, 0.0, -0.0) * 1.1, max(*values, 0.0) + 0.55 * span)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_xlabel(
        f"added by {summary['profile']} ({unit.name} of CPU time; in brackets: of the baseline's CPU time)", fontsize=9
    )
