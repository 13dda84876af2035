"""Charts of nothing say so, and titles hold words."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.charts import events, exploration, ledger, overhead, timeline
from analysis.pictures import figure_bytes

EMPTY: dict[str, Callable[[], Figure]] = {
    "shootdowns": lambda: events.plot_shootdowns(pd.DataFrame(columns=["series", "x", "count", "receiver_ns"]), "c"),
    "switches": lambda: events.plot_switches(
        pd.DataFrame(
            columns=["kind", "series", "count", *(part.replace("_cycles", "_ns") for part in events.SWITCH_PARTS)]
        ),
        "c",
    ),
    "locks": lambda: events.plot_locks(pd.DataFrame(columns=["series", "wait_ns", "share"]), "c"),
    "tlb": lambda: events.plot_tlb(pd.DataFrame(columns=["name", "baseline", "profile"]), ("none", "pti"), "c"),
    "ledger": lambda: ledger.plot_ledger(pd.DataFrame(columns=["profile", "cause", "percent"]), "c"),
    "exploration": lambda: exploration.plot_exploration(
        pd.DataFrame(columns=["name", "verdict", "executions", "steps"]), "c"
    ),
    "premises": lambda: exploration.plot_premises(
        pd.DataFrame(columns=["invariant", "profile", "judged", "explorations"]), "c"
    ),
    "timeline": lambda: timeline.plot_timeline(
        pd.DataFrame(columns=["cpu", "track", "name", "start_us", "end_us", "flow"]), "c"
    ),
    "overhead": lambda: overhead.plot_overhead(
        pd.DataFrame(columns=["series", "x", "mean", "low", "high", "replications", "unit"]), "cpus", "c"
    ),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_chart_of_nothing_says_so(name: str) -> None:
    figure = EMPTY[name]()
    said = [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]
    assert [text for text in said if text.startswith("nothing to show: ")]
    assert figure_bytes(figure, "png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("group.0.working_set", "working set"),
        ("group.2.burst", "burst of group 2"),
        ("machine.timer_hz", "timer hz"),
    ],
)
def test_a_key_is_shown_as_words(key: str, words: str) -> None:
    assert overhead.key_words(key) == words
