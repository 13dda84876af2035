"""What is to be seen between two steps of a counterexample, in words."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from sim.explore.cached import translate
from sim.explore.machine import Buffered
from sim.explore.model import NEEDS, READ, WRITE, Footprint
from sim.explore.named import VECTOR_NAMES, Named, cpu_set
from sim.explore.run import KernelRun
from sim.hardware.steps import Op

Fact = tuple[str, str]  # what, and what it is
Held = tuple[Hashable, str]  # what may be cached, and what it is called by now


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


def snapshot(run: KernelRun) -> Snapshot:
    """The state that *run* is in."""
    n, named = run.n, Named(run.machine.kernel, run.machine.mem)
    return Snapshot(
        tuple(_cpu(run, cpu, named) for cpu in range(n)),
        tuple(_shared(run, named)),
        tuple(tuple(_cached(run, cpu, named)) for cpu in range(n)),
    )


def owned(run: KernelRun) -> dict[int, str]:
    """The pages that somebody owns, by their addresses, and what they are called."""
    mem = run.machine.mem
    named = Named(run.machine.kernel, mem)
    return {pa: named.page(pa) for pa in mem.pages_in_use()}


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


def _cached(run: KernelRun, cpu: int, named: Named) -> list[Held]:
    machine = run.machine
    cache, mem = machine.caches[cpu], machine.mem
    found: list[Held] = []
    for (pcid, va), entries in sorted(cache.entries.items()):
        if va < machine.user_limit or va in run.judge.uses.kernel_vas:
            for entry in sorted(entries):
                page = named.page(entry.pa) if mem.alive(entry.pa, entry.birth) else f"page {entry.pa:#x}, by now freed"
                rights = "writable" if entry.write else "read-only"
                walked = "" if entry.walked else ", once A is set"
                found.append(((pcid, va, *entry), f"{va:#x} -> {page} ({rights}, PCID {pcid}{walked})"))
    for (pcid, level, _), tables in sorted(cache.tables.items()):
        for pa, birth in sorted(tables):
            if not mem.alive(pa, birth):
                found.append(((pcid, level, pa, birth), f"table {mem.former(pa)} (PCID {pcid}), freed"))
    return found


def pending(run: KernelRun, actor: int) -> tuple[str, Footprint]:
    """What an actor is about to do, and what that touches as far as its step says: it may break before it did."""
    machine = run.machine
    if actor >= run.n:
        if 2 * run.n <= actor < 6 * run.n:
            return "interrupt", ((("i", *divmod(actor - 2 * run.n, 4)), NEEDS),)
        return ("store buffer drains" if actor < 2 * run.n else "page walk"), ()
    step = machine.steps[actor]
    name = str(step[1])
    own: Footprint = ((("c", actor), WRITE),)
    op = int(step[0])  # a patched kernel has an Op of its own
    if op in (Op.LOAD, Op.STORE, Op.RMW):
        mode = READ if op == Op.LOAD else WRITE
        return name, (*own, ((step[2].name, step[3]), mode))
    pairs = step[2][step[3] :] if op == Op.TOUCH else ((step[2], step[3]),) if op == Op.ACCESS else ()
    root = machine.kernel.cpus[actor].cpu.cr3_pa
    words = [word for va, _ in pairs for word in translate(machine.mem, root, va)[1]]
    return name, (*own, *(((table.name, index), READ) for table, index in words))
