"""Published against predicted, one panel per curve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.charts.style import clean
from analysis.pictures import BLACK, BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 2  # as many panels side by side as stay readable where the picture is as wide as a page
ROOM = 46  # letters below a panel
WIDE = 25


def df_validation(content: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per point of ``validation.json``'s *content*.

    Columns: those of its points (curve, figure, x, quantity, unit, published, reference, predicted, error,
    null_predicted, null_error, fitted, informative, profile, baseline, costs, source, sure, explained), then the
    curve's ``title``, ``figures``, ``x_label`` and ``logarithmic``.
    """
    frame = pd.DataFrame(content["points"])
    about = pd.DataFrame(content["curves"])[["curve", "title", "figure", "x_label", "logarithmic"]]
    return frame.merge(about.rename(columns={"figure": "figures"}), on="curve", how="left")


def plot_validation(frame: pd.DataFrame, caption: str = "") -> Figure:
    """Draw :func:`df_validation`: published and predicted over x, crosses for the null model, fitted points hollow.

    *caption* is written at the foot.
    """
    from analysis.figure import ShownFigure

    names = list(dict.fromkeys(frame["curve"]))
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = ShownFigure(figsize=(4.3 * columns, 3.2 * rows + 1.1), layout="constrained")
    figure.suptitle("Published and predicted", fontsize=14, fontweight="bold")
    panels = figure.subplots(rows, columns, squeeze=False)
    for place, name in enumerate(names):
        _panel(panels[place // columns][place % columns], frame[frame["curve"] == name])
    for place in range(len(names), rows * columns):
        panels[place // columns][place % columns].set_axis_off()
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9.5,
                  title=_broken(caption, 48 * columns), title_fontsize=9)  # fmt: skip
    return figure


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    """One curve."""
    first = rows.iloc[0]
    clean(axes)
    numeric = all(not isinstance(x, str) for x in rows["x"])
    at: list[Any] = list(rows["x"]) if numeric else list(range(len(rows)))
    axes.plot(at, rows["null_predicted"], color=GREY, marker="x", ms=5, lw=0, label="null model", zorder=2)
    fitted, free = rows["fitted"].to_list(), [not f for f in rows["fitted"]]
    axes.plot(at, rows["published"], color=BLACK, marker="o", ms=4, lw=1 if numeric else 0, label="published", zorder=3)
    for mask, face, label in ((free, BLUE, "predicted"), (fitted, "white", "fitted to the published point")):
        places = [x for x, wanted in zip(at, mask, strict=True) if wanted]
        values = [y for y, wanted in zip(rows["predicted"], mask, strict=True) if wanted]
        axes.plot(places, values, color=BLUE if face == BLUE else ORANGE, marker="D", ms=8, lw=0, mfc="none" if
                  face == "white" else face, alpha=0.75, mew=1.6, label=label)  # fmt: skip
    if numeric and first["logarithmic"]:
        axes.set_xscale("log", base=2)
    if not numeric:
        axes.set_xticks(at, [_broken(str(x), ROOM // len(rows)) for x in rows["x"]], fontsize=8.5)
        axes.set_xlim(-0.6, len(rows) - 0.4)
    elif not first["logarithmic"]:
        axes.set_xticks(at)
    axes.set_title(f"{first['title']}\n{first['figures']}", fontsize=10.5)
    axes.set_xlabel(first["x_label"], fontsize=9.5)
    words = " / ".join(dict.fromkeys(_words(quantity) for quantity in rows["quantity"]))
    axes.set_ylabel(f"{words} ({first['unit']})", fontsize=9.5)
    values = pd.concat([rows["published"], rows["predicted"]])
    if values.min() > 0 and values.max() > WIDE * values.min():
        axes.set_yscale("log")
    elif values.min() >= 0:
        axes.set_ylim(0, 1.12 * values.max())
    axes.tick_params(which="both", labelsize=8.5)


def _words(quantity: str) -> str:
    """A quantity as an axis calls it."""
    return {
        "added_ns": "added time an operation",
        "added_cycles": "added time an operation",
        "overhead_percent": "overhead",
        "user_percent": "user time added",
        "system_percent": "system time added",
        "sampled_user_percent": "user time added",
        "sampled_system_percent": "system time added",
        "elapsed_percent": "elapsed time added",
        "elapsed_loss_percent": "throughput lost",
        "loss_percent": "throughput lost",
        "gain_percent": "throughput gained",
        "run_ns": "time an operation",
        "run_cycles": "time an operation",
        "elapsed_ns": "elapsed time an operation",
        "per_second": "operations a second",
        "refill_percent": "time in TLB refills",
        "flush_cycles": "time a flush",
    }[quantity]


def _broken(text: str, width: int) -> str:
    """A case's name on several short lines."""
    import textwrap

    return "\n".join(textwrap.wrap(text, max(width, 8)))
