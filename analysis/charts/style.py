"""What all charts share: one look, colours for profiles, captions, intervals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from analysis.pictures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = (BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, BLACK, GREY)
MARKERS = "osD^vPX*"
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo", "--")
PROFILE_COLOURS = {
    "none": GREY,
    "svs-2018-02": PURPLE,
    "svs-netbsd8": VERMILION,
    "svs-netbsd9": BLUE,
    "svs-netbsd10": SKY,
    "pti": GREEN,
}
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Mean of replications with its confidence interval; ``low`` and ``high`` equal ``mean`` for a single one."""

    mean: float
    low: float
    high: float
    replications: int


def interval(values: Iterable[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the mean and Student's t interval (``scipy.stats.t.interval``) of independent replications."""
    from scipy import stats

    data = [float(value) for value in values]
    mean = sum(data) / len(data)
    if len(data) < 2:
        return Interval(mean, mean, mean, len(data))
    scale = float(stats.sem(data))
    if scale == 0:
        return Interval(mean, mean, mean, len(data))
    low, high = stats.t.interval(confidence, len(data) - 1, loc=mean, scale=scale)
    return Interval(mean, float(low), float(high), len(data))


def df_intervals(points: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Return a row for each combination of *by*: these columns, then mean, low, high, replications of *value*."""
    rows = []
    for keys, group in points.groupby(by, sort=True, dropna=False):
        rows.append([*keys, *interval(group[value].dropna())])
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "replications"])


def new_figure(title: str, caption: str, size: tuple[float, float] = (8, 4.8)) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes, a title and a caption at its foot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=13, fontweight="bold")
    figure.supxlabel(_wrapped(caption), fontsize=7.5, color="#444444")
    axes = figure.add_subplot()
    clean(axes)
    return figure, axes


def _wrapped(text: str, width: int = 130) -> str:
    """Break a caption into lines."""
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def clean(axes: Axes) -> None:
    """Take away the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)


def legend(axes: Axes, columns: int = 1, title: str | None = None) -> None:
    """Put the legend outside, on the right."""
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=columns, title=title)


def empty(axes: Axes, text: str) -> None:
    """Say in the picture that there is nothing to show."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)


def colour(name: str, place: int) -> str:
    """Colour of a line: the profile's own, or the palette's."""
    return PROFILE_COLOURS.get(name.split(",")[0], PALETTE[place % len(PALETTE)])
