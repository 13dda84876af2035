"""The table that ``svs-sim run`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analysis.overview import df_overview, headline
from analysis.rates import rates
from analysis.shares import bounds, warning
from analysis.units import percent, time_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COUNTERS_SHOWN = 16


def print_summary(console: Console, summary: Mapping[str, Any]) -> None:
    """Print the headline, the times, the ledger, the counters and, for a recording, how it compares."""
    from rich.text import Text

    console.print(Text(headline(summary), style="bold"))
    console.print(Text(_conditions(summary)))
    for note in filter(None, (warning(summary), bounds(summary), *summary["notes"])):
        console.print(Text(f"Note: {note}", style="bold yellow"))
    console.print()
    console.print(_times(summary))
    for line in _remarks(summary):
        console.print(Text(line))
    console.print()
    console.print(_ledger(summary))
    console.print()
    console.print(_counters(summary, pairs=console.width >= 110))
    if summary["fidelity"]:
        console.print()
        console.print(_fidelity(summary))
    if summary["assumptions"]:
        console.print()
        console.print(_assumptions(summary))


def _table(title: str, *columns: str) -> Table:
    """Return an empty table: the first column is text, the others are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False,
                  pad_edge=False)  # fmt: skip
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=place > 0)
    return table


def _conditions(summary: Mapping[str, Any]) -> str:
    pcid = "with" if summary["pcid"]["profile"] else "without"
    cpus = f"{summary['cpus']} CPU{'s' if summary['cpus'] != 1 else ''}"
    return (
        f"{cpus} at {summary['frequency_hz'] / 1e9:g} GHz ({summary['costs']}), {pcid} PCID, seed {summary['seed']}, "
        f"ledger {'complete' if summary['conserved'] else 'INCOMPLETE'}"
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{round(value, 2) + 0.0:+.2f} %"


def _times(summary: Mapping[str, Any]) -> Table:
    """Busy and elapsed time of both runs."""
    hz = summary["frequency_hz"]
    table = _table("Time", "", summary["baseline"], summary["profile"], "difference", "overhead")
    whose = summary["whose"]
    rows = [("CPU time", summary["busy_cycles"])]
    if whose:
        rows = [("its CPU time", whose["busy_cycles"]), ("the rest of the machine", whose["rest"]["busy_cycles"])]
    for name, cycles in (*rows, ("elapsed", summary["elapsed_cycles"])):
        baseline, profile = cycles["baseline"], cycles["profile"]
        times = (time_text(baseline, hz), time_text(profile, hz), time_text(profile - baseline, hz, sign=True))
        table.add_row(name, *times, _percent(percent(baseline, profile)))
    return table


def _remarks(summary: Mapping[str, Any]) -> list[str]:
    """Lines below the times: what one crossing, one switch, one shootdown costs more."""
    hz = summary["frequency_hz"]
    return [f"Each {rate.event} (of {rate.count:,}): {rate.each_cycles / hz * 1e9:+,.1f} ns" for rate in rates(summary)]


def _ledger(summary: Mapping[str, Any]) -> Table:
    """The causes by contribution; those that neither run knows are left out."""
    frame = df_overview(summary)
    frame = frame[(frame["baseline_cycles"] != 0) | (frame["profile_cycles"] != 0)]
    whose = "its" if summary["whose"] else "the"
    table = _table(
        f"Where {whose} CPU time goes, by what each cause adds",
        "cause",
        "baseline",
        "profile",
        "adds",
        "overhead",
        "times",
    )
    hz = summary["frequency_hz"]
    columns = ("cause", "count", "baseline_cycles", "profile_cycles", "difference_cycles", "points")
    for cause, count, baseline, profile, added, points in zip(*(frame[c] for c in columns), strict=True):
        times = (time_text(baseline, hz), time_text(profile, hz), time_text(added, hz, sign=True))
        table.add_row(str(cause), *times, _percent(points), f"{count:,}")
    table.add_section()
    sums = [int(frame[column].sum()) for column in columns[2:5]]
    times = (time_text(sums[0], hz), time_text(sums[1], hz), time_text(sums[2], hz, sign=True))
    table.add_row("all", *times, _percent(frame["points"].sum()), "")
    return table


def _counters(summary: Mapping[str, Any], *, pairs: bool) -> Table:
    """The largest counters of the profile's run, with the baseline's; in two halves side by side where it is wide."""
    base, counters = summary["baseline_counters"], summary["counters"]
    names = sorted(counters, key=lambda name: (-counters[name], name))[:COUNTERS_SHOWN]
    cells = [(name, f"{base.get(name, 0):,}", f"{counters[name]:,}") for name in names]
    halves = 2 if pairs else 1
    table = _table("Largest counters")
    for _ in range(halves):
        table.add_column("counter")
        table.add_column("baseline", justify="right")
        table.add_column("profile", justify="right")
    rows = -(-len(cells) // halves)
    for place in range(rows):
        line = [cells[at] if at < len(cells) else ("", "", "") for at in range(place, rows * halves, rows)]
        table.add_row(*(cell for three in line for cell in three))
    return table


FIDELITY = {
    "elapsed_cycles": "elapsed",
    "cpu_cycles": "CPU time",
    "context_switches": "context switches",
    "syscalls": "system calls",
    "faults": "page faults",
    "forks": "forks",
}


def _fidelity(summary: Mapping[str, Any]) -> Table:
    """The recording's own numbers beside the baseline's run."""
    title = f"The recording and its replay under '{summary['baseline']}'"
    rows, hz = summary["fidelity"], summary["frequency_hz"]
    untraced = any(row["untraced"] is not None for row in rows)
    columns = ("recorded", *(("untraced",) if untraced else ()), "replayed", "difference")
    table = _table(title, "", *columns)
    table.add_column("why")
    for row in rows:
        times = row["what"].endswith("_cycles")
        values = [row["recorded"], *((row["untraced"],) if untraced else ()), row["replayed"]]
        texts = ["" if v is None else time_text(v, hz) if times else f"{v:,}" for v in values]
        table.add_row(FIDELITY[row["what"]], *texts, _percent(row["difference_percent"]), row["why"])
    table.add_row("CPUs", str(summary["recorded"]["cpus"]), *(("",) if untraced else ()), str(summary["cpus"]), "", "")
    return table


def _assumptions(summary: Mapping[str, Any]) -> Table:
    """The rules used where the recording is silent."""
    table = _table("What the recording could not tell, and the rule used", "rule", "count")
    for entry in summary["assumptions"]:
        if entry["count"]:
            table.add_row(entry["rule"], f"{entry['count']:,}")
    return table
