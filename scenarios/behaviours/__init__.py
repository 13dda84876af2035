"""Behaviours in TOML: groups of LWPs, interrupts, a machine (docs/scenarios.rst describes the keys)."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scenarios.behaviours.draws import Draw, duration, stream
from scenarios.behaviours.groups import Group, Member, check_targets, forked_groups, read_group
from scenarios.scenario import Scenario
from sim.errors import InputError
from sim.inputs.shown import name_of
from sim.inputs.table import Source, Table
from sim.inputs.toml import read_toml
from sim.kernel.program import DeviceInterrupt, LwpSpec, Syscall, Sysctl, Workload
from sim.timed.costs import DEFAULT, is_shipped, load_costs
from sim.timed.paired import check_profile

MAX_CPUS = 256
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
    groups = [read_group(group, hz, count) for group in top.tables("group")]
    if not any(group.kind == "user" for group in groups):
        raise InputError(f'{path}: no [[group]] with kind = "user"; a workload needs at least one')
    check_targets(groups, str(path))
    file_seed = top.whole("seed", 0, least=0)
    sources = _all_interrupts(top, hz, count)
    scenario = Scenario(
        name=top.text("name", name_of(path)), title=top.prose("title", ""), path=path,
        profile=_design(top, "profile", "svs-netbsd9"), baseline=_design(top, "baseline", "none"),
        pcid=top.flag("pcid") if top.has("pcid") else None, costs=table, cpus=count,
        seed=file_seed if seed is None else seed, source=lambda: Workload("", 1, []),
    )  # fmt: skip
    disable = top.duration("disable_svs_at", hz) if top.has("disable_svs_at") else None
    kernel = top.table("kernel_pages", {})
    pages = {key: kernel.whole(key) for key in ("syscall", "fault", "interrupt") if kernel.has(key)}
    kernel.finish()
    top.finish()
    scenario.source = _source(scenario, groups, forked_groups(groups), sources, disable, pages)
    return scenario


Interrupts = Callable[[int], Iterator[DeviceInterrupt]]


def _design(top: Table, key: str, default: str) -> str:
    """A design's name, perhaps with variations."""
    name = top.text(key, default)
    return top.located(key, lambda: check_profile(name))


def _beside(path: Path, costs: str) -> str:
    """A cost table of one's own is looked for beside the scenario first."""
    own = path.parent / costs
    return str(own) if not is_shipped(costs) and own.is_file() else costs


def _all_interrupts(top: Table, hz: int, cpus: int) -> list[Interrupts]:
    """All ``[[interrupt]]`` tables; each needs a name of its own, which names its random stream."""
    names: set[str] = set()
    for item in top.tables("interrupt"):
        name = item.text("name", "device")
        if name in names:
            raise item.fail("name", f"two interrupts are named '{name}'; each draws its times under its name")
        names.add(name)
    return [_interrupts(item, hz, cpus) for item in top.tables("interrupt")]


def _interrupts(table: Table, hz: int, cpus: int) -> Interrupts:
    """One ``[[interrupt]]`` table: a source of device interrupts."""
    name = table.text("name", "device")
    interval: Draw = duration(table, "interval", hz)
    handler: Draw = duration(table, "handler", hz, "1 us")
    targets = table.whole_list("cpus", below=cpus) or list(range(cpus))
    table.finish()

    def arrivals(seed: int) -> Iterator[DeviceInterrupt]:
        rng = stream(seed, "interrupt", name)
        at, n = 0, 0
        while True:
            at += interval.draw(rng)
            yield DeviceInterrupt(at, targets[n % len(targets)], handler.draw(rng), name)
            n += 1

    return arrivals


def _merge(sources: list[Iterator[DeviceInterrupt]]) -> Iterator[DeviceInterrupt]:
    """All sources in order of time."""
    yield from heapq.merge(*sources, key=lambda item: (item.at, item.cpu))


def _source(
    scenario: Scenario, groups: list[Group], children: set[str], sources: list[Interrupts], disable: int | None,
    pages: dict[str, int],
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
        arrivals = _merge([make(scenario.seed) for make in sources])
        return Workload(scenario.name, scenario.cpus, lwps, scenario.seed, arrivals, kernel_pages=pages)

    return source
