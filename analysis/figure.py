"""The figures that charts are drawn on."""

from __future__ import annotations

from matplotlib.figure import Figure

from analysis.pictures import figure_bytes


class ShownFigure(Figure):
    """A figure that a notebook shows by itself, without pyplot."""

    def _repr_png_(self) -> bytes:
        """Return the picture that IPython shows for the value of a cell."""
        return figure_bytes(self, "png")
