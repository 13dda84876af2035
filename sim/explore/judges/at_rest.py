"""Judging an execution's end: is it a proper end, and is everything at rest in order?"""

from __future__ import annotations

from sim.explore.judges.locks import Locks, cycle_of
from sim.explore.judges.owners import Owners
from sim.explore.judges.tally import Tally
from sim.explore.judges.user_mode import UserMode
from sim.explore.judges.uses import Uses
from sim.explore.judges.view import View
from sim.explore.litmus_state import LitmusState
from sim.explore.named import VECTOR_NAMES, cpu_set, queued
from sim.explore.watched import WatchedRunQueue
from sim.hardware.cpu import VECTOR_TLB
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, PS, P
from sim.hardware.steps import Op
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.pmap import Pmap


class AtRest:
    """The invariants that hold at rest.  ``began_per_cpu``: CPUs had user directories of their own in the beginning."""

    def __init__(
        self, view: View, tally: Tally, state: LitmusState, user_mode: UserMode, uses: Uses, locks: Locks
    ) -> None:
        self.view = view
        self.premise, self.broken = tally.premise, tally.broken
        self.state = state
        self.user_mode = user_mode
        self.uses = uses
        self.locks = locks
        self.owners = Owners(view, tally, state)
        self.began_per_cpu = False

    def finish(self) -> None:
        """Nothing can act: is that a proper end, and is everything at rest in order?"""
        for ci in self.view.kernel.cpus:
            if ci.cpu.user:
                self._asts(ci)
        if not self._progress():
            self._idles()
            return
        for ci in self.view.kernel.cpus:
            self.locks.barrier(ci.ci_index, "is at rest")
            if ci.cpu.user:
                self.user_mode.to_user(ci.ci_index)
                self.uses.to_user(ci.ci_index)
        self.user_mode.tables.globals()
        self._sets()
        self._wires()
        self.uses.modified.at_rest()
        self._packets()
        self.owners.finish()
        allowed = self.state.litmus.outcomes
        if allowed:
            self.premise("outcome")
            got = "; ".join(sorted(self.state.outcomes))
            if got not in allowed:
                self.broken("outcome", f"ended with '{got}', which is not among the allowed outcomes")

    def _progress(self) -> bool:
        """Everybody reached the end; else say who waits for whom, and nothing is at rest."""
        view = self.view
        self.premise("progress")
        waits: list[tuple[str, str]] = []
        stuck: list[str] = []
        for cpu in range(view.n):
            step = view.steps[cpu]
            if step[0] is Op.ACQUIRE and id(step[2]) in view.busy:
                waits.append((f"cpu{cpu}", f"cpu{view.busy[id(step[2])]}"))
                stuck.append(f"cpu{cpu} waits for {step[2].name} held by cpu{view.busy[id(step[2])]}")
            elif step[0] is Op.WAIT and step[2] is not self.state.never:
                stuck.append(f"cpu{cpu} spins in {step[1]} on {step[2].name} = {step[2].v[step[3]]}")
                for other in range(view.n):
                    if VECTOR_TLB in view.apics[other].pending and not view.kernel.cpus[other].cpu.intr:
                        waits.append((f"cpu{cpu}", f"cpu{other}"))
        for cpu in range(view.n):
            for vector in view.apics[cpu].pending:
                stuck.append(f"cpu{cpu} never takes the {VECTOR_NAMES[vector]} that is pending there")
            level = view.kernel.cpus[cpu].cpu.ipl
            if view.steps[cpu][0] in (Op.MWAIT, Op.HALT) and level:
                stuck.append(f"cpu{cpu} idles at level {level}, and takes no interrupt up to that one")
            if view.steps[cpu][0] in (Op.MWAIT, Op.HALT) and view.kernel.cpus[cpu].ci_runqueue.count:
                stuck.append(f"cpu{cpu} idles with {_queued(view.kernel.cpus[cpu])} in its queue")
        stuck += [f"the device that asks for '{text}' is never served" for text, n in self.state.asked.items() if n > 0]
        sleepers = sorted(set(self.state.lwps) - self.state.done)
        if not stuck and not sleepers:
            return True
        cycle = cycle_of(waits)
        text = "; ".join(stuck + [f"{name} never gets to its end" for name in sleepers])
        if len(cycle) == 1:
            text += f"; {cycle[0]} waits for itself"
        elif cycle:
            text += "; wait-for cycle " + " -> ".join([*cycle, cycle[0]])
        self.broken("progress", text)
        return False

    def _asts(self, ci: CpuInfo) -> None:
        """A CPU rests in user mode: no LWP waits for it to reschedule, and none that is more important."""
        self.premise("lost-ast")
        queue = ci.ci_runqueue
        if isinstance(queue, WatchedRunQueue) and queue.preempting:
            self.broken("lost-ast", f"cpu{ci.ci_index} rests in user mode in {self.view.current[ci.ci_index].l_name}, "
                        "though a more important LWP was queued since it began to run: its queue has "
                        f"{_queued(ci)}")  # fmt: skip
        if ci.ci_want_resched.v[0]:
            self.broken("lost-ast", f"cpu{ci.ci_index} rests in user mode though {ci.ci_want_resched.name} is set")

    def _idles(self) -> None:
        """A CPU that idles has nothing to do: apart from progress, which a livelock that is known breaks, too."""
        for ci in self.view.kernel.cpus:
            if self.view.steps[ci.ci_index][0] in (Op.MWAIT, Op.HALT):
                self.premise("lost-ast")
                if ci.ci_runqueue.count:
                    self.broken("lost-ast", f"cpu{ci.ci_index} idles with {_queued(ci)} in its queue")

    def _sets(self) -> None:
        k = self.view.kernel
        if not k.design.isolates and not k.design.per_cpu and self.began_per_cpu:
            return
        for pmap in self.uses.followed:
            if pmap.number not in k.pmaps:
                continue
            holders = sum(1 << ci.ci_index for ci in k.cpus if self._holds(ci, pmap))
            self.premise("kernel-cpus-exact")
            if pmap.pm_kernel_cpus.v[0] != holders:
                self.broken(
                    "kernel-cpus-exact",
                    f"at rest {pmap.pm_kernel_cpus.name} = {cpu_set(pmap.pm_kernel_cpus.v[0])}, "
                    f"but {cpu_set(holders)} have it in CR3",
                )
            self.premise("cpus-subset")
            if pmap.pm_cpus.v[0] & ~pmap.pm_kernel_cpus.v[0]:
                self.broken("cpus-subset", f"at rest {pmap.pm_cpus.name} = {cpu_set(pmap.pm_cpus.v[0])}, not "
                            f"within {pmap.pm_kernel_cpus.name} = {cpu_set(pmap.pm_kernel_cpus.v[0])}")  # fmt: skip

    def _packets(self) -> None:
        """What was queued has been sent, and the packet emptied; but a program may leave out its pmap_update."""
        if any(self.state.unpromised.values()):
            return
        self.premise("packets-sent")
        for ci in self.view.kernel.cpus:
            count = ci.ci_pmap_data.tp_count.v[0]
            if count:
                self.broken("packets-sent", f"at rest cpu{ci.ci_index} has a shootdown queued ({count} pages)")

    @staticmethod
    def _holds(ci: CpuInfo, pmap: Pmap) -> bool:
        """Whether a CPU has the pmap in CR3, or (in user mode) will have it at the next entry."""
        return ci.ci_pmap.v[0] == pmap.number if ci.cpu.user else ci.cpu.cr3_pa == pmap.pm_pdirpa

    def _wires(self) -> None:
        view, k, mem = self.view, self.view.kernel, self.view.mem
        for pmap in self.uses.followed:
            if pmap.number not in k.pmaps:
                continue
            found: dict[int, int] = {}

            def visit(table: Words, level: int, slots: int, found: dict[int, int] = found) -> None:
                for value in table.v[:slots]:
                    if value & P and not value & PS and level > 1:
                        child = mem.table(value & FRAME)
                        found[value & FRAME] = 1 + sum(1 for entry in child.v if entry & P)
                        visit(child, level - 1, k.geometry.entries)

            visit(pmap.pm_pdir, k.geometry.levels, k.geometry.user_slots)
            self.premise("wire-counts")
            if found != pmap.ptp_wire:
                # Those of the table pages of which they differ; 0: there is none.
                wrong = [pa for pa in sorted({*found, *pmap.ptp_wire}) if found.get(pa) != pmap.ptp_wire.get(pa)]
                text = [f"{view.named.page(pa)} is {pmap.ptp_wire.get(pa, 0)}, but {found.get(pa, 0)} by the tables"
                        for pa in wrong]  # fmt: skip
                self.broken("wire-counts", f"at rest the wire count of {'; of '.join(text)}")
        self.premise("page-ownership")
        self.premise("in-bounds")
        self.premise("kassert")


def _queued(ci: CpuInfo) -> str:
    """Who waits for a CPU, the most important first."""
    return " and ".join(lwp.l_name for lwp in queued(ci)) or "nobody"
