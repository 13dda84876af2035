"""An NMI sent at a moment: whether it comes back, and what it leaves behind for user mode to read."""

from __future__ import annotations

from analysis.inspect.study import NmiTrace
from sim.errors import MachineCheck, ModelError
from sim.experiments.inspect.graph import leaf_of
from sim.experiments.inspect.moment import Moment
from sim.experiments.inspect.regions import region_of
from sim.hardware.cpu import VECTOR_NMI
from sim.hardware.paging import P
from sim.kernel.layout import PAGE_SIZE

NMI_STACK = "ist1"
STRETCH = 20  # cycles
MOST_STRETCHES = 1_000_000


def send_nmi(moment: Moment, cpu: int) -> NmiTrace:
    """Let an NMI hit a CPU at the moment, run on until its handler has returned, and look what it left behind.

    The machine is further on afterwards: take the pictures of the moment first.
    """
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


def meaning_of(moment: Moment, value: int) -> str:
    """Say what a value found in memory is, if it is a kernel address."""
    layout = moment.kernel.layout
    if value < layout.image:
        return "a number"
    for lwp_name, base, pages in _stacks(moment):
        if base <= value < base + pages * PAGE_SIZE:
            return f"an address on the kernel stack of {lwp_name}"
    return f"an address in: {region_of(layout, 0, value)}"


def _stacks(moment: Moment) -> list[tuple[str, int, int]]:
    """Kernel stacks of the LWPs that are on CPUs."""
    lwps = [lwp for ci in moment.kernel.cpus for lwp in (ci.ci_curlwp, ci.ci_idlelwp)]
    return [(lwp.l_name, lwp.kstack_va, len(lwp.kstack_pa)) for lwp in lwps]
