"""The whole inspection: a scenario at one moment under one profile in full, and under all profiles in short."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pandas as pd

from analysis.inspect.study import Study, Views
from sim.errors import InputError
from sim.experiments.inspect.graph import table_graph
from sim.experiments.inspect.moment import Moment, stop_at
from sim.experiments.inspect.nmi import send_nmi
from sim.experiments.inspect.reach import df_reach
from sim.kernel.designs import PROFILES

if TYPE_CHECKING:
    from scenarios.scenario import Scenario


def inspect_scenario(
    scenario: Scenario, cycle: int, *, profile: str | None = None, pcid: bool | None = None,
    cpus: Iterable[int] | None = None, compare: bool = True, progress: Callable[[str], None] | None = None,
) -> Study:  # fmt: skip
    """Stop *scenario* at *cycle* and look at its page tables.

    *cpus* are those whose tables are wanted (None: all).  With *compare* every profile is run to the same moment too,
    for what user mode reaches; PCID is on where a profile has it, unless *pcid* is False.  Raises InputError.
    """
    wanted = list(range(scenario.cpus)) if cpus is None else sorted(set(cpus))
    for cpu in wanted:
        if not 0 <= cpu < scenario.cpus:
            raise InputError(f"there is no CPU {cpu}; the scenario has {scenario.cpus}, counted from 0")
    name = profile or scenario.profile
    tell = progress or (lambda _: None)
    tell(name)
    moment = stop_at(scenario, cycle, profile=name, pcid=pcid)
    views = {cpu: _views(moment, cpu) for cpu in wanted}
    state = {cpu: _state(moment, cpu) for cpu in wanted}
    frames, nmi = {}, {}
    for other in [*PROFILES, *([name] if name not in PROFILES else [])] if compare else [name]:
        if other != name:
            tell(other)
            use = False if pcid is False or not PROFILES[other].pcid else None
        one = moment if other == name else stop_at(scenario, cycle, profile=other, pcid=use)
        frames[other] = df_reach([one])
        nmi[other] = send_nmi(one, 0)
    reach = pd.concat(frames.values(), ignore_index=True)
    return Study(
        scenario.name, name, moment.pcid, scenario.cpus, scenario.seed, scenario.costs.name,
        scenario.costs.frequency_hz, cycle, views, state, reach, nmi,
    )  # fmt: skip


def _views(moment: Moment, cpu: int) -> Views:
    """Both graphs of a CPU."""
    ci = moment.kernel.cpus[cpu]
    roots = {"user": moment.user_root(ci), "kernel": moment.kernel_root(ci)}
    return {view: table_graph(moment, cpu, root) for view, root in roots.items() if root}


def _state(moment: Moment, cpu: int) -> dict[str, str]:
    """What a CPU is doing."""
    ci = moment.kernel.cpus[cpu]
    return {
        "lwp": ci.ci_curlwp.l_name,
        "pmap": moment.kernel.curpmap(ci).name,
        "mode": "user" if ci.cpu.user else "kernel",
        "cr3": f"{ci.cpu.cr3_pa:#x}",
    }
