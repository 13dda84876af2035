"""The table that ``svs-sim run`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analysis.overview import df_overview, headline
from analysis.units import unit_for

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COUNTERS_SHOWN = 16
RUNS = ("baseline", "profile")


def print_summary(console: Console, summary: Mapping[str, Any]) -> None:
    """Print the headline, the times, the ledger, the counters and, for a recording, how it compares."""
    from rich.text import Text

    console.print(Text(headline(summary), style="bold"))
    console.print(Text(_conditions(summary)))
    console.print()
    console.print(_times(summary))
    for line in _remarks(summary):
        console.print(Text(line))
    console.print()
    console.print(_ledger(summary))
    console.print()
    console.print(_counters(summary, pairs=console.width >= 110))
    if summary["recorded"]:
        console.print()
        console.print(_recorded(summary))
    if summary["assumptions"]:
        console.print()
        console.print(_assumptions(summary))


def _table(title: str, *columns: str, left: int = 1) -> Table:
    """Return an empty table: the first *left* columns are text, the others numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        text = place < left
        table.add_column(column, justify="left" if text else "right", no_wrap=not text, overflow="fold")
    return table


def _conditions(summary: Mapping[str, Any]) -> str:
    pcid = "with" if summary["pcid"]["profile"] else "without"
    return (
        f"{summary['cpus']} CPUs at {summary['frequency_hz'] / 1e9:g} GHz ({summary['costs']}), {pcid} PCID, "
        f"seed {summary['seed']}; every cycle accounted for: {'yes' if summary['conserved'] else 'NO'}"
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f} %"


def _times(summary: Mapping[str, Any]) -> Table:
    """Busy and elapsed time of both runs."""
    elapsed, busy = summary["elapsed_cycles"], summary["busy_cycles"]
    unit = unit_for([*elapsed.values(), *busy.values()], summary["frequency_hz"])
    table = _table("Time", unit.name, summary["baseline"], summary["profile"], "difference", "overhead")
    for name, pair, overhead in (
        ("CPU time", busy, summary["overhead_percent"]),
        ("elapsed", elapsed, summary["elapsed_percent"]),
    ):
        difference = unit.text(pair["profile"] - pair["baseline"], sign=True)
        table.add_row(name, unit.text(pair["baseline"]), unit.text(pair["profile"]), difference, _percent(overhead))
    return table


def _remarks(summary: Mapping[str, Any]) -> list[str]:
    """Lines below the times: the cost per system call where there are any."""
    calls = summary["counters"].get("syscalls", 0)
    if not calls:
        return []
    added = summary["busy_cycles"]["profile"] - summary["busy_cycles"]["baseline"]
    each = added / calls / summary["frequency_hz"] * 1e9
    return [f"Spread over {calls:,} system calls: {each:+,.1f} ns each."]


def _ledger(summary: Mapping[str, Any]) -> Table:
    """The causes by contribution; those that neither run knows are left out."""
    frame = df_overview(summary)
    frame = frame[(frame["baseline_cycles"] != 0) | (frame["profile_cycles"] != 0)]
    cycles = [*frame["baseline_cycles"], *frame["profile_cycles"]]
    unit = unit_for(cycles, summary["frequency_hz"])
    smaller = unit_for(frame["difference_cycles"], summary["frequency_hz"])
    table = _table(
        "Where the CPU time goes, by what each cause adds",
        "cause", f"baseline, {unit.name}", f"profile, {unit.name}", f"adds, {smaller.name}", "adds, %", "times",
    )  # fmt: skip
    for row in frame.itertuples():
        table.add_row(
            str(row.cause),
            unit.text(int(row.baseline_cycles)),  # type: ignore[arg-type]
            unit.text(int(row.profile_cycles)),  # type: ignore[arg-type]
            smaller.text(int(row.difference_cycles), sign=True),  # type: ignore[arg-type]
            f"{row.points:+.2f}",
            f"{row.count:,}",
        )
    total = int(frame["difference_cycles"].sum())
    table.add_section()
    table.add_row(
        "all",
        unit.text(summary["busy_cycles"]["baseline"]),
        unit.text(summary["busy_cycles"]["profile"]),
        smaller.text(total, sign=True),
        f"{frame['points'].sum():+.2f}",
        "",
    )
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


def _recorded(summary: Mapping[str, Any]) -> Table:
    """The recording's own numbers beside the baseline's run."""
    recorded = summary["recorded"]
    unit = unit_for([recorded["elapsed_cycles"], summary["elapsed_cycles"]["baseline"]], summary["frequency_hz"])
    title = f"The recording and its replay under '{summary['baseline']}'"
    table = _table(title, "", "recorded", "replayed", "difference")
    own = summary["elapsed_cycles"]["baseline"]
    table.add_row(
        f"elapsed, {unit.name}",
        unit.text(recorded["elapsed_cycles"]),
        unit.text(own),
        _percent(_relative(recorded["elapsed_cycles"], own)),
    )
    switches = summary["baseline_counters"].get("context_switches", 0)
    table.add_row(
        "context switches",
        f"{recorded['context_switches']:,}",
        f"{switches:,}",
        _percent(_relative(recorded["context_switches"], switches)),
    )
    table.add_row("CPUs", str(recorded["cpus"]), str(summary["cpus"]), "")
    return table


def _relative(base: int, value: int) -> float | None:
    return 100 * (value - base) / base if base else None


def _assumptions(summary: Mapping[str, Any]) -> Table:
    """The rules used where the recording is silent."""
    table = _table("What the recording could not tell, and the rule used", "rule", "count")
    for entry in summary["assumptions"]:
        if entry["count"]:
            table.add_row(entry["rule"], f"{entry['count']:,}")
    return table
