"""What one crossing, one switch, one shootdown costs more: each from the causes that are its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.causes import CAUSES, CROSSING

FEWEST = 100  # spread over a handful, a time says nothing


@dataclass(frozen=True, slots=True)
class Rate:
    """Added time of one kind of event: how many there were in the profile's run, and the sum of its causes."""

    event: str
    count: int
    added_cycles: int

    @property
    def each_cycles(self) -> float:
        """Added cycles of one event."""
        return self.added_cycles / self.count


SWITCHING = {cause.name for cause in CAUSES if cause.phase == "switch"}
# Event, the beginnings of the counters that count it, and its causes.
_RATES = (
    ("crossing into the kernel and back", ("syscalls", "faults", "interrupts"),
     {cause.name for cause in CAUSES if cause.group == CROSSING}),
    ("context switch", ("context_switches",), SWITCHING),
    ("remote shootdown", ("tlbshoot remote ",),
     {cause.name for cause in CAUSES if cause.name.startswith("shootdown ")}),
)  # fmt: skip


def rates(summary: Mapping[str, Any]) -> list[Rate]:
    """Return what one event of each kind costs more under the profile, of those that happened often enough."""
    added = {row["cause"]: row["profile_cycles"] - row["baseline_cycles"] for row in summary["ledger"]}
    found = []
    for event, counters, causes in _RATES:
        count = sum(value for name, value in summary["counters"].items() if _counts(name, counters))
        if count >= FEWEST:
            found.append(Rate(event, count, sum(cycles for cause, cycles in added.items() if cause in causes)))
    return found


def switch_cycles(ledger: Sequence[Mapping[str, Any]]) -> int:
    """Return what the causes that belong to context switches add in a ledger."""
    return sum(row["profile_cycles"] - row["baseline_cycles"] for row in ledger if row["cause"] in SWITCHING)


def _counts(name: str, counters: tuple[str, ...]) -> bool:
    return any(name == counter or (counter.endswith(" ") and name.startswith(counter)) for counter in counters)
