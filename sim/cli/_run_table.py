"""The table that ``svs-sim run`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analysis.fidelity import fidelity_table, remarks
from analysis.overview import df_overview, estimates, headline, interval_text, not_seen
from analysis.rates import rates
from analysis.units import percent, percent_text, time_text
from sim.cli._output import PIPE_WIDTH, show, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COUNTERS_SHOWN = 16
PAIRS_WIDTH = 110  # columns, from which two counters fit side by side


def print_summary(console: Console, summary: Mapping[str, Any]) -> None:
    """Print the headline, the times, the ledger, the counters and, for a recording, how it compares."""
    from rich.text import Text

    console.print(Text(headline(summary), style="bold"))
    console.print(Text(_conditions(summary)))
    for note in remarks(summary):
        console.print(Text(f"Note: {note}", style="bold yellow"))
    console.print()
    show(console, _times(summary))
    for line in _remarks(summary):
        console.print(Text(line))
    console.print()
    show(console, _ledger(summary))
    console.print()
    show(console, _counters(summary, pairs=PAIRS_WIDTH <= console.width < PIPE_WIDTH))
    if summary["fidelity"]:
        console.print()
        show(console, _fidelity(summary))
    if summary["assumptions"]:
        console.print()
        show(console, _assumptions(summary))


def _conditions(summary: Mapping[str, Any]) -> str:
    pcid = "with" if summary["pcid"]["profile"] else "without"
    cpus = f"{summary['cpus']} CPU{'s' if summary['cpus'] != 1 else ''}"
    return (
        f"{cpus} at {summary['frequency_hz'] / 1e9:g} GHz ({summary['costs']}), {pcid} PCID, seed {summary['seed']}, "
        f"ledger {'complete' if summary['conserved'] else 'INCOMPLETE'}"
    )


def _times(summary: Mapping[str, Any]) -> Table:
    """Busy and elapsed time of both runs."""
    hz = summary["frequency_hz"]
    repeats = estimates(summary) or {}
    sure = ("95 % interval",) if repeats else ()
    title = "Time in the sample" if summary["sample"] else "Time"
    shown = table(title, "", summary["baseline"], summary["profile"], "difference", "overhead", *sure)
    whose = summary["whose"]
    its = "its " if whose else ""
    rows = [(f"{its}{name}", (whose or summary)[f"{key}_cycles"], repeats.get(key))
            for name, key in (("CPU time", "busy"), ("elapsed time", "elapsed"))
            if key == "busy" or not summary["sample"]]  # fmt: skip
    if whose:
        rows.append(("other tasks", whose["rest"]["busy_cycles"], None))
    for name, cycles, measured in rows:
        baseline, profile = cycles["baseline"], cycles["profile"]
        times = (time_text(baseline, hz), time_text(profile, hz), time_text(profile - baseline, hz, sign=True))
        interval = (_interval(measured),) if sure else ()
        shown.add_row(name, *times, percent_text(percent(baseline, profile)), *interval)
    return shown


def _interval(measured: Mapping[str, Any] | None) -> str:
    """The interval of a difference, and whether it is one."""
    if measured is None:
        return ""
    return f"{interval_text(measured)}{', no difference seen' if not_seen(measured) else ''}"


def _remarks(summary: Mapping[str, Any]) -> list[str]:
    """Lines below the times: what one crossing, one switch, one shootdown costs more."""
    hz = summary["frequency_hz"]
    return [f"Each {rate.event} (of {rate.count:,}): {rate.each_cycles / hz * 1e9:+,.1f} ns" for rate in rates(summary)]


def _ledger(summary: Mapping[str, Any]) -> Table:
    """The causes by contribution; those that neither run knows are left out."""
    frame = df_overview(summary)
    frame = frame[(frame["baseline_cycles"] != 0) | (frame["profile_cycles"] != 0)]
    whose = "its" if summary["whose"] else "the"
    sample = summary["sample"]
    sure = {row["cause"]: interval_text(row) for row in sample["causes"]} if sample else {}
    shown = table(
        f"Where {whose} CPU time goes{' in the sample' if sample else ''}, by what each cause adds",
        "cause",
        "baseline",
        "profile",
        "adds",
        "overhead",
        *(("95 % interval",) if sample else ()),
        "times",
    )
    hz = summary["frequency_hz"]
    columns = ("cause", "count", "baseline_cycles", "profile_cycles", "difference_cycles", "points")
    for cause, count, baseline, profile, added, points in zip(*(frame[c] for c in columns), strict=True):
        times = (time_text(baseline, hz), time_text(profile, hz), time_text(added, hz, sign=True))
        doubt = (sure.get(cause, "-"),) if sample else ()
        shown.add_row(str(cause), *times, percent_text(points), *doubt, f"{count:,}")
    shown.add_section()
    sums = [int(frame[column].sum()) for column in columns[2:5]]
    times = (time_text(sums[0], hz), time_text(sums[1], hz), time_text(sums[2], hz, sign=True))
    doubt = (interval_text(sample["busy"]),) if sample else ()
    shown.add_row("all", *times, percent_text(frame["points"].sum()), *doubt, "")
    return shown


def _counters(summary: Mapping[str, Any], *, pairs: bool) -> Table:
    """The largest counters of the profile's run, with the baseline's; in two halves side by side where it is wide."""
    base, counters = summary["baseline_counters"], summary["counters"]
    names = sorted(counters, key=lambda name: (-counters[name], name))[:COUNTERS_SHOWN]
    cells = [(name, f"{base.get(name, 0):,}", f"{counters[name]:,}") for name in names]
    halves = 2 if pairs else 1
    shown = table("Largest counters in the sample" if summary["sample"] else "Largest counters")
    for _ in range(halves):
        shown.add_column("counter")
        shown.add_column("baseline", justify="right", no_wrap=True)
        shown.add_column("profile", justify="right", no_wrap=True)
    rows = -(-len(cells) // halves)
    for place in range(rows):
        line = [cells[at] if at < len(cells) else ("", "", "") for at in range(place, rows * halves, rows)]
        shown.add_row(*(cell for three in line for cell in three))
    return shown


def _fidelity(summary: Mapping[str, Any]) -> Table:
    """The recording's own numbers beside the baseline's run."""
    columns, rows = fidelity_table(summary)
    shown = table(f"The recording and its replay under '{summary['baseline']}'", *columns, remarks=1)
    for row in rows:
        shown.add_row(*row)
    return shown


def _assumptions(summary: Mapping[str, Any]) -> Table:
    """The rules used where the recording is silent."""
    shown = table("What the recording could not tell, and the rule used", "rule", "count")
    for entry in summary["assumptions"]:
        if entry["count"]:
            shown.add_row(entry["rule"], f"{entry['count']:,}")
    return shown
