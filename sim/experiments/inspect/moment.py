"""A scenario stopped at a moment: the simulated machine with all its tables as they are then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.inspect.study import NmiTrace
from sim.errors import InputError, MachineCheck, ModelError
from sim.hardware.cpu import VECTOR_NMI
from sim.hardware.paging import P
from sim.kernel.designs import make_design
from sim.timed.amounts import Amounts
from sim.timed.machine import TimedMachine
from sim.timed.paired import check_profile

if TYPE_CHECKING:
    from scenarios.scenario import Scenario
    from sim.hardware.paging import PhysMem
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel

NMI_STACK = "ist1"
STRETCH = 20  # cycles
MOST_STRETCHES = 1_000_000


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


def send_nmi(moment: Moment, cpu: int) -> NmiTrace:
    """Let an NMI hit a CPU at the moment, run on until its handler has returned, and look what it left behind.

    The machine is further on afterwards: take the pictures of the moment first.
    """
    from sim.experiments.inspect.graph import leaf_of
    from sim.experiments.inspect.reach import meaning_of

    kernel = moment.kernel
    ci = kernel.cpus[cpu]
    lwp = ci.ci_curlwp
    fatal = _run_nmi(moment, cpu)
    va = kernel.layout.entry_page(cpu, NMI_STACK)
    words = tuple((n, value, meaning_of(moment, value)) for n, value in enumerate(ci.ci_nmi_stack.v) if value)
    readable = tuple(
        other.ci_index for other in kernel.cpus if leaf_of(moment, moment.user_root(other), va)[1] & P
    )  # fmt: skip
    return NmiTrace(cpu, lwp.l_name, va, leaf_of(moment, moment.kernel_root(ci), va)[2], words, readable, fatal)


def _run_nmi(moment: Moment, cpu: int) -> str:
    """Run on until an NMI has come and gone on *cpu*; returns how the machine died of it, or nothing.

    Up to 1.16 the NMI's entry looks only at the mode it came from.  In kernel mode with the user tables still loaded,
    a few instructions at each end of every crossing, its handler is then not mapped.  That is what that revision does,
    and no contradiction of the model.
    """
    process = moment.machine.cpus[cpu]
    ci = moment.kernel.cpus[cpu]
    before = moment.machine.recorder.counters.get("NMIs", 0)
    process.post(VECTOR_NMI, ())
    lwp = process.core.lwp
    depth = len(lwp.frames)
    env = moment.machine.env
    for _ in range(MOST_STRETCHES):
        try:
            env.run(until=env.after(STRETCH, 0))  # a CPU that nothing disturbs would else run far ahead in one event
        except MachineCheck as error:
            if ci.cpu.user or ci.cpu.cr3_pa != moment.user_root(ci):
                raise
            return str(error)
        if moment.machine.recorder.counters.get("NMIs", 0) > before and len(lwp.frames) <= depth:
            return ""
    raise ModelError(f"an NMI on cpu{cpu} did not come back")
