"""A counterexample as rows: what matters is told, step by step; what does not is folded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sim.explore.counterexample.races import Arrow, arrows, still_pending, when_stored

if TYPE_CHECKING:
    from sim.explore.counterexample import TraceStep

ALONE = 12  # steps before the end that are told if no CPU has to do with another
MANY = 2  # steps that are worth folding
_WORDS = {
    "interrupt": ("lands in step {}", "sent in step {}"),
    "seen": ("step {} reads this", "stored in step {}"),
    "over": ("step {} stores over this", "stores over that of step {}"),
    "ended": ("its procedure returns; step {} still uses it", "its procedure has returned in step {}"),
    "missed": ("step {} did not see this", "does not see the store of step {}"),
}


class Row(NamedTuple):
    """One step, or several that are folded.

    Attributes:
        first, last: numbers of its steps, from 1.
        cpu, actor: the lane, and who acts in it.
        lines: what was done.
        changes: what of the shared state changed.
        links: what it has to do with steps of other CPUs, with their numbers.
        mark: ``guilty``: in it the invariant broke; ``race``: it has to do with other CPUs; ``folded``; or nothing.
    """

    first: int
    last: int
    cpu: int
    actor: str
    lines: tuple[str, ...]
    changes: tuple[str, ...]
    links: tuple[tuple[str, int], ...]
    mark: str


def rows(steps: Sequence[TraceStep]) -> list[Row]:
    """All rows, first to last."""
    links: dict[int, list[tuple[str, int]]] = {}
    for arrow in arrows(steps):
        _link(links, arrow)
    lines, pending = _with_drains(steps), still_pending(steps)
    for number, cpu in pending:
        lines[number - 1] += (f"(still pending on cpu{cpu} at the end)",)
    race = {*links, *(number for number, _ in pending)}
    # Where no other CPU has a part in it, what comes right before the end is all there is to read.
    alone = len(steps) if links else len(steps) - ALONE
    found: list[Row] = []
    waiting: list[int] = []
    for at, step in enumerate(steps):
        matters = at >= alone or _matters(steps, at, links)
        if waiting and (steps[waiting[-1]].cpu != step.cpu or matters):
            found += _folded(steps, lines, waiting)
            waiting = []
        if matters:
            mark = "guilty" if at == len(steps) - 1 else "race" if at + 1 in race else ""
            found.append(_row(step, at, lines[at], tuple(links.get(at + 1, ())), mark))
        else:
            waiting.append(at)
    return found + _folded(steps, lines, waiting)


def _link(links: dict[int, list[tuple[str, int]]], arrow: Arrow) -> None:
    there, back = _WORDS[arrow.kind]
    what = "" if arrow.kind == "interrupt" else f"{arrow.what}: "
    links.setdefault(arrow.tail, []).append((what + there.format(arrow.head), arrow.head))
    links.setdefault(arrow.head, []).append((what + back.format(arrow.tail), arrow.tail))


def _matters(steps: Sequence[TraceStep], at: int, links: dict[int, list[tuple[str, int]]]) -> bool:
    """Whether a step is told: the last, what has to do with other CPUs, interrupts, changes, and what is there to begin
    with: operations, switches to another LWP and returns to user mode.
    """
    step = steps[at]
    begins = any(line.startswith("litmus:") and line.count(":") == 1 for line in step.lines)
    begins = begins or any(": now " in line or ":ring 3" in line for line in step.lines)
    interrupts = step.actor == "interrupt" or any(isinstance(it, tuple) and it[0] == "i" for it, _ in step.touched)
    return at == len(steps) - 1 or at + 1 in links or bool(step.changed) or begins or interrupts


def _with_drains(steps: Sequence[TraceStep]) -> list[tuple[str, ...]]:
    """What was done in each step, with when a store that lay in its buffer meanwhile drains."""
    found = [step.lines for step in steps]
    for drained, made in when_stored(steps).items():
        if drained > made + 1:
            found[made] = tuple(f"{line} (drains in step {drained + 1})" if _stores(line) else line
                                for line in found[made])  # fmt: skip
            first, *rest = found[drained]
            found[drained] = (f"{first} (stored in step {made + 1})", *rest)
    return found


def _stores(line: str) -> bool:
    """Whether a plain store is made there, as the release of a mutex is one."""
    return ": store " in line or line.endswith(" released")


def _row(step: TraceStep, at: int, lines: tuple[str, ...], links: tuple[tuple[str, int], ...], mark: str) -> Row:
    return Row(at + 1, at + 1, step.cpu, step.actor, lines, step.changed, links, mark)


def _folded(steps: Sequence[TraceStep], lines: Sequence[tuple[str, ...]], numbers: list[int]) -> list[Row]:
    """Steps that are not told, as one row if there are some."""
    if len(numbers) < MANY:
        return [_row(steps[at], at, lines[at], (), "") for at in numbers]
    told = [line for at in numbers for line in steps[at].lines]
    procedures = list(dict.fromkeys(line.partition(":")[0] for line in told if ":" in line and " " not in
                                    line.partition(":")[0]))  # fmt: skip
    shown = procedures if len(procedures) <= 3 else [*procedures[:2], "…", procedures[-1]]
    text = f"{', '.join(shown) or 'store buffer'} … {len(numbers)} steps"
    return [Row(numbers[0] + 1, numbers[-1] + 1, steps[numbers[0]].cpu, "cpu", (text,), (), (), "folded")]
