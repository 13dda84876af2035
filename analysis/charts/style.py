"""What all charts share: one look, colours for profiles, captions, intervals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from analysis.pictures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from sim.kernel.designs import PROFILES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = (BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, BLACK, GREY)
MARKERS = "osD^vPX*"
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo", "--")
OF_PROFILES = (GREY, PURPLE, VERMILION, BLUE, SKY, GREEN, ORANGE, BLACK)  # in the order of the registry
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
    if len(set(data)) == 1:  # a standard error of rounding alone would give equal values a width
        return Interval(data[0], data[0], data[0], len(data))
    scale = float(stats.sem(data))
    low, high = stats.t.interval(confidence, len(data) - 1, loc=mean, scale=scale)
    return Interval(mean, float(low), float(high), len(data))


def df_intervals(points: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Return a row for each combination of *by*: these columns, then mean, low, high, replications of *value*.

    Of an estimate from samples, a row for each point with its own interval, and ``windows`` in place of replications.
    """
    if f"{value}_low" in points.columns:
        names = {value: "mean", f"{value}_low": "low", f"{value}_high": "high"}
        found = points[[*by, *names, "windows"]].rename(columns=names)
        return found.dropna(subset="mean").sort_values(by, kind="stable").reset_index(drop=True)
    rows = []
    for keys, group in points.groupby(by, sort=True, dropna=False):
        values = group[value].dropna()
        if len(values):
            rows.append([*keys, *interval(values)])
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "replications"])


def new_figure(title: str, caption: str, size: tuple[float, float] = (8, 4.8)) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes, a title and a caption at its foot."""
    from analysis.figure import ShownFigure

    figure = ShownFigure(figsize=size, layout="constrained")
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
    """Say in the picture that there is nothing to show, and why."""
    axes.text(0.5, 0.5, f"nothing to show: {text}", ha="center", va="center", transform=axes.transAxes)


def profile_of(name: str) -> str:
    """The profile that a series is named after, with its variations: ``pti+no-global, PCID`` is of that one."""
    return name.split(",")[0].removesuffix(" PCID")


def own_colours() -> dict[str, str]:
    """The colour of each profile."""
    return {name: OF_PROFILES[place % len(OF_PROFILES)] for place, name in enumerate(PROFILES)}


def colour(name: str, place: int) -> str:
    """Colour of a line: the profile's own, or the palette's."""
    return own_colours().get(profile_of(name), PALETTE[place % len(PALETTE)])


def in_order(names: Iterable[str]) -> list[str]:
    """Different names of series, the profiles in the order of their years, not of the alphabet."""
    known = list(PROFILES)

    def key(name: str) -> tuple[int, str]:
        base = profile_of(name).split("+")[0]
        return known.index(base) if base in known else len(known), name

    return sorted(set(names), key=key)


def profile_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each profile among names of series; profiles with variations get those that are left."""
    profiles = list(dict.fromkeys(profile_of(name) for name in names))
    own = {name: colour for name, colour in own_colours().items() if name in profiles}
    free = [one for one in PALETTE if one not in own.values()] or list(PALETTE)
    others = [name for name in profiles if name not in own]
    return {**own, **{name: free[place % len(free)] for place, name in enumerate(others)}}


def broken(name: str) -> str:
    """A long name of a profile, over several lines."""
    return name.replace("+", "\n+").replace(" PCID", "\nPCID").replace(", ", "\n") if len(name) > 14 else name
