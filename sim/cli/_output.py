"""What the commands print: JSON, tables, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[str, float], None]


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object, keys sorted, on standard output."""
    json.dump(value, sys.stdout, indent=2, sort_keys=True, allow_nan=False)
    sys.stdout.write("\n")


def console() -> Console:
    """Return the console of standard output: as wide as the terminal, 80 columns (or ``COLUMNS``) in a pipe."""
    from rich.console import Console

    class Output(Console):
        """A console that leaves a closed pipe to the command's own way of ending."""

        def on_broken_pipe(self) -> None:
            """Raise again, where rich would end the process with status 1."""
            raise BrokenPipeError

    return Output(file=sys.stdout, highlight=False, soft_wrap=False, emoji=False, markup=False)


@contextmanager
def working(text: str, *, quiet: bool) -> Iterator[None]:
    """Show *text* on standard error while something of unknown length goes on; nothing without a terminal."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(file=sys.stderr).status(text):
        yield


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
