"""The chart of a run and its numbers."""

from __future__ import annotations

import pytest

from analysis.overview import caption, df_overview, headline, plot_overview
from analysis.pictures import figure_bytes
from analysis.results import summarize
from analysis.units import time_text, unit_for
from tests.results.pairs import HZ, make_pair


@pytest.mark.parametrize(
    ("cycles", "text"),
    [(0, "-"), (1, "0.50 ns"), (2_468, "1.23 µs"), (24_680, "12.3 µs"), (246_800_000, "123 ms"), (10**13, "5,000  s")],
)
def test_times_as_people_read_them(cycles: int, text: str) -> None:
    assert time_text(cycles, HZ) == text


def test_signs_and_common_units() -> None:
    assert time_text(-2_000, HZ, sign=True) == "-1.00 µs"
    assert unit_for([2_000_000, -6], HZ).name == "ms"
    assert unit_for([], HZ).name == "ns"


def test_the_headline_and_the_points_agree() -> None:
    summary = summarize(make_pair(), scenario="made-up", seed=7, engine="fast", costs="haswell")
    assert headline(summary) == "made-up: svs-netbsd10 takes 25.0 % more CPU time than none"
    frame = df_overview(summary)
    assert frame["cause"].tolist() == ["entry/exit CR3", "user work"]
    assert frame["points"].sum() == summary["overhead_percent"]
    assert "2 CPUs at 2 GHz, costs haswell" in caption(summary)
    assert "seed 7" in caption(summary)


def test_the_chart_names_its_causes_and_is_drawn_without_any_too() -> None:
    for extra, words in (
        (250, ["entry/exit CR3", "+125 ns  (+25.00 %, 4 times)"]),
        (0, ["nothing to show: no cause differs"]),
    ):
        summary = summarize(make_pair(extra), scenario="made-up", seed=7, engine="fast", costs="haswell")
        figure = plot_overview(summary)
        figure.draw_without_rendering()
        axes = figure.axes[1]
        shown = [t.get_text() for t in (*axes.texts, *axes.get_yticklabels())]
        assert [word for word in words if word not in shown] == []
        assert figure_bytes(figure, "png").startswith(b"\x89PNG")


def test_small_causes_are_summed_up() -> None:
    pair = make_pair()
    for run, each in ((pair.baseline, 0), (pair.profile, 1)):
        run.ledger |= {f"cause {i}": (1, each) for i in range(10)}
        run.ledger["user work"] = (3, 1_000_000 * (1 + each))
    figure = plot_overview(summarize(pair, scenario="x", seed=0, engine="fast", costs="haswell"))
    labels = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert labels[0] == "user work"
    assert labels[-1] == "9 others"


def test_a_name_with_dollars_is_no_formula_and_a_long_one_takes_several_lines() -> None:
    summary = summarize(make_pair(), scenario="x", seed=7, engine="fast", costs="haswell")
    figure = plot_overview(summary | {"scenario": "a $x$ and $\\frac{$ " + "and so on " * 12})
    assert figure_bytes(figure, "png")
    title = figure._suptitle.get_text()
    assert "$\\frac{$" in title
    assert max(map(len, title.splitlines())) <= 68
