"""A scenario stopped at a moment: the simulated machine with all its tables as they are then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.errors import InputError
from sim.kernel.designs import make_design
from sim.timed.amounts import Amounts
from sim.timed.machine import TimedMachine
from sim.timed.paired import check_profile

if TYPE_CHECKING:
    from scenarios.scenario import Scenario
    from sim.hardware.paging import PhysMem
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel


@dataclass(slots=True)
class Moment:
    """A machine stopped *cycle* cycles after its start.

    Attributes:
        machine: the machine; nothing in it moves until it is run on.
        profile, pcid: the design it was started with.
        cycle: CPU cycles since the start.
    """

    machine: TimedMachine
    profile: str
    pcid: bool
    cycle: int

    @property
    def kernel(self) -> Kernel:
        """The modelled kernel."""
        return self.machine.kernel

    @property
    def mem(self) -> PhysMem:
        """The modelled physical memory."""
        return self.machine.mem

    def kernel_root(self, ci: CpuInfo) -> int:
        """Physical address of the L4 page that CR3 holds on this CPU in kernel mode."""
        return self.kernel.curpmap(ci).pm_pdirpa

    def user_root(self, ci: CpuInfo) -> int:
        """Physical address of the L4 page that CR3 holds on this CPU in user mode.

        0 where there is none: under ``pti`` a CPU whose loaded pmap is the kernel's has no process to return to.
        """
        design = self.kernel.design
        if not design.isolates:
            return self.kernel_root(ci)
        return ci.ci_svs_updirpa if design.per_cpu else self.kernel.curpmap(ci).pm_updirpa


def stop_at(scenario: Scenario, cycle: int, *, profile: str | None = None, pcid: bool | None = None) -> Moment:
    """Run a scenario alone (no baseline beside it) under *profile* and stop it at *cycle*.

    *profile* and *pcid* None mean the scenario's own.  Raises InputError if the scenario ends before.
    """
    name = profile or scenario.profile
    design = make_design(check_profile(name), scenario.pcid if pcid is None else pcid)
    machine = TimedMachine(scenario.source(), design, scenario.costs, scenario.cpus, Amounts(), fast=True)
    if machine.run_until(cycle):
        hz = scenario.costs.frequency_hz
        raise InputError(
            f"{scenario.name} under {name} ends {1e3 * machine.env.cycle / hz:.6g} ms after its start, before the "
            f"moment asked for ({1e3 * cycle / hz:.6g} ms)"
        )
    return Moment(machine, name, design.pcid, cycle)
