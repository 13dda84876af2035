"""What notebooks show: a result with its chart and ledger, and how far a run has come."""

from __future__ import annotations

import base64
import html
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WIDTH = 760  # CSS pixels of the chart
SMALLEST = 0.005  # percent of the baseline's CPU time: what adds or takes less is left out of the ledger


def result_html(summary: dict[str, Any], path: Path, frames: Sequence[str]) -> str:
    """Return a result, by its summary, folder and names of frames, as HTML: headline, chart, what each cause adds."""
    from analysis.overview import df_overview, headline, plot_overview
    from analysis.pictures import figure_bytes
    from analysis.units import percent_text, time_text

    picture = base64.b64encode(figure_bytes(plot_overview(summary), "png")).decode()
    frame = df_overview(summary)
    frame = frame[frame["points"].abs() >= SMALLEST]
    rows = "".join(
        f"<tr><td>{html.escape(str(cause))}</td><td>{time_text(int(cycles), summary['frequency_hz'], sign=True)}</td>"
        f"<td>{percent_text(points)}</td></tr>"
        for cause, cycles, points in zip(frame["cause"], frame["difference_cycles"], frame["points"], strict=True)
    )
    return (
        f"<p><b>{html.escape(headline(summary))}</b></p>"
        f'<img alt="{html.escape(headline(summary))}" width="{WIDTH}" src="data:image/png;base64,{picture}">'
        f"<table><thead><tr><th>cause</th><th>adds</th><th>overhead</th></tr></thead><tbody>{rows}</tbody></table>"
        f"<p>{html.escape(str(path))}: frames {', '.join(frames)}</p>"
    )


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook, and not a terminal or a script."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell"


def notebook_progress() -> Callable[[str, float], None]:
    """Return a function of (stage, fraction from 0 to 1) that keeps a bar for each stage below the cell."""
    from IPython.display import HTML, display

    bars: dict[str, float] = {}
    handle: Any = display(HTML(""), display_id=True)

    def report(stage: str, fraction: float) -> None:
        if fraction < 1 and int(100 * fraction) == int(100 * bars.get(stage, -1)):
            return
        bars[stage] = fraction
        lines = (f"<div>{html.escape(name)} <progress max='1' value='{value:.3f}'></progress> {100 * value:.0f} %</div>"
                 for name, value in bars.items())  # fmt: skip
        handle.update(HTML("".join(lines)))

    return report
