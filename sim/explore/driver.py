"""The exploring driver: an execution of the modelled kernel, one choice at a time.

Actors are numbered: CPU *i* is *i*, its store buffer ``n + i``, and its interrupts ``2n + 4i`` on (TLB, reschedule,
timer and device, NMI); walks that come by themselves are ``6n`` and on, by the number of their place. A CPU's
transition is one step that others could notice, with the private steps after it up to the next such step. Interrupts
land between transitions where flag and level allow; a private step that keeps them out from then on, a CLI or a raised
level, begins a transition, for they could land just before it, after the step before; so does the change to user mode,
if it is made with interrupts on. On a CPU that is to get an NMI private steps are transitions too until it has landed,
so that it can land inside entry code: always, not only once the NMI is pending, for what a transition is must not
depend on what others did without the footprint saying so. A spin or a held mutex is simply not enabled. Under TSO plain
stores to shared words go through the CPU's store buffer; the steps that drain it wait until the buffer's actor has
emptied it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from sim.errors import KernelEvent, ModelError
from sim.explore.blame import broken, note_step
from sim.explore.effects import DO, WALKS, Effects
from sim.explore.judges.judge import Judge
from sim.explore.machine import RESUME, Machine
from sim.explore.model import (
    AWAITS,
    ENDLESS,
    NEEDS,
    READ,
    SPINS,
    WRITE,
    AtWork,
    Broken,
    Footprint,
    Patience,
    Violation,
    Wait,
)
from sim.explore.model import Access as Touch
from sim.explore.named import VECTOR_NAMES
from sim.explore.registers import VECTORS
from sim.explore.touched import Touched
from sim.explore.trace import Trace
from sim.explore.walkers import Walkers
from sim.hardware.cpu import VECTOR_DEVICE, VECTOR_NMI, VECTOR_TLB
from sim.hardware.memory import Words
from sim.hardware.sites import Site, unknown_site
from sim.hardware.steps import Op, Step, conditions
from sim.kernel.lwp import Lwp
from sim.kernel.traps import interrupt

ALWAYS_VISIBLE = frozenset(
    {Op.ACQUIRE, Op.RELEASE, Op.WAIT, Op.CR3, Op.PGE, Op.INVLPG, Op.INVPCID, Op.IPI, Op.HALT, Op.MWAIT, Op.USER}
)
DRAINING = frozenset({Op.ACQUIRE, Op.RMW, Op.CR3, Op.PGE, Op.INVLPG, Op.INVPCID, Op.IPI})
ACCESSES = frozenset({Op.ACCESS, Op.TOUCH})
FINE = frozenset({Op.REG, Op.CLI, Op.STI, Op.LOAD, Op.STORE, Op.ACCESS, Op.TOUCH})
DEATH = "death"  # the location by which a transition that ends all is ordered with those that it keeps from coming
MISTAKES = (TypeError, AttributeError, LookupError, ValueError, AssertionError, ModelError)
CLOSING = frozenset({Op.CLI, Op.SPL, Op.REG})


def _closes(step: Step, level: int) -> bool:
    """Whether an interrupt that lands in kernel mode before a private step finds another state than after it."""
    op = step[0]
    return op is Op.CLI or op is Op.SPL and step[2] > level or op is Op.REG and step[2] == "user"


def interrupts(cpus: int) -> range:
    """The actors that are interrupts, of all CPUs."""
    return range(2 * cpus, 6 * cpus)


class Driver:
    """Makes the transitions of a machine.  *never* is the word that a parked LWP waits for."""

    def __init__(self, machine: Machine, effects: Effects, judge: Judge, trace: Trace, never: Words) -> None:
        self.machine = machine
        self.effects = effects
        self.judge = judge
        self.trace = trace
        self.never = never
        self.walkers = Walkers(machine, effects, trace)

    def enabled(self) -> list[int]:
        """Actors that can act now."""
        return [] if self.machine.dead else self._able()

    def _able(self) -> list[int]:
        machine = self.machine
        n = machine.n
        able = [cpu for cpu in range(n) if self.can_step(cpu)]
        if machine.tso:
            able += [n + cpu for cpu in range(n) if machine.buffers[cpu]]
        for cpu in range(n):
            if machine.apics[cpu].pending and not machine.buffers[cpu]:
                able += [2 * n + 4 * cpu + i for i in range(4) if self._landable(cpu, i) is not None]
        return able + [6 * n + number for number in self.walkers.due()] if machine.walks.waiting else able

    def can_step(self, cpu: int) -> bool:
        """Whether the CPU's pending step can be made."""
        machine = self.machine
        step = machine.steps[cpu]
        op = step[0]
        if op is Op.WAIT:
            return any(holds(machine.read(cpu, words, index)) for words, index, holds in conditions(step))
        if op is Op.HALT:
            return not machine.halted[cpu]
        if op is Op.MWAIT:
            return bool(machine.read(cpu, step[2], step[3]))
        if op in DRAINING and machine.buffers[cpu]:
            return False
        return not (op is Op.ACQUIRE and id(step[2]) in machine.busy)

    def _landable(self, cpu: int, slot: int) -> int | None:
        """The vector of that slot that is pending and can land, if any."""
        apic = self.machine.apics[cpu]
        for vector in VECTORS[slot]:
            if vector in apic.pending and apic.lets_through(vector):
                return vector
        return None

    def step(self, actor: int) -> Footprint:
        """Make the next transition of an actor."""
        n = self.machine.n
        Touched.now = self.machine.touched
        self.trace.begin()
        self.effects.met = []
        try:
            if actor < n:
                footprint = self._cpu_step(actor)
            elif actor < 2 * n:
                footprint = self.effects.drain(actor - n)
            elif actor >= 6 * n:
                footprint = self.walkers.walk_early(actor - 6 * n)
            else:
                footprint = self.deliver(actor)
            self.judge.uses.no_freed_walk()
        except (KernelEvent, RecursionError) as event:
            self.judge.tally.breaks(broken(event))
            footprint = self._died()
        except MISTAKES as error:
            self.blame(error, actor)
            raise
        finally:
            self.trace.end(actor)
        return footprint

    def blame(self, error: Exception, actor: int) -> None:
        """Have a mistake say at whose step it came to light."""
        n = self.machine.n
        cpu = actor if actor < n else (actor - 2 * n) // 4 if 2 * n <= actor < 6 * n else -1
        if cpu >= 0 and self.machine.current[cpu].frames:
            note_step(error, self.machine.current[cpu].frames[-1])

    def _died(self) -> Footprint:
        """The kernel did what it must not do, and that is muted: all end here, after this transition."""
        self.machine.dead = True
        self.machine.touched.take()
        return ((DEATH, WRITE),)

    def stuck(self) -> Iterator[tuple[int, Footprint]]:
        """CPUs that spin or wait for a mutex, interrupts that are held off; all, once the machine is dead."""
        machine = self.machine
        if machine.dead:
            yield from ((actor, ((DEATH, READ),)) for actor in self._able())
            return
        n = machine.n
        for cpu in range(n):
            step = machine.steps[cpu]
            own: Touch = (("c", cpu), WRITE)
            if step[0] is Op.WAIT and step[2] is not self.never and not self.can_step(cpu):
                yield cpu, (own, *(((words.name, index), SPINS) for words, index, _ in conditions(step)))
            elif step[0] is Op.MWAIT and not self.can_step(cpu):
                yield cpu, (own, ((step[2].name, step[3]), SPINS))
            elif step[0] is Op.ACQUIRE and id(step[2]) in machine.busy:
                yield cpu, (own, (step[2].name, NEEDS))
            for slot, vectors in enumerate(VECTORS):
                pending = any(vector in machine.apics[cpu].pending for vector in vectors)
                if pending and self._landable(cpu, slot) is None:
                    yield 2 * n + 4 * cpu + slot, self._landing(cpu, slot)

    def waits(self) -> dict[int, Wait]:
        """What CPUs, store buffers and interrupts wait for that cannot act now."""
        n = self.machine.n
        able = set(self._able())
        actors = [actor for actor in range(6 * n + self.machine.walks.most) if actor not in able]
        return {
            actor: self._cpu_waits(actor) if actor < n else
            Wait((actor - n,)) if actor < 2 * n else
            self._interrupt_waits(*divmod(actor - 2 * n, 4)) if actor < 6 * n else self.walkers.waits(actor - 6 * n)
            for actor in actors
        }  # fmt: skip

    def _cpu_waits(self, cpu: int) -> Wait:
        """A CPU waits for words, for a mutex's holder or for its own store buffer; or an interrupt lands on it."""
        machine = self.machine
        n, step = machine.n, machine.steps[cpu]
        op = step[0]
        if op in DRAINING and machine.buffers[cpu]:
            return Wait((n + cpu,))
        interrupts = tuple(range(2 * n + 4 * cpu, 2 * n + 4 * cpu + 4))
        if op is Op.ACQUIRE:
            holder = machine.busy[id(step[2])]
            return Wait((holder, n + holder, *interrupts))
        if op is Op.WAIT:
            return Wait(interrupts, tuple((words.name, index) for words, index, _ in conditions(step)))
        return Wait(interrupts, ((step[2].name, step[3]),) if op is Op.MWAIT else ())

    def _interrupt_waits(self, cpu: int, slot: int) -> Wait:
        """An interrupt waits for its CPU's store buffer, for its CPU to let it through, or to be sent."""
        machine = self.machine
        if machine.buffers[cpu]:
            return Wait((machine.n + cpu,))
        pending = machine.apics[cpu].pending
        held_off = [vector for vector in VECTORS[slot] if vector in pending] if pending else ()
        return Wait((cpu,) if held_off else (), (("i", cpu, slot),) if len(held_off) < len(VECTORS[slot]) else ())

    @staticmethod
    def _landing(cpu: int, slot: int) -> Footprint:
        """What an interrupt's arrival depends on: its CPU's other steps, that it was sent, an empty store buffer."""
        return ((("c", cpu), AWAITS), (("i", cpu, slot), NEEDS), (("e", cpu), NEEDS))

    # --- a CPU ------------------------------------------------------------------------------------------------------

    def _cpu_step(self, cpu: int) -> Footprint:
        """Make the pending step, then the private ones that follow."""
        machine = self.machine
        step = machine.steps[cpu]
        op = step[0]
        touched: list[Touch] = [(("c", cpu), WRITE)]
        if op is Op.HALT:
            machine.halted[cpu] = True
            self.trace.note(f"{step[1]}: waits for an interrupt")
            return tuple(touched)
        if op in ACCESSES and (need := self.walkers.need(cpu)):
            self.effects.met.append(WALKS)
            return self.walkers.walk(cpu, need)
        if op in DRAINING and machine.tso:
            touched.append((("e", cpu), NEEDS))
        value = DO[op](self.effects, cpu, step, touched)
        self.advance(cpu, value)
        return (*touched, *machine.touched.take())

    def advance(self, cpu: int, value: Any, *, entering: bool = False) -> None:
        """Send *value* to what runs on the CPU, and go on to the next visible step; *entering*: an interrupt landed."""
        machine, effects, guards = self.machine, self.effects, self.judge.guards
        lwp, ci = machine.current[cpu], machine.kernel.cpus[cpu]
        guards.ci, registers = ci, ci.cpu
        fine = machine.nmis_to_come[cpu] > 0 and self.judge.tally.armed
        limit, kernel_vas = machine.user_limit, self.judge.uses.kernel_vas
        machine.moves(lwp)
        for sends in range(Patience.steps):  # noqa: B007 - the number is wanted behind the loop
            try:
                AtWork.judge = guards
                step = lwp.frames[-1].send(value)
            except StopIteration:
                AtWork.judge = None
                step = self.frame_ended(cpu, lwp)
                if step is RESUME:
                    value = None
                    continue
            finally:
                AtWork.judge = None
            if step.__class__ is not tuple or len(step) < 2 or step[1].__class__ is not Site:
                raise unknown_site(step)
            op = step[0]
            if op is Op.SWITCH:
                self.judge.lifetimes.switches(cpu, step[2])
                lwp = machine.current[cpu] = step[2]
                machine.moves(lwp)
                self.trace.note(f"cpu_switchto: now {lwp.l_name}")
                value = None
                continue
            if op in ALWAYS_VISIBLE or fine and op in FINE:
                break
            if op <= Op.RMW:
                if step[2].shared:
                    break
            elif op is Op.TOUCH and step[2] and (step[2][0][0] < limit or step[2][0][0] in kernel_vas):
                break
            # The gate of an entry is one event with what brought the CPU there: a user instruction or an interrupt.
            in_reach = registers.intr and not registers.user and not entering
            if op in CLOSING and in_reach and _closes(step, registers.ipl):
                break
            entering = False
            value = DO[op](effects, cpu, step, None)
        else:
            raise Violation(Broken("progress", f"cpu{cpu} in {step[1]} makes {Patience.steps:,} steps in a row that "
                                               f"nobody else could notice, and {ENDLESS}"))  # fmt: skip
        effects.sends = sends
        self.stands(cpu, step)

    def stands(self, cpu: int, step: Step) -> None:
        """A CPU is about to make a visible step."""
        machine = self.machine
        if step[0] is Op.HALT:
            # STI lets interrupts in after the instruction that follows it: "sti; hlt" is one step.  Where they were on
            # before, one can land in front of the HLT, which then waits for the next.
            registers = machine.kernel.cpus[cpu].cpu
            machine.halted[cpu] = not registers.intr
            registers.intr = True
        machine.steps[cpu] = step

    def frame_ended(self, cpu: int, lwp: Lwp) -> Step:
        """An interrupt frame ended: what was interrupted goes on."""
        lwp.frames.pop()
        if not lwp.frames:
            raise ModelError(f"{lwp.l_name} ran off its end")
        (step, vector), before = lwp.saved.pop()
        self.machine.apics[cpu].returned(vector)
        if vector == VECTOR_TLB:
            self.machine.in_tlb_handler[cpu] -= 1
        self.trace.note(f"return from {VECTOR_NAMES[vector]}")
        self.judge.user_mode.returned(cpu, vector, before)
        return cast(Step, step)

    def deliver(self, actor: int) -> Footprint:
        """An interrupt lands on its CPU, which goes on with the handler."""
        cpu, slot = self.land(actor)
        self.advance(cpu, None, entering=True)
        # Whether a table page is freed before or after the handler begins decides what is judged meanwhile.
        self.machine.touched.looked("freed tables")
        return (*self._landing(cpu, slot), *self.machine.touched.take())

    def land(self, actor: int) -> tuple[int, int]:
        """An interrupt lands; returns its CPU, and which of that CPU's it is."""
        machine = self.machine
        cpu, slot = divmod(actor - 2 * machine.n, 4)
        vector = self._landable(cpu, slot)
        assert vector is not None
        machine.apics[cpu].accept(vector)
        lwp = machine.current[cpu]
        registers = machine.kernel.cpus[cpu].cpu
        idle = machine.halted[cpu] or machine.steps[cpu][0] is Op.MWAIT
        saved = RESUME if idle else machine.steps[cpu]
        machine.halted[cpu] = False
        before = (registers.user, registers.cr3_pa, registers.pcid, registers.intr, registers.ipl)
        lwp.saved.append(((saved, vector), before))
        if vector == VECTOR_NMI:
            machine.nmis_to_come[cpu] -= 1
        elif vector == VECTOR_TLB:
            machine.in_tlb_handler[cpu] += 1
        mode = "user" if registers.user else "kernel"
        self.trace.note(f"{VECTOR_NAMES[vector]} lands on {lwp.l_name} in {mode} mode")
        payload: tuple[object, ...] = ()
        if vector == VECTOR_DEVICE:
            payload, machine.payloads[cpu] = machine.payloads[cpu], ()
        lwp.frames.append(interrupt(machine.kernel, lwp, vector, payload))
        return cpu, slot
