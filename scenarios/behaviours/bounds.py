"""How much a behaviour asks for, and how much it may: no more interrupts than leave a CPU time for others."""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.behaviours.draws import Draw
from scenarios.behaviours.groups import Group, forked_groups
from sim.inputs.table import Table
from sim.timed.costs import MOST_INTERRUPTS, CostTable

MOST_LWPS = 65_536
MOST_CHILDREN = 1_000_000
TOUCHES = 10  # page touches that cost as much as a line of a recording
MOST_SECONDS = 3600  # that one LWP computes, in the long run


@dataclass(frozen=True, slots=True)
class Device:
    """A source of device interrupts: one every *interval*, on each CPU of *targets* in turn, handled for *handler*."""

    table: Table
    name: str
    interval: Draw
    handler: Draw
    targets: list[int]

    def load(self, overhead: int) -> float:
        """Share of each target's time that its interrupts take, with *overhead* cycles of entry and exit."""
        return (overhead + self.handler.mean) / (self.interval.mean * len(self.targets))


def check_interrupts(devices: list[Device], costs: CostTable, pages: int) -> None:
    """InputError if timer and devices together leave some CPU no time: no LWP there would ever get on.

    *pages* of the kernel are touched by each interrupt.
    """
    overhead = costs.interrupt_overhead(pages)
    timer = costs.timer_load(pages)
    for cpu in sorted({cpu for device in devices for cpu in device.targets}):
        mine = [device for device in devices if cpu in device.targets]
        load = timer + sum(device.load(overhead) for device in mine)
        if load > MOST_INTERRUPTS:
            worst = max(mine, key=lambda device: device.load(overhead))
            raise worst.table.fail(
                "handler" if worst.handler.mean >= overhead else "interval",
                f"interrupts would take {100 * load:.0f} % of the time of CPU {cpu}, {overhead} cycles of entry and "
                f"exit for each included; at most {100 * MOST_INTERRUPTS:.0f} % leave it time for anything else",
            )


def check_amounts(groups: list[Group], hz: int, top: Table) -> None:
    """InputError for more LWPs, children or simulated time than a run can have."""
    if sum(group.processes * group.lwps for group in groups) > MOST_LWPS:
        raise top.fail("group", f"all groups together must have {MOST_LWPS} LWPs or fewer")
    by_name = {group.name: group for group in groups}
    for number, table in enumerate(top.tables("group")):
        group = groups[number]
        seconds = group.iterations * (group.burst.mean + group.call_mean()) / hz
        if seconds > MOST_SECONDS:
            what = f"{group.iterations} times a burst and its calls are {seconds:.3g} s in the mean for each LWP"
            raise table.fail("iterations", f"{what}; it must be {MOST_SECONDS} s or less")
        children = group.processes * group.lwps * _children(group, by_name)
        if children > MOST_CHILDREN:
            raise table.fail("iterations", f"about {children:.3g} children are forked; {MOST_CHILDREN} or fewer can be")


def _children(group: Group, by_name: dict[str, Group]) -> float:
    """How many children, and theirs, an LWP forks in the mean."""
    found = 0.0
    for call, share in group.shares_of_calls():
        if call.kind == "fork":
            found += group.iterations * share * (1 + _children(by_name[call.target], by_name))
    return found


def size(groups: list[Group]) -> int:
    """About how many lines of a recording cost as much to run: two for a call, one for a fault."""
    by_name = {group.name: group for group in groups}
    forked = forked_groups(groups)
    first = [group for group in groups if group.name not in forked]
    return round(sum(group.processes * group.lwps * _size(group, by_name) for group in first))


def _size(group: Group, by_name: dict[str, Group]) -> float:
    """The size of one LWP of a group, with its children."""
    each = (group.text_pages + min(group.per_burst, group.working_set)) / TOUCHES
    for call, share in group.shares_of_calls():
        faults = call.pages if call.kind == "map_unmap" else 0
        each += share * (2 + faults + (_size(by_name[call.target], by_name) if call.kind == "fork" else 0))
    return group.iterations * each
