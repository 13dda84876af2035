"""Steps that pass at once: their effect on the CPU and memory, what they cost, and which cause is charged."""

from __future__ import annotations

from collections.abc import Callable
from operator import mul

from sim.errors import ModelError
from sim.hardware.caches import LINE_SHIFT, PAGE_SHIFT, PAGES, Caches
from sim.hardware.lock import Mutex
from sim.hardware.mmu import STLB_HIT, translate
from sim.hardware.paging import PhysMem
from sim.hardware.steps import Invpcid, Op, Step
from sim.timed.core import Core
from sim.timed.descriptors import Reads
from sim.timed.interconnect import Interconnect
from sim.timed.lock_statistics import LockStatistics
from sim.timed.meter import Meter
from sim.timed.sleep_timers import SleepTimers
from sim.timed.tallies import Tallies

Handler = Callable[[Step], int]
LASTS = -1  # instead of cycles: nothing is done yet, and the step is one that lasts


def lasts(step: Step) -> int:
    """The handler of steps that always last."""
    return LASTS


class QuickSteps:
    """The quick steps of one CPU.

    Attributes:
        handlers: what each step does, by :class:`~sim.hardware.steps.Op`; it returns the cycles that pass, or LASTS.
        descriptors: what the CPU reads by itself, by the name of the cost (:mod:`sim.timed.descriptors`).
    """

    def __init__(
        self, core: Core, meter: Meter, mem: PhysMem, interconnect: Interconnect, locks: LockStatistics,
        timers: SleepTimers, tallies: Tallies, caches: Caches, descriptors: dict[str, Reads],
    ) -> None:  # fmt: skip
        self.core = core
        self.cpu = core.cpu
        self.ci = core.ci
        self.index = core.index
        self.mem = mem
        self.interconnect = interconnect
        self.watchers = interconnect.watchers
        self.locks = locks
        self.timers = timers
        self.tallies = tallies
        self.meter = meter
        self.env = meter.clock
        self.costs = meter.costs
        self.count = meter.hooks.count
        self.pay, self.line = meter.pay, meter.line
        self.caches = caches
        self.descriptors = descriptors
        self.far = (0, *(meter.costs[f"cache_{level}"] for level in ("l2", "l3", "memory")))
        handlers = self._handlers()
        self.handlers: list[Handler] = [handlers.get(op, lasts) for op in Op]

    def _handlers(self) -> dict[Op, Handler]:
        return {
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

    def _load(self, step: Step) -> int:
        words, index = step[2], step[3]
        self.core.value = words.v[index]
        return self.pay(step, self.costs["load"], self.line(words, index, write=False))

    def _store(self, step: Step) -> int:
        words, index = step[2], step[3]
        if id(words) in self.watchers:
            self.interconnect.before_write(words)
        words.v[index] = step[4]
        if id(words) in self.watchers:
            self.interconnect.written(words, index, self.index)
        return self.pay(step, self.costs["store"], self.line(words, index, write=True))

    def _rmw(self, step: Step) -> int:
        words, index = step[2], step[3]
        if id(words) in self.watchers:
            self.interconnect.before_write(words)
        old = words.v[index]
        new = step[4](old, step[5])
        words.v[index] = new
        self.core.value = old
        if id(words) in self.watchers:
            self.interconnect.written(words, index, self.index)
        return self.pay(step, self.costs["locked_rmw"], self.line(words, index, write=True))

    def _release(self, step: Step) -> int:
        mutex: Mutex = step[2]
        if mutex.owner is not self.cpu:
            raise ModelError(f"cpu{self.index} releases {mutex.name}, which it does not hold")
        self.locks.released(self.index, mutex, self.env.cycle)
        mutex.owner = None
        if mutex.waiters:
            self.interconnect.grant(mutex, self.index)
        return self.pay(step, self.costs["store"])

    def _cr3(self, step: Step) -> int:
        _, _, pa, pcid, noflush = step
        self.cpu.write_cr3(pa, pcid, noflush)
        kind = "cr3_write_noflush" if noflush else "cr3_write"
        self.count(self.ci, "CR3 writes, no flush" if noflush else "CR3 writes, flush")
        return self.pay(step, self.costs[kind])

    def _pge(self, step: Step) -> int:
        self.cpu.write_pge(step[2])
        self.count(self.ci, "CR4.PGE writes")
        return self.pay(step, self.costs["cr4_write"])

    def _invlpg(self, step: Step) -> int:
        self.cpu.invlpg(step[2])
        self.count(self.ci, "INVLPG")
        return self.pay(step, self.costs["invlpg"])

    def _invpcid(self, step: Step) -> int:
        kind: Invpcid = step[2]
        self.cpu.invpcid(kind, step[3], step[4])
        self.count(self.ci, f"INVPCID {kind.name.lower()}")
        return self.pay(step, self.costs[f"invpcid_{kind.name.lower()}"])

    def _cli(self, step: Step) -> int:
        self.cpu.intr = False
        return self.pay(step, self.costs["cli"])

    def _sti(self, step: Step) -> int:
        self.cpu.intr = True
        return self.pay(step, self.costs["sti"])

    def _spl(self, step: Step) -> int:
        self.core.value = self.cpu.ipl
        self.cpu.ipl = step[2]
        return self.pay(step, self.costs["store"])

    def _ipi(self, step: Step) -> int:
        self.interconnect.send_ipi(self.index, step[2], step[3])
        return self.pay(step, self.costs["ipi_send"])

    def refill(self, hits: int, walks: int, loads: int, user: bool) -> int:
        """Pay for translations that the second level knew, and for walks with their loads; return the cycles."""
        name = "user" if user else "kernel"
        costs, count = self.costs, self.count
        if hits:
            count(self.ci, f"STLB hits, {name}", hits)
        if walks:
            count(self.ci, f"page walks, {name}", walks)
        cycles = costs["stlb_hit_data"] * hits + costs["walk_base"] * walks + costs["walk_load"] * loads
        far = self.caches.take()
        if far is not None:
            count(self.ci, f"page-walk loads beyond the first-level cache, {name}", sum(far))
            cycles += sum(map(mul, far, self.far[1:]))
        if cycles:
            self.meter.charge(f"{name} TLB refill", cycles, self.env.cycle)
        return cycles

    def _access(self, step: Step) -> int:
        _, _, va, kind, user = step
        cpu = self.cpu
        self.core.value = translate(cpu, self.mem, va, kind, user)
        cycles = 0
        if cpu.where:
            hit = cpu.where == STLB_HIT
            cycles = self.refill(hit, not hit, 0 if hit else cpu.walk_loads, user)
        if self.core.value is None and not user:
            missed = self.far[self.caches.find(cpu.pa >> LINE_SHIFT)]
            if missed:
                cycles += self.pay(step, missed, after=cycles)
        return cycles

    def _touch(self, step: Step) -> int:
        _, _, pairs, at, user = step
        cpu, mem = self.cpu, self.mem
        find, lines = self.caches.find, self.core.lwp.lines
        hits = walks = loads = data = 0
        self.core.value = -1
        for i in range(at, len(pairs)):
            va, kind = pairs[i]
            fault = translate(cpu, mem, va, kind, user)
            if cpu.where == STLB_HIT:
                hits += 1
            elif cpu.where:
                walks += 1
                loads += cpu.walk_loads
            if fault is not None:
                if not user:
                    raise ModelError(f"{step[1]}: kernel page {va:#x} is not mapped")
                self.core.value = i
                break
            if user:  # a program's own misses are in its own time
                find(PAGES | cpu.pa >> PAGE_SHIFT, lines)
            else:
                data += self.far[find(cpu.pa >> LINE_SHIFT)]
        cycles = self.refill(hits, walks, loads, user) if hits or walks else 0
        return cycles + self.pay(step, data, after=cycles) if data else cycles

    def _switch(self, step: Step) -> int:
        self.core.lwp = step[2]
        self.tallies.switched(self.index, step[2])
        self.core.value = None
        return 0

    def _reg(self, step: Step) -> int:
        setattr(self.cpu, step[2], step[3])
        return 0

    def _cost(self, step: Step) -> int:
        _, site, name = step
        read = 0
        if name in self.descriptors:
            read = self._touch((Op.TOUCH, site, self.descriptors[name], 0, False))
            self.core.value = None
        cycles = self.pay(step, self.costs[name], after=read)
        if site.cause == "kernel work":  # the model's own price of a call, fork or exec, which was recorded with it
            self.meter.owe(cycles)
        return read + cycles

    def _timer(self, step: Step) -> int:
        self.timers.arm(self.core.lwp, step[2])
        return self.pay(step, self.costs["store"])
