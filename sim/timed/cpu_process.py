"""One CPU as a SimPy process: it takes the steps of whatever runs on it and lets their time pass.

An effect happens when its step begins; then the step's cycles pass, charged to one cause.  Interrupts are recognised
between steps, and inside the steps that last: computing, spinning, waiting for a lock, halt.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy import Interrupt
from simpy.events import Event

from sim.errors import ModelError
from sim.hardware.cpu import VECTOR_NMI, VECTOR_TLB
from sim.hardware.mmu import translate
from sim.hardware.steps import Invpcid, Op, Step
from sim.kernel.traps import IPL_OF, interrupt
from sim.timed.causes import LOCK_WAIT, cause_of
from sim.timed.clock import FIRST_CPU_PRIORITY

if TYPE_CHECKING:
    from sim.hardware.lock import Mutex
    from sim.hardware.memory import Words
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.lwp import Lwp
    from sim.timed.machine import TimedMachine

DELIVERY_ORDER = (VECTOR_NMI, VECTOR_TLB)
NO_DEBT = frozenset({"user work", "kernel work", "interrupt", "shootdown receiver", "idle"})


class CpuProcess:
    """Runs one CPU.

    Attributes:
        lwp: whose steps run now.
        pending: interrupts not delivered yet, payloads by vector in order of arrival.
        waiting: what the ledger charges if the run ends now.
    """

    def __init__(self, machine: TimedMachine, ci: CpuInfo) -> None:
        self.machine = machine
        self.env = machine.env
        self.ci = ci
        self.cpu = ci.cpu
        self.index = ci.ci_index
        self.account = machine.accounts[ci.ci_index]
        self.priority = FIRST_CPU_PRIORITY + ci.ci_index
        self.lwp: Lwp = ci.ci_curlwp
        self.value: Any = None
        self.pending: dict[int, list[tuple[object, ...]]] = {}
        self.waiting = "idle"
        self.halted = False
        self.interruptible = False
        self.granted: Event | None = None
        self.causes: dict[tuple[Op, str], str] = {}
        self.costs = machine.cost_by_name
        self.transfer = machine.line_cost[self.index]
        self.process: Any = None
        table: dict[Op, Any] = {
            Op.LOAD: self._load,
            Op.STORE: self._store,
            Op.RMW: self._rmw,
            Op.RELEASE: self._release,
            Op.CR3: self._cr3,
            Op.PGE: self._pge,
            Op.INVLPG: self._invlpg,
            Op.INVPCID: self._invpcid,
            Op.CLI: self._cli,
            Op.STI: self._sti,
            Op.SPL: self._spl,
            Op.IPI: self._ipi,
            Op.ACCESS: self._access,
            Op.TOUCH: self._touch,
            Op.SWITCH: self._switch,
            Op.REG: self._reg,
            Op.COST: self._cost,
            Op.TIMER: self._timer,
        }
        lasting = {Op.WORK: self._work, Op.USER: self._work, Op.ACQUIRE: self._acquire, Op.WAIT: self._wait,
                   Op.HALT: self._halt}  # fmt: skip
        self.quick: list[Any] = [table.get(op) for op in Op]
        self.lasting: list[Any] = [lasting.get(op) for op in Op]

    # --- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> Generator[Event, Any, None]:
        """The SimPy process."""
        quick, lasting, env = self.quick, self.lasting, self.env
        step: Step | None = None
        while True:
            if self.pending:
                step = self._deliver(step)
            if step is None:
                step = self._next_step()
                if step is None:
                    continue
            handler = quick[step[0]]
            if handler is None:
                step = yield from lasting[step[0]](step)
                continue
            cycles = handler(step)
            step = None
            if cycles and not env.jump(cycles):
                yield env.after(cycles, self.priority)

    def _next_step(self) -> Step | None:
        """Resume the running flow of control; when an interrupt frame ends, take up what it interrupted."""
        frames = self.lwp.frames
        try:
            step: Step = frames[-1].send(self.value)
        except StopIteration:
            frames.pop()
            if not frames:
                raise ModelError(f"{self.lwp.l_name}: its flow of control ended on cpu{self.index}") from None
            self.value, interrupted = self.lwp.saved.pop()
            continued: Step | None = interrupted
            return continued
        self.value = None
        return step

    def _deliverable(self) -> int | None:
        """The vector to deliver now, if flag and level let one through."""
        for vector in self.pending:
            if vector == VECTOR_NMI:
                return vector
        if not self.cpu.intr:
            return None
        if VECTOR_TLB in self.pending:
            return VECTOR_TLB
        for vector in sorted(self.pending, key=lambda v: -IPL_OF[v]):
            if IPL_OF[vector] > self.cpu.ipl:
                return vector
        return None

    def _deliver(self, step: Step | None) -> Step | None:
        """Push the handler of a deliverable interrupt; *step* (if any) is continued after it."""
        vector = self._deliverable()
        if vector is None:
            return step
        payload = tuple(item for items in self.pending.pop(vector) for item in items)
        self.lwp.saved.append((self.value, step))
        self.value = None
        self.lwp.frames.append(interrupt(self.machine.kernel, self.lwp, vector, payload))
        return None

    def post(self, vector: int, payload: tuple[object, ...] = ()) -> None:
        """An interrupt arrives; if the CPU is in a lasting step it could interrupt, that step is cut short."""
        self.pending.setdefault(vector, []).append(payload)
        if self.interruptible and (self.halted or self._deliverable() is not None):
            self.interruptible = False
            self.process.interrupt()

    # --- charging ---------------------------------------------------------------------------------------------------

    def charge(self, cause: str, cycles: int, start: int) -> None:
        """Charge the ledger, and the LWP's debt where a recorded duration contains such time already."""
        self.account.charge(cause, start, cycles)
        if cause not in NO_DEBT and not self.lwp.l_system:
            self.machine.recorder.owe(self.lwp, cycles)

    def pay(self, step: Step, cycles: int, extra: int = 0, extra_cause: str = "cache-line transfer") -> int:
        """Charge a step's own cycles by its label, and *extra* to another cause; return the sum."""
        key = (step[0], step[1])
        cause = self.causes.get(key)
        if cause is None:
            cause = self.causes[key] = cause_of(*key)
        now = self.env.cycle
        if cycles:
            self.charge(cause, cycles, now)
        if extra:
            self.charge(extra_cause, extra, now + cycles)
        return cycles + extra

    def line(self, words: Words, index: int, *, write: bool) -> int:
        """Cycles until this CPU has the cache line of a word."""
        if not words.shared:
            return 0
        source = words.write_miss(index, self.index) if write else words.read_miss(index, self.index)
        if source < 0:
            return 0
        self.machine.recorder.count(self.ci, "cache-line transfers")
        return self.transfer[source]

    # --- quick steps ------------------------------------------------------------------------------------------------

    def _load(self, step: Step) -> int:
        words, index = step[2], step[3]
        self.value = words.v[index]
        return self.pay(step, self.costs["load"], self.line(words, index, write=False))

    def _store(self, step: Step) -> int:
        words, index = step[2], step[3]
        words.v[index] = step[4]
        if id(words) in self.machine.watchers:
            self.machine.wake_watchers(words, index, self.index)
        return self.pay(step, self.costs["store"], self.line(words, index, write=True))

    def _rmw(self, step: Step) -> int:
        words, index = step[2], step[3]
        old = words.v[index]
        new = step[4](old, step[5])
        words.v[index] = new
        self.value = old
        if id(words) in self.machine.watchers:
            self.machine.wake_watchers(words, index, self.index)
        return self.pay(step, self.costs["locked_rmw"], self.line(words, index, write=True))

    def _release(self, step: Step) -> int:
        mutex: Mutex = step[2]
        if mutex.owner is not self.cpu:
            raise ModelError(f"cpu{self.index} releases {mutex.name}, which it does not hold")
        now = self.env.cycle
        self.machine.recorder.lock_released(self.index, mutex, self.machine.lock_waits.pop(mutex.name, 0),
                                            now - mutex.since)  # fmt: skip
        mutex.owner = None
        if mutex.waiters:
            self.machine.grant(mutex, self.index)
        return self.pay(step, self.costs["store"])

    def _cr3(self, step: Step) -> int:
        _, _, pa, pcid, noflush = step
        self.cpu.write_cr3(pa, pcid, noflush)
        kind = "cr3_write_noflush" if noflush else "cr3_write"
        self.machine.recorder.count(self.ci, "CR3 writes, no flush" if noflush else "CR3 writes, flush")
        return self.pay(step, self.costs[kind])

    def _pge(self, step: Step) -> int:
        self.cpu.write_pge(step[2])
        self.machine.recorder.count(self.ci, "CR4.PGE writes")
        return self.pay(step, self.costs["cr4_write"])

    def _invlpg(self, step: Step) -> int:
        self.cpu.invlpg(step[2])
        self.machine.recorder.count(self.ci, "INVLPG")
        return self.pay(step, self.costs["invlpg"])

    def _invpcid(self, step: Step) -> int:
        kind: Invpcid = step[2]
        self.cpu.invpcid(kind, step[3], step[4])
        self.machine.recorder.count(self.ci, f"INVPCID {kind.name.lower()}")
        return self.pay(step, self.costs[f"invpcid_{kind.name.lower()}"])

    def _cli(self, step: Step) -> int:
        self.cpu.intr = False
        return self.pay(step, self.costs["cli"])

    def _sti(self, step: Step) -> int:
        self.cpu.intr = True
        return self.pay(step, self.costs["sti"])

    def _spl(self, step: Step) -> int:
        self.value = self.cpu.ipl
        self.cpu.ipl = step[2]
        return self.pay(step, self.costs["store"])

    def _ipi(self, step: Step) -> int:
        self.machine.send_ipi(self.index, step[2], step[3])
        return self.pay(step, self.costs["ipi_send"])

    def _refill(self, user: bool) -> tuple[int, str]:
        """Cycles of the translation just made, and their cause."""
        cpu = self.cpu
        name = "user" if user else "kernel"
        if cpu.where == 1:
            self.machine.recorder.count(self.ci, f"STLB hits, {name}")
            return self.costs["stlb_hit_data"], f"{name} TLB refill"
        self.machine.recorder.count(self.ci, f"page walks, {name}")
        return self.costs["walk_base"] + self.costs["walk_load"] * cpu.walk_loads, f"{name} TLB refill"

    def _access(self, step: Step) -> int:
        _, _, va, kind, user = step
        self.value = translate(self.cpu, self.machine.mem, va, kind, user)
        if not self.cpu.where:
            return 0
        return self.pay(step, 0, *self._refill(user))

    def _touch(self, step: Step) -> int:
        _, _, pairs, at, user = step
        cpu, mem = self.cpu, self.machine.mem
        total = 0
        self.value = -1
        cause = "user TLB refill" if user else "kernel TLB refill"
        for i in range(at, len(pairs)):
            va, kind = pairs[i]
            fault = translate(cpu, mem, va, kind, user)
            if cpu.where:
                total += self._refill(user)[0]
            if fault is not None:
                if not user:
                    raise ModelError(f"{step[1]}: kernel page {va:#x} is not mapped")
                self.value = i
                break
        return self.pay(step, 0, total, cause) if total else 0

    def _switch(self, step: Step) -> int:
        new: Lwp = step[2]
        self.lwp = new
        self.value = None
        return 0

    def _reg(self, step: Step) -> int:
        setattr(self.cpu, step[2], step[3])
        return 0

    def _cost(self, step: Step) -> int:
        return self.pay(step, self.costs[step[2]])

    def _timer(self, step: Step) -> int:
        self.machine.arm_timer(self.lwp, step[2])
        return self.pay(step, self.costs["store"])

    # --- steps that last --------------------------------------------------------------------------------------------

    def _work(self, step: Step) -> Generator[Event, Any, Step | None]:
        """Computing: passes at once if nothing can happen, else until done or interrupted."""
        cycles: int = step[2]
        start = self.env.cycle
        key = (step[0], step[1])
        cause = step[3] if step[0] is Op.WORK and step[3] else cause_of(*key)
        if self.env.jump(cycles):
            self.charge(cause, cycles, start)
            return None
        done = yield from self._pass(self.env.after(cycles, self.priority), cause)
        spent = self.env.cycle - start
        self.charge(cause, spent, start)
        left = cycles - spent
        if done or left <= 0:
            return None
        return (Op.WORK, step[1], left, step[3]) if step[0] is Op.WORK else (Op.USER, step[1], left)

    def _pass(self, event: Event, cause: str) -> Generator[Event, Any, bool]:
        """Wait for *event*; false if an interrupt came first."""
        self.waiting = cause
        if self.pending and self._deliverable() is not None:
            return False
        self.interruptible = True
        try:
            yield event
        except Interrupt:
            return False
        finally:
            self.interruptible = False
        return True

    def _acquire(self, step: Step) -> Generator[Event, Any, Step | None]:
        """Take a mutex, spinning while another CPU holds it."""
        mutex: Mutex = step[2]
        if mutex.owner is not None:
            if mutex.owner is self.cpu:
                raise ModelError(f"cpu{self.index}: {step[1]}: {mutex.name} taken while held (locking against myself)")
            start = self.env.cycle
            cause = LOCK_WAIT.get(mutex.lock_class, "lock wait")
            self.granted = self.env.event()
            mutex.waiters.append(self)
            got = yield from self._pass(self.granted, cause)
            waited = self.env.cycle - start
            self.charge(cause, waited, start)
            self.machine.recorder.count(self.ci, f"{mutex.lock_class} contended")
            if not got and mutex.owner is not self.cpu:
                mutex.waiters.remove(self)
                return step
            self.machine.lock_waits[mutex.name] = waited
        else:
            mutex.owner = self.cpu
        mutex.since = self.env.cycle
        cycles = self.pay(step, self.costs["locked_rmw"], self.line(mutex.word, 0, write=True))
        if not self.env.jump(cycles):
            yield self.env.after(cycles, self.priority)
        return None

    def _wait(self, step: Step) -> Generator[Event, Any, Step | None]:
        """Spin until a word's value satisfies the predicate."""
        words, index, predicate = step[2], step[3], step[4]
        if not predicate(words.v[index]):
            start = self.env.cycle
            self.granted = self.env.event()
            self.machine.watch(words, index, predicate, self)
            cause = cause_of(step[0], step[1])
            got = yield from self._pass(self.granted, cause)
            self.charge(cause, self.env.cycle - start, start)
            if not got:
                self.machine.unwatch(words, self)
            return step
        self.value = words.v[index]
        cycles = self.pay(step, self.costs["load"], self.line(words, index, write=False))
        if not self.env.jump(cycles):
            yield self.env.after(cycles, self.priority)
        return None

    def _halt(self, step: Step) -> Generator[Event, Any, Step | None]:
        """Interrupts on, and nothing until one comes; then the time it takes to leave the idle state."""
        self.cpu.intr = True
        start = self.env.cycle
        self.halted = True
        if not self.pending:
            yield from self._pass(self.env.event(), "idle")
        self.halted = False
        self.charge("idle", self.env.cycle - start, start)
        cycles = self.machine.idle_exit
        self.charge("idle", cycles, self.env.cycle)
        if not self.env.jump(cycles):
            yield self.env.after(cycles, self.priority)
        return None
