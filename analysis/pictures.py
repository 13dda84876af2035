"""How pictures are written: same figure, same bytes; colours that colour-blind readers can tell apart."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#8C8C8C"
FORMATS = ("png", "svg")
DPI = 150


def figure_bytes(figure: Figure, format: str) -> bytes:
    """Return *figure* as PNG or SVG, without dates and random ids."""
    import matplotlib
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        # Names come from files; a dollar sign in one is no formula.  Ticks get their texts, and formulas, only later.
        if isinstance(text, Text) and "$" in text.get_text() and "mathdefault" not in text.get_text():
            text.set_parse_math(False)
    metadata = {"Date": None} if format == "svg" else {"Software": None}
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "svs-sim"}):
        figure.savefig(buffer, format=format, dpi=DPI, metadata=metadata, facecolor="white")
    return buffer.getvalue()


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write *figure* as ``stem.png`` and ``stem.svg``; returns both paths."""
    written = []
    for format in FORMATS:
        path = stem.with_name(f"{stem.name}.{format}")
        path.write_bytes(figure_bytes(figure, format))
        written.append(path)
    return written
