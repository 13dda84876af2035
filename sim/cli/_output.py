"""What the commands print: JSON, tables, progress."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table

PIPE_WIDTH = 10_000  # columns: no line is ever broken where a program or a file reads it

Progress = Callable[[str, float], None]


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object, keys sorted, on standard output."""
    json.dump(value, sys.stdout, indent=2, sort_keys=True, allow_nan=False)
    sys.stdout.write("\n")


def console() -> Console:
    """Return the console of standard output: as wide as the terminal or ``COLUMNS``; in a pipe as wide as needed."""
    from rich.console import Console

    class Output(Console):
        """A console that leaves a closed pipe to the command's own way of ending."""

        def on_broken_pipe(self) -> None:
            """Raise again, where rich would end the process with status 1."""
            raise BrokenPipeError

    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Output(file=sys.stdout, width=width, highlight=False, soft_wrap=False, emoji=False, markup=False)


def table(title: str, *columns: str, text: int = 1, remarks: int = 0) -> Table:
    """Return an empty table: the first *text* and last *remarks* columns hold text, the others numbers, flush right."""
    from rich import box
    from rich.table import Table

    made = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False,
                 pad_edge=False)  # fmt: skip
    for place, column in enumerate(columns):
        number = text <= place < len(columns) - remarks
        made.add_column(column, justify="right" if number else "left", no_wrap=number)
    return made


def show(out: Console, shown: Table) -> None:
    """Print a table: text goes on in the next line, but no word or number is cut, however narrow the terminal is."""
    from rich.measure import Measurement

    least = [_widest(column, whole=column.no_wrap) for column in shown.columns]
    for column in shown.columns:
        column.width = 1
    wide = out.options.update(max_width=PIPE_WIDTH)
    between = Measurement.get(out, wide, shown).maximum - len(least)
    room = max(0, out.width - between - sum(least))
    for column, width in zip(shown.columns, least, strict=True):  # the first columns are names: they get room first
        more = min(room, _widest(column, whole=True) - width)
        column.width, room = width + more, room - more
    before, out.width = out.width, max(out.width, between + sum(least))
    out.print(shown)
    out.width = before


def _widest(column: Column, *, whole: bool) -> int:
    """Columns of the screen that the longest cell takes, or the longest word."""
    from rich.cells import cell_len

    cells = [str(cell) for cell in (column.header, *column.cells)]
    return max((cell_len(part) for cell in cells for part in ([cell] if whole else cell.split())), default=1)


@contextmanager
def working(text: str, *, quiet: bool) -> Iterator[Callable[[float], None] | None]:
    """Show *text* on standard error while something of unknown length goes on; nothing without a terminal.

    Yields a function that shows a share of it, too, for where that becomes known; None if nothing is shown.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(file=sys.stderr).status(Text(text)) as shown:
        yield lambda share: shown.update(Text(f"{text}: {100 * share:.0f} %"))


@contextmanager
def progress_bar(stages: dict[str, str], *, quiet: bool) -> Iterator[Progress | None]:
    """Show a bar for each stage (key: what the caller reports, value: what is shown) on standard error.

    Yields a function of (stage, fraction from 0 to 1), or None where there is no terminal or with *quiet*.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TaskProgressColumn(),
               bars.TimeElapsedColumn(), bars.TimeRemainingColumn())  # fmt: skip
    with bars.Progress(*columns, console=Console(file=sys.stderr), transient=True) as shown:
        tasks = {key: shown.add_task(text, total=1.0, start=False) for key, text in stages.items()}
        started: set[str] = set()

        def report(stage: str, fraction: float) -> None:
            if stage not in started:
                started.add(stage)
                shown.start_task(tasks[stage])
            shown.update(tasks[stage], completed=fraction)

        yield report
