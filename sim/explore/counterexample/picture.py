"""The counterexample as a picture: time downwards, one lane per CPU, arrows between them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sim.explore.counterexample import Counterexample
from sim.explore.counterexample.races import Arrow, arrows
from sim.explore.counterexample.rows import Row, rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"cpu": "#dbe9f6", "store buffer": "#fde8c8", "interrupt": "#e6d9ec", "page walk": "#e3f1dc"}
_EDGES = {"guilty": ("#b00020", 1.8), "race": ("#9a5b00", 1.2)}
_FRAMES = {"guilty": "here it breaks", "race": "has to do with another CPU"}
# Told apart by how they are drawn, too, for those who see colours alike.
ARROWS: dict[str, tuple[str, Literal["-", "--", "-.", ":"] | tuple[int, tuple[float, ...]], str]] = {
    "interrupt": ("#6a3d9a", "-.", "interrupt: sent, lands"),
    "seen": ("#00539c", "-", "stored, read"),
    "over": ("#00539c", ":", "stored, stored over"),
    "missed": ("#b00020", "--", "stored, not seen"),
    "ended": ("#b00020", (0, (5, 1.5, 1, 1.5, 1, 1.5)), "ended, still used"),
}

LANE = 5.2  # width of a CPU's lane, inches
LETTERS = 56  # of a line


def draw(example: Counterexample, stem: Path) -> list[Path]:
    """Write ``stem.png`` and ``stem.svg``; returns the paths."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = [(row, _lines(row)) for row in rows(example.steps)]
    reason = textwrap.wrap(f"{example.broken.invariant}: {example.broken.reason}", 60 * example.ncpus)
    height = sum(len(lines) + 1 for _, lines in shown) + len(reason) + 4
    with matplotlib.rc_context({"svg.hashsalt": "svs-sim", "font.size": 7}):
        figure, axes = plt.subplots(figsize=(LANE * example.ncpus + 0.6, 0.135 * height + 0.9))
        axes.set_xlim(0, LANE * example.ncpus)
        axes.set_ylim(height, 0)
        axes.axis("off")
        for cpu in range(example.ncpus):
            axes.text(LANE * cpu + LANE / 2, 0.6, f"cpu{cpu}", ha="center", weight="bold", fontsize=9)
        places: dict[int, tuple[float, float, int]] = {}
        y = 2.0
        for row, lines in shown:
            _box(axes, LANE * row.cpu, y, row, lines)
            places |= dict.fromkeys(range(row.first, row.last + 1), (y, y + len(lines) + 0.5, row.cpu))
            y += len(lines) + 1
        found = arrows(example.steps)
        _connect(axes, found, places)
        _legend(axes, found, [row for row, _ in shown])
        axes.text(0.1, y + 1, "\n".join(reason), color="#b00020", va="top", fontsize=7)
        axes.set_title(
            f"{example.litmus}, {example.profile}, memory {example.memory}"
            + (f", planted {example.planted}" if example.planted else ""), fontsize=9,
        )  # fmt: skip
        paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
        figure.savefig(paths[0], dpi=150, bbox_inches="tight", metadata={"Software": None})
        figure.savefig(paths[1], bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
    return paths


def _lines(row: Row) -> list[str]:
    """What is written into a row's box."""
    told = [*row.lines, *(f"= {change}" for change in row.changes)]
    return [part for line in told for part in textwrap.wrap(line, LETTERS, subsequent_indent="  ")]


def _box(axes: Axes, left: float, top: float, row: Row, lines: list[str]) -> None:
    """One row with its lines of text; the guilty one has a red frame, one that races a brown one."""
    from matplotlib.patches import Rectangle

    edge, width = _EDGES.get(row.mark, ("#888888", 0.5))
    colour = "#f4f4f4" if row.mark == "folded" else _COLOURS[row.actor]
    axes.add_patch(
        Rectangle(
            (left + 0.25, top), LANE - 0.5, len(lines) + 0.5, facecolor=colour, edgecolor=edge, lw=width, zorder=2
        )
    )
    for at, line in enumerate(lines):
        prefix = f"{row.first}".ljust(5) if not at else "     "
        grey = "#666666" if row.mark == "folded" else "#00539c" if line.startswith("= ") else "#1a1a1a"
        axes.text(left + 0.35, top + at + 0.85, prefix + line, family="monospace", fontsize=6.4, color=grey)


def _connect(axes: Axes, found: Sequence[Arrow], places: dict[int, tuple[float, float, int]]) -> None:
    """Draw the arrows, each from the middle of one box's side to that of another's."""
    for arrow in found:
        (top, bottom, one), (above, below, other) = places[arrow.tail], places[arrow.head]
        colour, style, _ = ARROWS[arrow.kind]
        right = one < other
        start = (LANE * one + (LANE - 0.25 if right else 0.25), (top + bottom) / 2)
        end = (LANE * other + (0.25 if right else LANE - 0.25), (above + below) / 2)
        axes.annotate(
            "", xy=end, xytext=start,
            arrowprops={"arrowstyle": "-|>", "color": colour, "linestyle": style, "shrinkA": 0, "shrinkB": 0},
            zorder=1.5 if abs(one - other) > 1 else 3,  # behind the boxes of lanes that it crosses
        )  # fmt: skip


def _legend(axes: Axes, found: Sequence[Arrow], shown: Sequence[Row]) -> None:
    """What the arrows, frames and colours mean that are there, below everything else."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    kinds = [it for kind, it in ARROWS.items() if any(arrow.kind == kind for arrow in found)]
    handles: list[Line2D | Patch] = [
        *(Line2D([], [], color=colour, linestyle=style, label=label) for colour, style, label in kinds),
        *(Patch(facecolor="white", edgecolor=_EDGES[mark][0], lw=_EDGES[mark][1], label=label)
          for mark, label in _FRAMES.items() if any(row.mark == mark for row in shown)),
        *(Patch(facecolor=colour, edgecolor="#888888", lw=0.5, label=actor)
          for actor, colour in _COLOURS.items() if any(row.actor == actor != "cpu" for row in shown)),
    ]  # fmt: skip
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, 0), ncols=4, frameon=False)
