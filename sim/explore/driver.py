"""The exploring driver: an execution of the modelled kernel, one choice at a time.

Actors are numbered: CPU *i* is *i*, its store buffer ``n + i``, and its interrupts ``2n + 4i`` on (TLB, reschedule,
timer and device, NMI).  A CPU's transition is one step that others could notice, with the private steps after it up
to the next such step.  Interrupts land between transitions where flag and level allow; a private step that closes a
window in which they could land begins a transition.  On a CPU that is to get an NMI private steps are transitions too
until it has landed, so that it can land inside entry code: always, not only once the NMI is pending, for what a
transition is must not depend on what others did without the footprint saying so.  A spin or a held mutex is simply not
enabled.  Under TSO plain stores to shared words go through the CPU's store buffer; the steps that drain it wait
until the buffer's actor has emptied it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, cast

from sim.errors import KernelEvent, ModelError
from sim.explore.cached import BornMem, MaybeCached
from sim.explore.effects import DO, VECTOR_NAMES, VECTORS, StepEffects
from sim.explore.judge import Judge
from sim.explore.litmus import Litmus
from sim.explore.model import AWAITS, NEEDS, SPINS, WRITE, Broken, Footprint, Violation
from sim.explore.model import Access as Touch
from sim.explore.ops import ENTERING, LitmusProgram, body
from sim.hardware.cpu import VECTOR_NMI, VECTOR_TLB, Cpu
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, A, D, P, U, W
from sim.hardware.sites import Site, unknown_site
from sim.hardware.steps import Op, Step
from sim.hardware.tlb import Tlb
from sim.kernel import process as kproc
from sim.kernel.design import make_design
from sim.kernel.disable import xcall_thread
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import LSRUN, PRI_KTHREAD, PRI_USER, Lwp, Process
from sim.kernel.pmap import Pmap
from sim.kernel.program import LwpSpec
from sim.kernel.traps import IPL_OF, interrupt

ALWAYS_VISIBLE = frozenset(
    {Op.ACQUIRE, Op.RELEASE, Op.WAIT, Op.CR3, Op.PGE, Op.INVLPG, Op.INVPCID, Op.IPI, Op.HALT, Op.USER}
)
DRAINING = frozenset({Op.ACQUIRE, Op.RMW, Op.CR3, Op.PGE, Op.INVLPG, Op.INVPCID, Op.IPI})
RESUME: Step = ("resume",)
FINE = frozenset({Op.REG, Op.CLI, Op.STI, Op.LOAD, Op.STORE, Op.ACCESS, Op.TOUCH})
LEVELS = frozenset({Op.CLI, Op.STI, Op.SPL})


class KernelRun(StepEffects):
    """One execution of a litmus program under a profile and a memory model.

    ``trace`` collects one entry a transition if *traced*: (actor, steps, what it did).
    """

    def __init__(self, litmus: Litmus, profile: str, *, tso: bool, pcid: bool | None = None, traced: bool = False):
        self.litmus = litmus
        self.tso = tso
        self.traced = traced
        self.trace: list[tuple[int, list[str]]] = []
        self.notes: list[str] = []
        self.extra: list[Touch] = []
        self.n = n = litmus.cpus
        geometry = litmus.geometry
        self.user_limit = geometry.va_of_slot(geometry.user_slots)
        self.mem = BornMem(geometry, lambda: self.also("freed tables"))
        cpus = [Cpu(i, cast(Tlb, None), geometry) for i in range(n)]
        self.kernel = Kernel(cpus, self.mem, geometry, make_design(profile, pcid))
        for kind in ("syscall", "fault", "interrupt"):
            self.kernel._pages[kind] = ()
        self.caches = [MaybeCached(self.mem) for _ in range(n)]
        self.buffers: list[deque[tuple[Words | None, int, Any, int, Any]]] = [deque() for _ in range(n)]
        self.serial = [0] * n
        self.busy: dict[int, int] = {}  # mutex (by id) -> CPU, as others see it
        self.pending: list[dict[int, int]] = [{} for _ in range(n)]
        self.in_nmi = [False] * n
        nmis = [int(op.name) for lwp in litmus.lwps for op in lwp.ops if op.verb == "nmi"]
        self.nmis_to_come = [nmis.count(cpu) for cpu in range(n)]
        self.in_tlb_handler = [0] * n
        self.current: list[Lwp] = [ci.ci_curlwp for ci in self.kernel.cpus]
        self.steps: list[Step] = [RESUME] * n
        self.never = Words("never")
        self.pmaps: dict[str, Pmap] = {}
        self.lwps: dict[str, Lwp] = {}
        self.done: set[str] = set()
        self.outcomes: list[str] = []
        self.unpromised: dict[str, list[tuple[Pmap, int, int]]] = {}
        held = {op.pmap for lwp in litmus.lwps for op in lwp.ops if op.pmap and op.verb in ENTERING}
        self.vmspaces = {name: Words(f"{name}.vm_refcnt", 1, 1) for name in sorted(held)}
        self.judge = Judge(self)
        self._populate()
        self._prologue()

    # --- setting up -------------------------------------------------------------------------------------------------

    def _populate(self) -> None:
        """Pmaps with their first pages, LWPs on their CPUs' run queues, xcall threads if SVS may be disabled."""
        k, litmus = self.kernel, self.litmus
        processes: dict[str, Process] = {"": k.kernel_proc}
        for name, pages in litmus.pmaps.items():
            processes[name] = kproc.first_process(k, name)
            self.pmaps[name] = processes[name].pmap
            self.judge.follow(self.pmaps[name])
            for slot, page in pages:
                self._map_now(self.pmaps[name], litmus.va(slot, page))
        for item in litmus.lwps:
            self._lwp(item.name, processes[item.pmap], item.cpu, not item.pmap)
            lwp = self.lwps[item.name]
            lwp.frames = [body(self, lwp, item.ops)]
        if any(op.verb == "disable" for item in litmus.lwps for op in item.ops):
            for ci in k.cpus:
                self._lwp(f"xcall/{ci.ci_index}", k.kernel_proc, ci.ci_index, True, PRI_KTHREAD)
                thread = self.lwps.pop(f"xcall/{ci.ci_index}")
                thread.frames = [xcall_thread(k, thread)]
        for i, cache in enumerate(self.caches):
            cache.vas = self.judge.vas(i)

    def _lwp(self, name: str, proc: Process, cpu: int, system: bool, priority: int = PRI_USER) -> None:
        """Make an LWP and put it on its CPU's run queue."""
        ci = self.kernel.cpus[cpu]
        spec = LwpSpec(name, iter(()), proc.name, system=system, priority=priority, cpu=cpu, bound=True)
        lwp = kproc.new_lwp(self.kernel, spec, proc, ci, name)
        lwp.l_stat = LSRUN
        ci.ci_runqueue.add(lwp)
        ci.ci_want_resched.v[0] = 1
        self.lwps[name] = lwp

    def _map_now(self, pmap: Pmap, va: int) -> None:
        """Enter a page before time begins; no CPU has the pmap loaded yet."""
        k, geometry = self.kernel, self.litmus.geometry
        table, above = pmap.pm_pdir, 0
        for level in range(geometry.levels, 1, -1):
            index = geometry.index(va, level)
            if not table.v[index] & P:
                pa = self.mem.alloc_table(f"{pmap.name} L{level - 1} {va >> 12 >> geometry.bits * (level - 1):#x}")
                table.v[index] = pa | P | W | U
                pmap.ptp_wire[pa] = 1
                if above:
                    pmap.ptp_wire[above] += 1
                if level == geometry.levels:
                    k.design.sync_now(k, pmap, index)
            above = table.v[index] & FRAME
            table = self.mem.table(above)
        table.v[geometry.index(va, 1)] = self.mem.alloc_page(f"{pmap.name} page") | P | U | W | A | D
        pmap.ptp_wire[above] += 1
        pmap.pm_resident += 1

    def _prologue(self) -> None:
        """Bring every CPU, in a fixed order, to the first operation of its first LWP, or to its idle loop."""
        fine, self.judge.armed = self.tso, False
        self.tso = False
        for cpu in range(self.n):
            self._advance(cpu, None)
        for _ in range(4000):
            waiting = [cpu for cpu in range(self.n) if not self._rests(cpu) or self.pending[cpu]]
            able = [actor for actor in self.enabled() if actor % self.n in waiting or actor >= 2 * self.n]
            able = [a for a in able if a >= 2 * self.n or self.steps[a][1] is not LitmusProgram.start]
            if not able:
                break
            self.step(able[0])
        self.tso, self.judge.armed = fine, True
        self.trace.clear()
        self.judge.begin()

    def _rests(self, cpu: int) -> bool:
        """Whether the CPU has come as far as it can without its LWP's first operation."""
        step = self.steps[cpu]
        return step[0] is Op.HALT or step[1] is LitmusProgram.start

    # --- the interface of an execution ------------------------------------------------------------------------------

    def enabled(self) -> list[int]:
        """Actors that can act now."""
        n = self.n
        able = [cpu for cpu in range(n) if self._can_step(cpu)]
        if self.tso:
            able += [n + cpu for cpu in range(n) if self.buffers[cpu]]
        for cpu in range(n):
            if self.pending[cpu] and not self.buffers[cpu]:
                able += [2 * n + 4 * cpu + i for i in range(4) if self._deliverable(cpu, i)]
        return able

    def _can_step(self, cpu: int) -> bool:
        """Whether the CPU's pending step can be made."""
        step = self.steps[cpu]
        op = step[0]
        if op is Op.WAIT:
            return bool(step[4](self._read(cpu, step[2], step[3])))
        if op is Op.HALT:
            return False
        if op in DRAINING and self.buffers[cpu]:
            return False
        return not (op is Op.ACQUIRE and id(step[2]) in self.busy)

    def _deliverable(self, cpu: int, slot: int) -> bool:
        """Whether an interrupt of that slot is pending and can land."""
        registers = self.kernel.cpus[cpu].cpu
        for vector in VECTORS[slot]:
            if vector not in self.pending[cpu]:
                continue
            if vector == VECTOR_NMI:
                return not self.in_nmi[cpu]
            if registers.intr and IPL_OF[vector] > registers.ipl:
                return True
        return False

    def step(self, actor: int) -> Footprint:
        """Make the next transition of an actor."""
        n = self.n
        self.notes = []
        try:
            if actor < n:
                footprint = self._cpu_step(actor)
            elif actor < 2 * n:
                footprint = self._drain(actor - n)
            else:
                footprint = self._deliver((actor - 2 * n) // 4, (actor - 2 * n) % 4)
            self.judge.after(actor)
        except KernelEvent as event:
            raise Violation(Broken(event.invariant, str(event))) from event
        finally:
            if self.traced:
                self.trace.append((actor, self.notes))
        return footprint

    def stuck(self) -> Iterator[tuple[int, Footprint]]:
        """CPUs that spin or wait for a mutex, interrupts that are held off."""
        n = self.n
        for cpu in range(n):
            step = self.steps[cpu]
            own: Touch = (("c", cpu), WRITE)
            if step[0] is Op.WAIT and step[2] is not self.never and not self._can_step(cpu):
                yield cpu, (own, ((step[2].name, step[3]), SPINS))
            elif step[0] is Op.ACQUIRE and id(step[2]) in self.busy:
                yield cpu, (own, (step[2].name, NEEDS))
            for slot, vectors in enumerate(VECTORS):
                if any(vector in self.pending[cpu] for vector in vectors) and not self._deliverable(cpu, slot):
                    yield 2 * n + 4 * cpu + slot, self._landing(cpu, slot)

    @staticmethod
    def _landing(cpu: int, slot: int) -> Footprint:
        """What an interrupt's arrival depends on: its CPU's other steps, that it was sent, an empty store buffer."""
        return ((("c", cpu), AWAITS), (("i", cpu, slot), NEEDS), (("e", cpu), NEEDS))

    def follow(self, actors: Sequence[int]) -> None:
        """Make transitions."""
        for actor in actors:
            self.step(actor)

    def finish(self) -> None:
        """Judge the end."""
        self.judge.finish()

    def outcome(self, what: str) -> None:
        """Note an observation that belongs to the final outcome."""
        self.outcomes.append(what)

    # --- a CPU ------------------------------------------------------------------------------------------------------

    def _cpu_step(self, cpu: int) -> Footprint:
        """Make the pending step, then the private ones that follow."""
        step = self.steps[cpu]
        op = step[0]
        touched: list[Touch] = [(("c", cpu), WRITE)]
        if op in DRAINING and self.tso:
            touched.append((("e", cpu), NEEDS))
        value = DO[op](self, cpu, step, touched)
        self._advance(cpu, value)
        return (*touched, *self._extra())

    def _advance(self, cpu: int, value: Any) -> None:
        """Send *value* and go on to the next visible step."""
        lwp = self.current[cpu]
        fine = self.nmis_to_come[cpu] > 0 and self.judge.armed
        opened, limit = False, self.user_limit
        while True:
            frames = lwp.frames
            try:
                step = frames[-1].send(value)
            except StopIteration:
                frames.pop()
                if not frames:
                    raise ModelError(f"{lwp.l_name} ran off its end") from None
                step = self._return(cpu, lwp)
                if step is RESUME:
                    value = None
                    continue
            if step[1].__class__ is not Site:
                raise unknown_site(step)
            op = step[0]
            if op is Op.SWITCH:
                lwp = self.current[cpu] = step[2]
                self.note(f"cpu_switchto: now {lwp.l_name}")
                value = None
                continue
            if op in ALWAYS_VISIBLE or fine and op in FINE:
                break
            if op <= Op.RMW:
                if step[2].shared:
                    break
            elif op is Op.TOUCH and step[2] and step[2][0][0] < limit:
                break
            if op in LEVELS:
                opens = op is Op.STI or op is Op.SPL and step[2] < self.kernel.cpus[cpu].cpu.ipl
                if opened and not opens:
                    break
                opened = opened or opens
            value = DO[op](self, cpu, step, None)
        if op is Op.HALT:
            self.kernel.cpus[cpu].cpu.intr = True
        self.steps[cpu] = step

    def _return(self, cpu: int, lwp: Lwp) -> Step:
        """An interrupt frame ended: what was interrupted goes on."""
        (step, vector), before = lwp.saved.pop()
        if vector == VECTOR_NMI:
            self.in_nmi[cpu] = False
        elif vector == VECTOR_TLB:
            self.in_tlb_handler[cpu] -= 1
        self.note(f"return from {VECTOR_NAMES[vector]}")
        self.judge.returned(cpu, vector, before)
        return cast(Step, step)

    def _deliver(self, cpu: int, slot: int) -> Footprint:
        """An interrupt lands on the CPU."""
        vector = next(v for v in VECTORS[slot] if v in self.pending[cpu])
        self.pending[cpu].pop(vector)
        lwp = self.current[cpu]
        registers = self.kernel.cpus[cpu].cpu
        saved = RESUME if self.steps[cpu][0] is Op.HALT else self.steps[cpu]
        before = (registers.user, registers.cr3_pa, registers.pcid)
        lwp.saved.append(((saved, vector), before))
        if vector == VECTOR_NMI:
            self.in_nmi[cpu] = True
            self.nmis_to_come[cpu] -= 1
        elif vector == VECTOR_TLB:
            self.in_tlb_handler[cpu] += 1
        self.note(f"{VECTOR_NAMES[vector]} lands on {lwp.l_name} in {'user' if registers.user else 'kernel'} mode")
        lwp.frames.append(interrupt(self.kernel, lwp, vector, ()))
        self._advance(cpu, None)
        # Whether a table page is freed before or after the handler begins decides what is judged meanwhile.
        self.looked("freed tables")
        return (*self._landing(cpu, slot), *self._extra())
