"""The text view: one lane per CPU."""

from __future__ import annotations

import textwrap

from sim.explore.counterexample import Counterexample

WIDTH = 46


def render(example: Counterexample) -> str:
    """The counterexample as text: heading, one lane per CPU, changes of page directories, the state at the end."""
    lanes = example.ncpus
    head = [
        f"{example.litmus}: {example.broken.invariant} is broken under {example.profile}, memory {example.memory}"
        + (f", planted {example.planted}" if example.planted else ""),
        f"  {example.broken.reason}",
        f"  {len(example.steps)} steps; run again with: {example.command}",
        "",
        "     " + "".join(f"cpu{i}".ljust(WIDTH) for i in range(lanes)).rstrip(),
        "     " + "".join(("-" * (WIDTH - 2)).ljust(WIDTH) for _ in range(lanes)).rstrip(),
    ]
    body: list[str] = []
    for number, step in enumerate(example.steps, 1):
        rows: list[str] = []
        for line in step.lines:
            rows += textwrap.wrap(line, WIDTH - 3, subsequent_indent="  ")
        for i, row in enumerate(rows):
            mark = f"{number:4} " if not i else "     "
            body.append((mark + " " * (WIDTH * step.cpu) + row).rstrip())
        body += [f"          = {change}" for change in step.changed]
    tail = ["", "state at the end:"]
    if example.steps:
        last = example.steps[-1].after
        tail += [f"  cpu{i}: {facts}" for i, facts in enumerate(last.cpus)] + [f"  {line}" for line in last.tables]
    return "\n".join([*head, *body, f"   !! {example.broken.invariant}: {example.broken.reason}", *tail]) + "\n"
