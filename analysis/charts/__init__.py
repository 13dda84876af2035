"""Charts of results, each a ``df_…`` and a ``plot_…``, and the register by which commands find them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from analysis.charts import events, exploration, ledger, overhead, timeline
from analysis.charts.opened_result import OpenedResult, open_result
from sim.errors import InputError, closest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CHARTS", "Chart", "OpenedResult", "available", "draw", "find_chart", "open_result"]


class Chart(NamedTuple):
    """A kind of chart.

    *needs* names the frame it is drawn from for each kind of folder ("run", "sweep", "check") that it suits; "" stands
    for ``summary.json``.
    """

    name: str
    says: str
    needs: dict[str, str]
    draw: Callable[[OpenedResult], Figure]


def _overhead(x: str) -> Callable[[OpenedResult], Figure]:
    def draw_one(opened: OpenedResult) -> Figure:
        points = opened.frame("points", ("baseline_elapsed_cycles",) if x == overhead.RATE else ())
        return overhead.plot_overhead(overhead.df_overhead(points, x), x, opened.caption)

    return draw_one


def _parameter(opened: OpenedResult) -> Figure:
    """Overhead against the parameter with most values, or against scenarios."""
    points = opened.frame("points")
    own = overhead.parameters(points)
    if not own:
        raise InputError("the sweep varies no value, scenario or cost table to draw the overhead against")
    return _overhead(own[0])(opened)


def _tlb(opened: OpenedResult) -> Figure:
    names = (opened.summary["baseline"], opened.summary["profile"])
    return events.plot_tlb(events.df_tlb(opened), names, opened.caption)


CHARTS = (
    Chart("overhead-syscalls", "overhead against system-call rate", {"sweep": "points"}, _overhead(overhead.RATE)),
    Chart("overhead-cpus", "overhead against CPUs", {"sweep": "points"}, _overhead("cpus")),
    Chart("overhead-parameter", "overhead against the sweep's own parameter, or its scenarios", {"sweep": "points"},
          _parameter),
    Chart("ledger", "what each cause adds, stacked by profile", {"run": "", "sweep": "points"},
          lambda m: ledger.plot_ledger(ledger.df_ledger(m), m.caption)),
    Chart("shootdowns", "shootdown latency against CPUs", {"run": "shootdowns", "sweep": "points"},
          lambda m: events.plot_shootdowns(events.df_shootdowns(m), m.caption)),
    Chart("switches", "cost of a context switch, by part", {"run": "switches"},
          lambda m: events.plot_switches(events.df_switches(m), m.caption)),
    Chart("locks", "waits for ci_svs_mtx and pm_lock", {"run": "locks"},
          lambda m: events.plot_locks(events.df_locks(m), m.caption)),
    Chart("tlb", "TLB refills and flushes", {"run": "counters"}, _tlb),
    Chart("timeline", "what every CPU did in a short window", {"run": "timeline"},
          lambda m: timeline.plot_timeline(timeline.df_timeline(m), m.caption)),
    Chart("exploration", "what was explored and found", {"check": "explorations"},
          lambda m: exploration.plot_exploration(exploration.df_exploration(m), m.caption)),
    Chart("premises", "how often each invariant was really judged", {"check": ""},
          lambda m: exploration.plot_premises(exploration.df_premises(m), m.caption)),
)  # fmt: skip

# What windows cannot carry, and which charts of a sweep need it.
NOT_OF_SAMPLES = {"overhead-syscalls": "elapsed time", "shootdowns": "single shootdowns"}


def available(opened: OpenedResult) -> list[Chart]:
    """Return the charts that the folder's data allow."""
    there = opened.frames()
    return [chart for chart in CHARTS if opened.kind in chart.needs and _allowed(chart, opened, there)]


def _allowed(chart: Chart, opened: OpenedResult, there: list[str]) -> bool:
    """Whether the folder has what the chart needs."""
    need = chart.needs[opened.kind]
    if (need and need not in there) or (opened.sample and chart.name in NOT_OF_SAMPLES):
        return False
    test = TESTS.get(chart.name)
    return test is None or test(opened)


def _rates_differ(opened: OpenedResult) -> bool:
    """Whether the system-call rate varies enough to be an axis."""
    rates = overhead.rates(opened.frame("points", ("baseline_elapsed_cycles",)))
    return bool(len(rates)) and bool(rates.max() > 1.5 * max(rates.min(), 1))


TESTS: dict[str, Callable[[OpenedResult], bool]] = {
    "overhead-syscalls": _rates_differ,
    "overhead-cpus": lambda m: m.frame("points")["cpus"].nunique() > 1,
    "overhead-parameter": lambda m: bool(overhead.parameters(m.frame("points"))),
    "shootdowns": lambda m: bool(len(events.df_shootdowns(m))),
    "locks": lambda m: bool(len(events.df_locks(m))),
    "timeline": lambda m: bool(len(m.frame("timeline"))),
}


def find_chart(name: str) -> Chart:
    """Return a kind of chart; InputError with the closest name for an unknown one."""
    names = [chart.name for chart in CHARTS]
    if name not in names:
        raise InputError(f"unknown kind of chart '{name}' (one of {', '.join(names)}){closest(name, names)}")
    return CHARTS[names.index(name)]


def draw(opened: OpenedResult, name: str) -> Figure:
    """Draw one kind of chart.  Raises InputError if the folder does not have the data."""
    chart = find_chart(name)
    if opened.kind not in chart.needs:
        kinds = " or ".join(f"'svs-sim {kind}'" for kind in chart.needs)
        raise InputError(f"chart '{name}' is drawn from the folder of {kinds}; '{opened.path}' is of {opened.kind}")
    if opened.sample and name in NOT_OF_SAMPLES:
        raise InputError(f"chart '{name}' is not drawn from samples, which have no {NOT_OF_SAMPLES[name]}; "
                         "sweep the recordings whole")  # fmt: skip
    return chart.draw(opened)
