"""The text view: one lane per CPU."""

from __future__ import annotations

import textwrap

from sim.explore.counterexample import Counterexample
from sim.explore.counterexample.rows import Row, rows

WIDTH = 52
MARKS = {"guilty": "!!", "race": "*", "folded": "", "": ""}


def render(example: Counterexample) -> str:
    """The counterexample as text: heading, one lane per CPU, the state at the end and what may be cached then."""
    lanes = example.ncpus
    head = [
        f"{example.litmus}: {example.broken.invariant} is broken under {example.profile}, memory {example.memory}"
        + (f", planted {example.planted}" if example.planted else ""),
        f"  {example.broken.reason}",
        f"  {len(example.steps)} step{'s' * (len(example.steps) != 1)}; run again with: {example.command}",
        "  * has to do with another CPU, !! here it breaks, = what changed; steps that matter to their own CPU alone "
        "are folded; SLOT.PAGE is an address",
        "",
        "        " + "".join(f"cpu{i}".ljust(WIDTH) for i in range(lanes)).rstrip(),
        "        " + "".join(("-" * (WIDTH - 2)).ljust(WIDTH) for _ in range(lanes)).rstrip(),
    ]
    body = [line for row in rows(example.steps) for line in _lines(row)]
    tail = ["", f"     !! {example.broken.invariant}: {example.broken.reason}", "", "state at the end:"]
    if example.steps:
        tail += _state(example)
    return "\n".join([*head, *body, *tail]) + "\n"


def _lines(row: Row) -> list[str]:
    """The lines of a row, in its CPU's lane."""
    told = [(line, "") for line in row.lines]
    told += [(change, "= ") for change in row.changes] + [(text, "  ^ ") for text, _ in row.links]
    found: list[str] = []
    for text, before in told:
        found += textwrap.wrap(before + text, WIDTH - 3, subsequent_indent="  " + " " * len(before))
    mark = f"{MARKS[row.mark]:>2}{row.first:5} "
    return [((mark if not i else " " * 8) + " " * (WIDTH * row.cpu) + text).rstrip() for i, text in enumerate(found)]


def _state(example: Counterexample) -> list[str]:
    """What there is behind the last step."""
    last = example.steps[-1].after
    if not any(last.cpus):
        return ["  the machine is not up yet"]
    found = [f"  cpu{i}: " + "; ".join(f"{what} {fact}" for what, fact in facts) for i, facts in enumerate(last.cpus)]
    found += [f"  {what} = {fact}" for what, fact in last.shared if fact != "0"]
    for cpu in range(example.ncpus):
        found += [f"  cpu{cpu} may have cached {kept.text}" for kept in example.since(cpu)]
    return found
