"""Steps that pass at once: their effect on the CPU and memory, what they cost, and which cause is charged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.causes import CAUSES
from sim.errors import ModelError
from sim.hardware.mmu import STLB_HIT, translate
from sim.hardware.quick_mmu import translate_quickly
from sim.hardware.sites import Site, unknown_site
from sim.hardware.steps import Invpcid, Op, Step

if TYPE_CHECKING:
    from sim.hardware.lock import Mutex
    from sim.hardware.memory import Words
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.lwp import Lwp
    from sim.timed.machine import TimedMachine

NO_DEBT = frozenset(cause.name for cause in CAUSES if not cause.debt)


class QuickSteps:
    """One CPU's state and the handlers of its quick steps.

    Attributes:
        lwp: whose steps run now.
        value: what the step hands back to it.
        quick: the handler of each step, by :class:`~sim.hardware.steps.Op`; it returns the cycles that pass.
    """

    def __init__(self, machine: TimedMachine, ci: CpuInfo) -> None:
        self.machine = machine
        self.env = machine.env
        self.ci = ci
        self.cpu = ci.cpu
        self.index = ci.ci_index
        self.account = machine.accounts[ci.ci_index]
        self.lwp: Lwp = ci.ci_curlwp
        self.value: Any = None
        self.translate = translate_quickly if machine.env.fast else translate
        self.recorder = machine.recorder
        self.costs = machine.cost_by_name
        self.transfer = machine.line_cost[self.index]
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
        self.quick: list[Any] = [table.get(op) for op in Op]

    # --- charging ---------------------------------------------------------------------------------------------------

    def charge(self, cause: str, cycles: int, start: int) -> None:
        """Charge the ledger, and the LWP's debt where a recorded duration contains such time already."""
        self.account.charge(cause, start, cycles)
        if self.recorder.replay is None and cause not in NO_DEBT and not self.lwp.l_system:
            self.recorder.owe(self.lwp, cycles)

    def pay(self, step: Step, cycles: int, transfer: int = 0) -> int:
        """Charge a step's own cycles to its site's cause, and those of a line's *transfer*; return the sum."""
        now = self.env.cycle
        if cycles:
            site = step[1]
            if site.__class__ is not Site:
                raise unknown_site(step)
            self.charge(site.cause, cycles, now)
        if transfer:
            self.charge("cache-line transfer", transfer, now + cycles)
        return cycles + transfer

    def line(self, words: Words, index: int, *, write: bool) -> int:
        """Cycles until this CPU has the cache line of a word."""
        if not words.shared:
            return 0
        source = words.write_miss(index, self.index) if write else words.read_miss(index, self.index)
        if source < 0:
            return 0
        self.recorder.count(self.ci, "cache-line transfers")
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
        self.recorder.lock_released(self.index, mutex, self.machine.lock_waits.pop(mutex.name, 0),
                                            now - mutex.since)  # fmt: skip
        mutex.owner = None
        if mutex.waiters:
            self.machine.grant(mutex, self.index)
        return self.pay(step, self.costs["store"])

    def _cr3(self, step: Step) -> int:
        _, _, pa, pcid, noflush = step
        self.cpu.write_cr3(pa, pcid, noflush)
        kind = "cr3_write_noflush" if noflush else "cr3_write"
        self.recorder.count(self.ci, "CR3 writes, no flush" if noflush else "CR3 writes, flush")
        return self.pay(step, self.costs[kind])

    def _pge(self, step: Step) -> int:
        self.cpu.write_pge(step[2])
        self.recorder.count(self.ci, "CR4.PGE writes")
        return self.pay(step, self.costs["cr4_write"])

    def _invlpg(self, step: Step) -> int:
        self.cpu.invlpg(step[2])
        self.recorder.count(self.ci, "INVLPG")
        return self.pay(step, self.costs["invlpg"])

    def _invpcid(self, step: Step) -> int:
        kind: Invpcid = step[2]
        self.cpu.invpcid(kind, step[3], step[4])
        self.recorder.count(self.ci, f"INVPCID {kind.name.lower()}")
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

    def _refill(self, hits: int, walks: int, loads: int, user: bool) -> int:
        """Pay for translations that the second level knew, and for walks with their loads; return the cycles."""
        name = "user" if user else "kernel"
        costs, count = self.costs, self.recorder.count
        if hits:
            count(self.ci, f"STLB hits, {name}", hits)
        if walks:
            count(self.ci, f"page walks, {name}", walks)
        cycles = costs["stlb_hit_data"] * hits + costs["walk_base"] * walks + costs["walk_load"] * loads
        if cycles:
            self.charge(f"{name} TLB refill", cycles, self.env.cycle)
        return cycles

    def _access(self, step: Step) -> int:
        _, _, va, kind, user = step
        cpu = self.cpu
        self.value = self.translate(cpu, self.machine.mem, va, kind, user)
        if not cpu.where:
            return 0
        hit = cpu.where == STLB_HIT
        return self._refill(hit, not hit, 0 if hit else cpu.walk_loads, user)

    def _touch(self, step: Step) -> int:
        _, _, pairs, at, user = step
        cpu, mem, translate = self.cpu, self.machine.mem, self.translate
        hits = walks = loads = 0
        self.value = -1
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
                self.value = i
                break
        return self._refill(hits, walks, loads, user) if hits or walks else 0

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
