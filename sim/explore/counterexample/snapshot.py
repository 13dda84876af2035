"""What is to be seen between two steps of a counterexample, in words."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

from sim.explore.cached import Cached, translate
from sim.explore.machine import Buffered
from sim.explore.model import NEEDS, READ, WRITE, Footprint
from sim.explore.named import VECTOR_NAMES, Named, cpu_set
from sim.explore.run import KernelRun
from sim.explore.touched import Touched
from sim.hardware.paging import W
from sim.hardware.steps import Op
from sim.kernel.cpuinfo import UTLS_SCRATCH

_ACCESSES: dict[int, str] = {Op.LOAD: "load", Op.STORE: "store", Op.RMW: "locked"}
Fact = tuple[str, str]  # what, and what it is
EMPTY = ("0", "{}")  # what nothing, and a set of no CPUs, is called


class Held(NamedTuple):
    """What may be cached, what it is called by now, and whether the tables have something else."""

    key: Hashable
    text: str
    stale: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state between two steps.

    Attributes:
        cpus: facts of each CPU.
        shared: facts of what CPUs share: sets of CPUs, user slots of the page directories.
        cached: what each CPU's TLB and paging-structure caches may hold of user addresses, kernel memory, freed tables.
    """

    cpus: tuple[tuple[Fact, ...], ...]
    shared: tuple[Fact, ...]
    cached: tuple[tuple[Held, ...], ...]

    def keys(self, cpu: int) -> set[Hashable]:
        """What a CPU's caches may hold."""
        return {held.key for held in self.cached[cpu]} if self.cached else set()


class Freed:
    """Hears of the pages that a traced execution frees, and knows what they were called."""

    def __init__(self, run: KernelRun) -> None:
        mem = run.machine.mem
        self._named = run.judge.view.named
        self._former: dict[tuple[int, int], str] = {}
        self._lately: list[str] = []
        self._told = mem.page_freed
        mem.page_freed = self._freed

    def _freed(self, pa: int) -> None:
        name = self._former[pa, self._named.mem.births.get(pa, 0)] = self._named.page(pa)
        self._lately.append(f"{name} is freed")
        self._told(pa)

    def name(self, pa: int, birth: int) -> str:
        """What a page was called before it was freed."""
        return self._former.get((pa, birth), f"page {pa:#x}")

    def lately(self) -> list[str]:
        """What was freed since this was asked last, also if it broke something."""
        found, self._lately = self._lately, []
        return found


def snapshot(run: KernelRun, freed: Freed) -> Snapshot:
    """The state that *run* is in."""
    Touched.now = Touched()  # whatever is looked at for people is in no footprint, until the next transition begins
    n, named = run.n, run.judge.view.named
    return Snapshot(
        tuple(_cpu(run, cpu, named) for cpu in range(n)),
        tuple(_shared(run, named)),
        tuple(tuple(_cached(run, cpu, named, freed)) for cpu in range(n)),
    )


def unknown(cpus: int) -> Snapshot:
    """The state of a machine that did not come to be."""
    return Snapshot(((),) * cpus, (), ((),) * cpus)


def _cpu(run: KernelRun, cpu: int, named: Named) -> tuple[Fact, ...]:
    machine = run.machine
    registers = machine.kernel.cpus[cpu].cpu
    mode = "user" if registers.user else "kernel"
    facts = [("runs", f"{machine.current[cpu].l_name} in {mode} mode"), ("CR3", machine.mem.name(registers.cr3_pa))]
    if run.judge.locks.held[cpu]:
        facts.append(("holds", ", ".join(mutex.name for mutex in run.judge.locks.held[cpu])))
    if machine.buffers[cpu]:
        facts.append(("store buffer", ", ".join(_buffered(entry, named) for entry in machine.buffers[cpu])))
    ci = machine.kernel.cpus[cpu]
    parked = ci.ci_svs_utls.v[UTLS_SCRATCH] if machine.kernel.design.per_cpu and registers.user else 0
    if parked not in (0, machine.current[cpu].number):
        facts.append(("UTLS scratch", f"a register of {named.lwp(parked)}"))
    pending = machine.apics[cpu].pending
    if pending:
        names = ", ".join(VECTOR_NAMES[vector] for vector in pending)
        facts.append(("pending", names + ("" if registers.intr else " (interrupts off)")))
    return tuple(facts)


def _buffered(entry: Buffered, named: Named) -> str:
    words, index, value, _, mutex = entry
    if words is None:
        assert mutex is not None
        return f"{mutex.name} free"
    return f"{words.word_name(index)} = {named.word(words, value)}"


def _shared(run: KernelRun, named: Named) -> list[Fact]:
    k = run.machine.kernel
    slots = range(k.geometry.user_slots)
    found: list[Fact] = []
    for pmap in run.judge.uses.followed:
        found += [(pmap.pm_cpus.name, cpu_set(pmap.pm_cpus.v[0]))]
        found += [(pmap.pm_kernel_cpus.name, cpu_set(pmap.pm_kernel_cpus.v[0]))]
        found += [(pmap.pm_pdir.word_name(at), named.entry(pmap.pm_pdir.v[at])) for at in slots]
    if k.design.per_cpu:
        for ci in k.cpus:
            found += [(ci.ci_svs_updir.word_name(at), named.entry(ci.ci_svs_updir.v[at])) for at in slots]
    return found


def _cached(run: KernelRun, cpu: int, named: Named, freed: Freed) -> list[Held]:
    machine = run.machine
    cache, mem = machine.caches[cpu], machine.mem
    found: list[Held] = []
    for (pcid, va), entries in sorted(cache.entries.items()):
        if va < machine.user_limit or va in run.judge.uses.kernel_vas:
            for entry in sorted(entries):
                alive = mem.alive(entry.pa, entry.birth)
                page = named.page(entry.pa) if alive else freed.name(entry.pa, entry.birth)
                rights = "writable" if entry.write else "read-only"
                walked = "" if entry.walked else ", once A is set"
                stale = _stale(run, va, entry) if alive else "; freed"
                text = f"{named.address(va)} -> {page} ({rights}, PCID {pcid}{walked}{stale})"
                found.append(Held((pcid, va, *entry), text, bool(stale)))
    for (pcid, level, _), tables in sorted(cache.tables.items()):
        for pa, birth in sorted(tables):
            if not mem.alive(pa, birth):
                found.append(Held((pcid, level, pa, birth), f"table {mem.former(pa)} (PCID {pcid}), freed", stale=True))
    return found


def _stale(run: KernelRun, va: int, entry: Cached) -> str:
    """What sets a translation apart from what the tables have by now, in words; nothing if they still have it."""
    kernel, mem = run.machine.kernel, run.machine.mem
    pmaps = [it for it in (*run.judge.uses.followed, kernel.pmap_kernel) if it.number in kernel.pmaps]
    walks = [translate(mem, pmap.pm_pdirpa, va) for pmap in pmaps]
    leaves = [words[-1] for found, words in walks if found is not None and found[:2] == entry[:2]]
    if not leaves:
        return "; gone from the tables"
    protected = entry.write and not any(table.v[index] & W for table, index in leaves)
    return "; read-only in the tables" if protected else ""


def pending(run: KernelRun, actor: int) -> tuple[str, str, Footprint]:
    """What an actor is about to do, in a word and in full, and what that touches as far as its step says.

    It may break before it was done.
    """
    machine = run.machine
    if actor >= run.n:
        if 2 * run.n <= actor < 6 * run.n:
            return "interrupt", "interrupt", ((("i", *divmod(actor - 2 * run.n, 4)), NEEDS),)
        name = "store buffer drains" if actor < 2 * run.n else "page walk"
        return name, name, ()
    step = machine.steps[actor]
    name = str(step[1])
    own: Footprint = ((("c", actor), WRITE),)
    op = int(step[0])  # a patched kernel has an Op of its own
    if op in (Op.LOAD, Op.STORE, Op.RMW):
        mode = READ if op == Op.LOAD else WRITE
        text = f"{name}: {_ACCESSES[op]} {step[2].word_name(step[3])}"
        return name, text, (*own, ((step[2].name, step[3]), mode))
    text = f"{name}: {step[2].name}" if op in (Op.ACQUIRE, Op.RELEASE) else name
    pairs = step[2][step[3] :] if op == Op.TOUCH else ((step[2], step[3]),) if op == Op.ACCESS else ()
    root = machine.kernel.cpus[actor].cpu.cr3_pa
    words = [word for va, _ in pairs for word in translate(machine.mem, root, va)[1]]
    return name, text, (*own, *(((table.name, index), READ) for table, index in words))
