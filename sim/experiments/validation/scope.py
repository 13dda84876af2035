"""Of whom a curve's quantity is: the whole machine, one CPU, one group's LWPs, or the calls of one name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from sim.errors import InputError, closest

if TYPE_CHECKING:
    from sim.timed.paired import RunResult


class Scope(NamedTuple):
    """What counts: one CPU; or one group's LWPs; or the calls of one name, of one group's LWPs if a group is given."""

    cpu: int | None = None
    group: str = ""
    call: str = ""


WHOLE = Scope()


def charges(run: RunResult, scope: Scope) -> dict[str, int]:
    """Return cycles by cause.  Raises InputError if there is no such CPU, group or call in the run."""
    found: dict[str, int] = {}
    for cause, cycles in _rows(run, scope):
        found[cause] = found.get(cause, 0) + cycles
    return found


def busy_cycles(run: RunResult, scope: Scope) -> int:
    """Return cycles not idle."""
    return run.busy_cycles if scope == WHOLE else sum(n for cause, n in charges(run, scope).items() if cause != "idle")


def shares(run: RunResult, iterations: int, scope: Scope) -> int:
    """Return by what a total is divided: of a call, how many there were, else the iterations."""
    if not scope.call:
        return iterations
    frame = run.frames["calls"]
    rows = zip(*(frame[column] for column in ("comm", "pid", "name", "calls")), strict=True)
    made = {(comm, pid): n for comm, pid, name, n in rows if name == scope.call and _is_of(str(comm), scope.group)}
    return sum(int(str(n)) for n in made.values())


def _rows(run: RunResult, scope: Scope) -> Iterator[tuple[str, int]]:
    if scope.call:
        yield from _of_calls(run, scope)
    elif scope.group:
        yield from _of_group(run, scope.group)
    else:
        yield from _of_cpu(run, scope.cpu)


def _of_cpu(run: RunResult, cpu: int | None) -> Iterator[tuple[str, int]]:
    """Causes and cycles of one CPU, or of all."""
    if cpu is not None and cpu >= run.cpus:
        raise InputError(f"cpu = {cpu}: the scenario has {run.cpus} CPUs, counted from 0")
    frame = run.frames["ledger"]
    for at, cause, cycles in zip(frame["cpu"], frame["cause"], frame["cycles"], strict=True):
        if cpu in (None, at):
            yield str(cause), int(str(cycles))


def _of_group(run: RunResult, group: str) -> Iterator[tuple[str, int]]:
    """Causes and cycles of a group's LWPs."""
    frame = run.frames["tasks"]
    if not any(_is_of(str(comm), group) for comm in frame["comm"]):
        raise InputError(f"group = '{group}': nobody of that name ran")
    for comm, cause, cycles in zip(frame["comm"], frame["cause"], frame["cycles"], strict=True):
        if _is_of(str(comm), group):
            yield str(cause), int(str(cycles))


def _of_calls(run: RunResult, scope: Scope) -> Iterator[tuple[str, int]]:
    """Causes and cycles of the calls of a name."""
    frame = run.frames["calls"]
    if not shares(run, 0, scope):
        names = sorted({str(name) for name in frame["name"]})
        raise InputError(f"call = '{scope.call}': nobody made one; there are {', '.join(names)}"
                         f"{closest(scope.call, names)}")  # fmt: skip
    rows = zip(*(frame[column] for column in ("comm", "name", "cause", "cycles")), strict=True)
    for comm, name, cause, cycles in rows:
        if name == scope.call and _is_of(str(comm), scope.group):
            yield str(cause), int(str(cycles))


def _is_of(comm: str, group: str) -> bool:
    """Whether an LWP is one of a group, by its name: the group's, with a number unless it was forked."""
    front, _, number = comm.rpartition("-")
    return group in ("", comm) or front == group and number.isdigit()
