"""Judging locks: order and level in which they are taken, what must be written under one, where none may be held."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from sim.explore.judges.tally import Tally
from sim.explore.judges.view import View
from sim.explore.watched import WatchedRunQueue
from sim.hardware.cpu import IPL_VM
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.sites import Site
from sim.kernel.cpuinfo import CpuInfo


class Locks:
    """What each CPU holds, and the order of lock classes seen so far.

    Attributes:
        held: the mutexes that each CPU holds.
        seen: whether each CPU has looked how much its packet holds since its level is such that no handler uses that.
        replaced: by CPU the owners of pages in whose place it has put others since its last shootdown.
        meeting: the CPUs that have come to the first barrier of svs_disable with interrupts off, and not to the last.
    """

    def __init__(self, view: View, tally: Tally) -> None:
        self.view = view
        self.premise, self.broken = tally.premise, tally.broken
        self.held: list[list[Mutex]] = [[] for _ in range(view.n)]
        self.seen = [False] * view.n
        self.replaced: list[list[Mutex]] = [[] for _ in range(view.n)]
        self.meeting: set[int] = set()
        self._packets = {id(ci.ci_pmap_data.tp_count) for ci in view.kernel.cpus}
        self._order: set[tuple[str, str]] = set()
        self._updirs: dict[int, CpuInfo] = {}
        self._queue_of = {id(ci.ci_runqueue.spc_mutex): ci for ci in view.kernel.cpus}

    def guard_updirs(self) -> None:
        """From here on user page directories are written under their mutexes."""
        self._updirs = {id(ci.ci_svs_updir): ci for ci in self.view.kernel.cpus}

    def stores(self, cpu: int, words: Words, site: Site) -> None:
        """A word is stored, or changed by a locked update."""
        owner = self._updirs.get(id(words))
        if owner is not None:
            self.premise("updir-mutex")
            mutex = owner.ci_svs_mtx
            if mutex.owner is not self.view.kernel.cpus[cpu].cpu:
                self.broken("updir-mutex", f"cpu{cpu} in {site} writes {words.name} without {mutex.name}")
        if id(words) in self._packets:
            self.premise("lock-level")
            if not self._shielded(cpu):
                self.broken("lock-level", f"cpu{cpu} in {site} changes its packet at level "
                            f"{self.view.kernel.cpus[cpu].cpu.ipl}: a handler may just be using it")  # fmt: skip
            if not self.seen[cpu]:
                self.broken("lock-level", f"cpu{cpu} in {site} changes its packet by what it held before the level "
                            "went up: a handler may have sent it since")  # fmt: skip

    def reaches(self, cpu: int, words: Words) -> None:
        """A CPU comes to a barrier of svs_disable, if that is what it changes by a locked update."""
        k = self.view.kernel
        if words is k.barriers[0] and not k.cpus[cpu].cpu.intr:
            self.meeting.add(cpu)
        elif words is k.barriers[1]:
            self.meeting.discard(cpu)

    def lets_in(self, cpu: int, site: Site) -> None:
        """A CPU turns interrupts on."""
        if cpu in self.meeting:
            self.premise("lock-level")
            self.broken("lock-level", f"cpu{cpu} in {site} lets interrupts in, while others wait for it with theirs "
                        "off: a handler that waits for them, as for a shootdown, would never end")  # fmt: skip

    def loads(self, cpu: int, words: Words) -> None:
        """A word is read."""
        if id(words) in self._packets:
            self.seen[cpu] = self._shielded(cpu)

    def _shielded(self, cpu: int) -> bool:
        """Whether no handler that queues shootdowns can land."""
        registers = self.view.kernel.cpus[cpu].cpu
        return registers.ipl >= IPL_VM or not registers.intr

    def replaces(self, cpu: int, owner: Mutex) -> None:
        """A CPU that holds the owner of a page has put another one in its place, in tables."""
        self.replaced[cpu].append(owner)

    def sent(self, cpu: int) -> None:
        """What a CPU had queued is done."""
        self.replaced[cpu].clear()

    def acquired(self, cpu: int, mutex: Mutex) -> None:
        """A mutex was taken: the order must stay acyclic."""
        self.premise("lock-order")
        self._level(cpu, mutex, "takes")
        new = {_pair(held, mutex) for held in self.held[cpu]} - self._order
        self.held[cpu].append(mutex)
        if new:
            self._order |= new
            cycle = cycle_of(sorted(self._order))
            if cycle:
                names = " -> ".join(cycle)
                self.broken("lock-order", f"cpu{cpu} takes {mutex.name}: the order has the cycle {names}")

    def releasing(self, cpu: int, mutex: Mutex) -> None:
        """A mutex is given back."""
        if mutex in self.held[cpu]:
            self.held[cpu].remove(mutex)
        self.premise("entered-page")
        if mutex in self.replaced[cpu]:
            self.broken("entered-page", f"cpu{cpu} gives back {mutex.name}, but others may still use the page that it "
                        "has replaced under it: who gets the owner next may write there")  # fmt: skip
        ci = self._queue_of.get(id(mutex))
        if ci is not None:
            self._asked(cpu, ci)

    def _asked(self, cpu: int, ci: CpuInfo) -> None:
        """Who queues what is more important than what runs there has asked that CPU to reschedule before it unlocks.

        What runs there is looked at as it is queued: an earlier look may be about another LWP.  A CPU that idles and
        steals for itself asks nobody.
        """
        queue = ci.ci_runqueue
        self.premise("lost-ast")
        if not isinstance(queue, WatchedRunQueue) or not queue.take_unasked():
            return
        stolen = ci.ci_index == cpu and ci.ci_onproc is ci.ci_idlelwp
        if not stolen and not self.view.own(cpu, ci.ci_want_resched, 0):
            self.broken("lost-ast", f"cpu{cpu} gives back {queue.spc_mutex.name} and has queued there what is more "
                        f"important than what runs, but {ci.ci_want_resched.name} is clear")  # fmt: skip

    def lowered(self, cpu: int) -> None:
        """The level has gone down: not below that of the handlers that take what is held."""
        self.seen[cpu] = self.seen[cpu] and self._shielded(cpu)
        for mutex in self.held[cpu]:
            self._level(cpu, mutex, "lowers its level with")

    def _level(self, cpu: int, mutex: Mutex, does: str) -> None:
        """A handler that waits for a mutex must not have hit its holder."""
        registers = self.view.kernel.cpus[cpu].cpu
        self.premise("lock-level")
        if registers.intr and registers.ipl < mutex.ipl:
            self.broken("lock-level", f"cpu{cpu} {does} {mutex.name} at level {registers.ipl}: handlers up to level "
                        f"{mutex.ipl} take it, too, and would wait for what they have interrupted")  # fmt: skip

    def mailbox(self, cpu: int, site: Site) -> None:
        """The mailbox of a shootdown is claimed, or the IPIs go out for what is in it."""
        registers = self.view.kernel.cpus[cpu].cpu
        self.premise("lock-level")
        if registers.intr and registers.ipl < IPL_VM:
            self.broken("lock-level", f"cpu{cpu} in {site} has the mailbox of shootdowns at level {registers.ipl}: a "
                        "handler that sends one would wait for what it has interrupted")  # fmt: skip

    def barrier(self, cpu: int, where: str) -> None:
        """LOCKDEBUG_BARRIER: no mutex is held there, and the LWP has not locked its map."""
        self.premise("kassert")
        lwp = self.view.current[cpu]
        names = [mutex.name for mutex in self.held[cpu]]
        names += [lwp.l_proc.vm_map_lock.rw_owner.name] if lwp in lwp.l_proc.vm_map_lock.holders else []
        if names:
            self.broken("kassert", f"cpu{cpu} {where} with {', '.join(names)} held (LOCKDEBUG_BARRIER)")


def cycle_of(edges: list[tuple[str, str]]) -> list[str]:
    """The nodes of a cycle, if there is one."""
    order: TopologicalSorter[str] = TopologicalSorter()
    for one, following in edges:
        order.add(following, one)
    try:
        order.prepare()
    except CycleError as error:
        nodes: list[str] = error.args[1]
        return nodes[:-1]
    return []


def _pair(held: Mutex, taken: Mutex) -> tuple[str, str]:
    """One after the other: by their classes, of which one may have an order of its own, as that of the CPUs."""
    if held.lock_class == taken.lock_class:
        return held.name, taken.name
    return held.lock_class, taken.lock_class
