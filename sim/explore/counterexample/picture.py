"""The counterexample as a picture: time downwards, one lane per CPU."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from sim.explore.counterexample import Counterexample, TraceStep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"cpu": "#dbe9f6", "store buffer": "#fde8c8", "interrupt": "#e6d9ec"}

LANE = 5.2  # width of a CPU's lane, inches


def draw(example: Counterexample, stem: Path) -> list[Path]:
    """Write ``stem.png`` and ``stem.svg``; steps that only go on are left out.  Returns the paths."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = [(n, s) for n, s in enumerate(example.steps, 1) if s.lines != ("(goes on)",)]
    rows = [(n, s, [part for line in s.lines for part in textwrap.wrap(line, 52)]) for n, s in shown]
    height = sum(len(lines) + 1 for _, _, lines in rows) + 4
    with matplotlib.rc_context({"svg.hashsalt": "svs-sim", "font.size": 7}):
        figure, axes = plt.subplots(figsize=(LANE * example.ncpus + 0.6, 0.135 * height + 0.9))
        axes.set_xlim(0, LANE * example.ncpus)
        axes.set_ylim(height, 0)
        axes.axis("off")
        for cpu in range(example.ncpus):
            axes.text(LANE * cpu + LANE / 2, 0.6, f"cpu{cpu}", ha="center", weight="bold", fontsize=9)
        y = 2.0
        for i, (number, step, lines) in enumerate(rows):
            _box(axes, LANE * step.cpu, y, number, step, lines, bad=i == len(rows) - 1)
            y += len(lines) + 1
        reason = "\n".join(textwrap.wrap(f"{example.broken.invariant}: {example.broken.reason}", 60 * example.ncpus))
        axes.text(0.1, y + 1, reason, color="#b00020", va="top", fontsize=7)
        axes.set_title(
            f"{example.litmus}, {example.profile}, memory {example.memory}"
            + (f", planted {example.planted}" if example.planted else ""), fontsize=9,
        )  # fmt: skip
        paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
        figure.savefig(paths[0], dpi=150, bbox_inches="tight", metadata={"Software": None})
        figure.savefig(paths[1], bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
    return paths


def _box(axes: Axes, left: float, top: float, number: int, step: TraceStep, lines: list[str], *, bad: bool) -> None:
    """One step with its lines of text; a bad one has a red frame."""
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle(
            (left + 0.1, top), LANE - 0.2, len(lines) + 0.5, facecolor=_COLOURS[step.actor],
            edgecolor="#b00020" if bad else "#555555", lw=1.6 if bad else 0.6,
        )
    )  # fmt: skip
    for row, line in enumerate(lines):
        prefix = "     " if row else f"{number}  "
        axes.text(left + 0.2, top + row + 0.85, prefix + line, family="monospace", fontsize=6.4)
