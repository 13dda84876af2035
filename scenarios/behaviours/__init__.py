"""Behaviours in TOML: groups of LWPs, interrupts, a machine (docs/scenarios.rst describes the keys)."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scenarios.behaviours.bounds import Device, check_amounts, check_interrupts, size
from scenarios.behaviours.draws import duration, stream
from scenarios.behaviours.groups import Group, check_targets, forked_groups, read_group
from scenarios.behaviours.members import Member
from scenarios.scenario import Scenario
from sim.errors import InputError
from sim.inputs.shown import name_of
from sim.inputs.table import Source, Table
from sim.inputs.toml import read_toml
from sim.kernel.kernel import DEFAULT_PAGES
from sim.kernel.layout import DIRECT_PAGES
from sim.kernel.program import DeviceInterrupt, LwpSpec, Syscall, Sysctl, Workload
from sim.timed.cost_options import beside
from sim.timed.costs import DEFAULT, is_shipped, load_costs
from sim.timed.paired import check_profile

MAX_CPUS = 256
MOST_GROUPS = 1000
MOST_DEVICES = 256
MOST_KERNEL_PAGES = 4096
MOST_TEXT = 64
KEYS = ("title", "name", "seed", "profile", "baseline", "pcid", "disable_svs_at", "machine", "kernel_pages", "group",
        "interrupt")  # fmt: skip


def apply_overrides(values: dict[str, Any], overrides: dict[str, Any], place: str) -> None:
    """Set dotted keys, as ``machine.cpus`` or ``group.0.lwps``; InputError if the way there does not exist."""
    for dotted, value in overrides.items():
        here: Any = values
        *way, last = dotted.split(".")
        for part in way:
            if isinstance(here, list) and part.isascii() and part.isdigit() and int(part[:9]) < len(here):
                here = here[int(part)]
            elif isinstance(here, dict):
                here = here.setdefault(part, {})
            else:
                raise InputError(f"{place}: there is no '{part}' on the way to '{dotted}'")
        if not isinstance(here, dict):
            raise InputError(f"{place}: '{dotted}' does not lead to a value")
        here[last] = value


def load_behaviour(
    path: Path, *, costs: str | None = None, cpus: int | None = None, seed: int | None = None,
    overrides: dict[str, Any] | None = None,
) -> Scenario:  # fmt: skip
    """Read and validate a behaviour scenario; arguments override what the file says."""
    top = read_toml(path)
    if overrides:
        apply_overrides(top.values, overrides, str(path))
        top = Table(top.values, Source(str(path)))
    top.only(*KEYS)
    machine = top.table("machine", {})
    file_costs = machine.text("costs", DEFAULT)
    table = load_costs(costs) if costs else machine.located("costs", lambda: load_costs(_beside(path, file_costs)))
    count = machine.whole("cpus", 1) if cpus is None else cpus
    machine.has("cpus")
    machine.finish()
    if count > MAX_CPUS:
        raise machine.fail("cpus", f"{count} must be {MAX_CPUS} or less")
    hz = table.frequency_hz
    groups = [read_group(group, hz, count) for group in top.tables("group", most=MOST_GROUPS)]
    if not any(group.kind == "user" for group in groups):
        raise InputError(f'{path}: no [[group]] with kind = "user"; a workload needs at least one')
    check_targets(groups, str(path))
    check_amounts(groups, hz, top)
    kernel = _kernel_pages(top.table("kernel_pages", {}))
    devices = _devices(top, hz, count)
    check_interrupts(devices, table, kernel.pages.get("interrupt", DEFAULT_PAGES["interrupt"]))
    file_seed = top.whole("seed", 0, least=0)
    scenario = Scenario(
        name=top.label("name", name_of(path)), title=top.prose("title", ""), path=path,
        profile=_design(top, "profile", "svs-netbsd9"), baseline=_design(top, "baseline", "none"),
        pcid=top.flag("pcid") if top.has("pcid") else None, costs=table, cpus=count,
        seed=file_seed if seed is None else seed, source=lambda: Workload("", 1, []), size=size(groups),
    )  # fmt: skip
    disable = top.duration("disable_svs_at", hz) if top.has("disable_svs_at") else None
    top.finish()
    scenario.source = _source(scenario, groups, forked_groups(groups), devices, disable, kernel)
    return scenario


class KernelPages(NamedTuple):
    """How many pages a crossing of a kind touches, whether they are large ones, and large pages of text."""

    pages: dict[str, int]
    direct: bool
    text: int


def _kernel_pages(table: Table) -> KernelPages:
    """``[kernel_pages]``."""
    direct = table.flag("direct_map", False)
    most = DIRECT_PAGES if direct else MOST_KERNEL_PAGES
    pages = {key: table.whole(key, most=most) for key in DEFAULT_PAGES if table.has(key)}
    text = table.whole("text", 1, most=MOST_TEXT)
    table.finish()
    return KernelPages(pages, direct, text)


def _design(top: Table, key: str, default: str) -> str:
    """A design's name, perhaps with variations."""
    name = top.text(key, default)
    return top.located(key, lambda: check_profile(name))


def _beside(path: Path, costs: str) -> str:
    """A cost table file is looked for beside the scenario first."""
    return costs if is_shipped(costs) else beside(path.parent, costs)


def _devices(top: Table, hz: int, cpus: int) -> list[Device]:
    """All ``[[interrupt]]`` tables; each needs a name of its own, which names its random stream."""
    devices: list[Device] = []
    for item in top.tables("interrupt", most=MOST_DEVICES):
        device = Device(
            table=item,
            name=item.label("name", "device"),
            interval=duration(item, "interval", hz),
            handler=duration(item, "handler", hz, "1 us"),
            targets=item.whole_list("cpus", below=cpus) or list(range(cpus)),
        )
        item.finish()
        if device.name in [other.name for other in devices]:
            raise item.fail("name", f"two interrupts are named '{device.name}'; each draws its times under its name")
        devices.append(device)
    return devices


def _arrivals(device: Device, seed: int) -> Iterator[DeviceInterrupt]:
    """The interrupts of one device, without end."""
    rng = stream(seed, "interrupt", device.name)
    at, n = 0, 0
    while True:
        at += device.interval.draw(rng)
        yield DeviceInterrupt(at, device.targets[n % len(device.targets)], device.handler.draw(rng), device.name)
        n += 1


def _merge(sources: list[Iterator[DeviceInterrupt]]) -> Iterator[DeviceInterrupt]:
    """All sources in order of time."""
    yield from heapq.merge(*sources, key=lambda item: (item.at, item.cpu))


def _source(
    scenario: Scenario, groups: list[Group], children: set[str], devices: list[Device], disable: int | None,
    kernel: KernelPages,
) -> Callable[[], Workload]:  # fmt: skip
    """A source of fresh, identical workloads."""
    by_name = {group.name: group for group in groups}

    def source() -> Workload:
        lwps = [
            Member(group, process, number, scenario.seed, by_name).spec()
            for group in groups
            if group.name not in children
            for process in range(group.processes)
            for number in range(group.lwps)
        ]
        if disable is not None:
            call = Syscall("sysctl", 1, (Sysctl(0),))
            lwps.append(LwpSpec("sysctl", iter([call]), "sysctl", start=disable))
        arrivals = _merge([_arrivals(device, scenario.seed) for device in devices])
        return Workload(scenario.name, scenario.cpus, lwps, scenario.seed, arrivals, kernel_pages=kernel.pages,
                        direct_map=kernel.direct, text_pages=kernel.text)  # fmt: skip

    return source
