"""An execution of a litmus program on the modelled kernel, put together and brought to where exploration begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from sim.errors import KernelEvent
from sim.explore.again import Made, Script, make_again
from sim.explore.alike import stand_for
from sim.explore.blame import broken
from sim.explore.cached import BornMem, MaybeCached
from sim.explore.driver import MISTAKES, Driver
from sim.explore.effects import Effects
from sim.explore.judges.judge import Judge
from sim.explore.judges.tally import Noted, Tally
from sim.explore.litmus import Litmus, LitmusLwp
from sim.explore.litmus_state import LitmusState
from sim.explore.machine import Machine
from sim.explore.model import Footprint, Violation, Wait
from sim.explore.ops import LitmusProgram, Setting, body
from sim.explore.reached import Unknown
from sim.explore.start import Start, Way
from sim.explore.touched import Touched
from sim.explore.trace import Trace
from sim.explore.watched import DisablingKernel, WatchedCpu, WatchedKernel, WatchedPacket, WatchedRunQueue
from sim.hardware.cpu import Cpu
from sim.hardware.steps import Op
from sim.kernel import process as kproc
from sim.kernel.boot import first_process, make_runnable, start_xcall_threads
from sim.kernel.designs import make_design
from sim.kernel.kernel import Kernel
from sim.kernel.kmem import was_there
from sim.kernel.layout import KernelMemory
from sim.kernel.lwp import PRI_USER, Lwp, Process
from sim.kernel.program import LwpSpec
from sim.kernel.ptp import pmap_enter_now
from sim.kernel.pv import with_entry
from sim.kernel.vm_page import VmPage

PROLOGUE = 4000  # transitions that the way to the first operations takes at most


class KernelRun:
    """One execution of a litmus program under a profile and a memory model.

    :class:`Violation` if the kernel breaks as it boots, before there is a machine to look at.
    *muted* are invariants that may break; *noted* is called when one does.
    *also*: another profile, for which the execution must be one, too (:mod:`sim.explore.alike`).
    *script*: what the one before, of the same arguments, did; of what both do alike premises are not counted again.
    That one is over: its objects are used again.

    Attributes:
        n: CPUs.
        machine, state: what the machine and the litmus program have come to.
        trace: the transitions in words, if *traced*.
        early: the actor that broke something before the first choice could be made, and what; None if none did.
    """

    def __init__(
        self,
        litmus: Litmus,
        profile: str,
        *,
        tso: bool,
        traced: bool = False,
        muted: tuple[str, ...] = (),
        noted: Noted = lambda broken: None,
        also: str = "",
        script: Script | None = None,
    ) -> None:
        self.litmus = litmus
        self._script = script
        self._made = 0  # transitions
        self.n = litmus.cpus
        self.trace = Trace(on=traced)
        boot = partial(_machine, litmus, profile, also, tso=tso), partial(Tally, muted, noted)
        if script is not None:
            script.executions += 1
            if script.executions == 2 and script.boots_once:
                script.start = self._learn_start(*boot)
            if script.start is not None:
                vars(self).update(script.start.again())
                return
        self._boot(*boot)
        self._prologue()

    # --- the interface of an execution ------------------------------------------------------------------------------

    def enabled(self) -> list[int]:
        """Actors that can act now; :class:`Violation` if the kernel broke before anybody could choose."""
        if self.early is not None:
            raise self.early[1]
        return self._driver.enabled()

    def step(self, actor: int) -> Footprint:
        """Make the next transition of an actor."""
        if self._script is None:
            return self._driver.step(actor)
        caches, effects = self.machine.caches, self._effects
        for cache in caches:
            cache.grew = False
        footprint = self._driver.step(actor)
        self._script.note(self._made, Made(actor, effects.met, effects.sends, tuple([cache.grew for cache in caches])))
        self._made += 1
        return footprint

    def follow(self, actors: Sequence[int]) -> None:
        """Make transitions; if the execution before this one began with them, without judging them."""
        made = None if self._script is None or self._made else self._script.begins(actors)
        if made is None:
            for actor in actors:
                self.step(actor)
            return
        make_again(self._driver, made)
        self._made = len(actors)

    def stuck(self) -> Iterator[tuple[int, Footprint]]:
        """CPUs that spin or wait for a mutex, interrupts that are held off."""
        return self._driver.stuck()

    def waits(self) -> dict[int, Wait]:
        """What CPUs, store buffers and interrupts wait for that cannot act now."""
        return self._driver.waits()

    def walks_on(self, number: int) -> int:
        """The CPU whose walk that is that comes by itself: the first whose tables lead to its entry, else CPU 0."""
        return next((cpu for cpu in range(self.n) if self._driver.walkers.leads(cpu, number)), 0)

    def finish(self) -> None:
        """Judge the end."""
        if not self.machine.dead:
            self.judge.at_rest.finish()

    # --- setting up -------------------------------------------------------------------------------------------------

    def _boot(self, machine: Callable[[], Machine], tally: Callable[[], Tally]) -> None:
        """Make a machine with judges, drivers, and what the litmus program has from the start."""
        self.early: tuple[int, Violation] | None = None
        self.state = LitmusState(self.litmus)
        try:
            self.machine = machine()
            self.judge = Judge(self.machine, self.state, tally())
            self._effects = Effects(self.machine, self.judge, self.trace)
            self._driver = Driver(self.machine, self._effects, self.judge, self.trace, self.state.never)
            self._populate()
        except (KernelEvent, RecursionError) as event:
            raise Violation(broken(event)) from event

    def _learn_start(self, machine: Callable[[], Machine], tally: Callable[[], Tally]) -> Start | None:
        """Where exploration begins, to be had again; None if it is not known how."""
        self._boot(machine, tally)
        names = "machine", "judge", "state", "trace", "early", "_effects", "_driver"
        given = {id(self.litmus), id(self.judge.tally.noted)}
        try:
            way = Way({name: getattr(self, name) for name in names}, given)
            self._prologue()
            return way.ends() if self.early is None else None
        except Unknown:
            return None

    def _populate(self) -> None:
        """Pmaps with their first pages, LWPs on their CPUs' run queues, xcall threads if SVS may be disabled."""
        k, litmus, state = self.machine.kernel, self.litmus, self.state
        processes = state.processes
        processes[""] = k.kernel_proc
        for name, pages in litmus.pmaps.items():
            processes[name] = first_process(k, name)
            state.pmaps[name] = processes[name].pmap
            self.judge.uses.follow(state.pmaps[name])
            for slot, page in pages:
                used = (name, slot, page) not in litmus.unused
                pmap_enter_now(k, state.pmaps[name], litmus.va(slot, page), used=used)
        for name, places in litmus.shared.items():
            self._share(name, places)
        judge, walks = self.judge, self.machine.walks
        walks.followed, walks.vas = judge.uses.followed, judge.uses.user_vas
        setting = Setting(k, self.machine.mem, self.machine.touched, judge.view, judge.tally, judge.uses,
                          self.machine.payloads, state, body)  # fmt: skip
        for item in (item for item in litmus.lwps if not item.forked):
            lwp = state.lwps[item.name] = _runnable(k, item, processes[item.pmap])
            lwp.frames = [body(setting, lwp, item.ops)]
        if litmus.uses("disable"):
            start_xcall_threads(k)
        tables_at, top_at = judge.uses.tables_at(), k.layout.recursive(0, k.geometry.levels)
        table_vas = tuple(sorted({top_at, *(at for levels in tables_at.values() for at in levels.values())}))
        for cpu, cache in enumerate(self.machine.caches):
            cache.vas, cache.limit = judge.uses.vas(cpu), self.machine.user_limit
            cache.tables_at, cache.top_at, cache.table_vas = tables_at, top_at, table_vas

    def _share(self, name: str, places: tuple[tuple[str, int, int], ...]) -> None:
        """Map one page of an object at several places."""
        k, state = self.machine.kernel, self.state
        page = state.shared[name] = VmPage(name, k.mem.alloc_page(f"{name} page"))
        k.vm_pages[page.pa] = page
        for pmap, slot, number in places:
            va = self.litmus.va(slot, number)
            pmap_enter_now(k, state.pmaps[pmap], va, page.pa, used=(pmap, slot, number) not in self.litmus.unused)
            page.pv = with_entry(page.pv, (state.pmaps[pmap].number, va))
            state.processes[pmap].pages[va] = page
            page.refs += 1
        self.judge.lifetimes.page_shared(page)

    def _prologue(self) -> None:
        """Bring every CPU, in a fixed order, to the first operation of its first LWP, or to its idle loop."""
        machine = self.machine
        tso, machine.tso = machine.tso, False
        if not self._come_there():
            return
        machine.tso = tso
        self.trace.transitions.clear()
        self.state.first = frozenset(machine.mem.births.items())
        self.judge.begin()
        for cpu in range(self.n):
            machine.refresh(cpu)
        machine.touched.take()

    def _come_there(self) -> bool:
        """Make the transitions of the prologue; false if something breaks in one."""
        actor: int | None = 0
        try:
            for actor in range(self.n):
                self._driver.advance(actor, None)
            for _ in range(PROLOGUE):
                actor = self._not_there_yet()
                if actor is None:
                    break
                self._driver.step(actor)
        except (KernelEvent, RecursionError, Violation) as broke:
            assert actor is not None
            self.early = actor, broke if isinstance(broke, Violation) else Violation(broken(broke))
            return False
        except MISTAKES as error:
            if actor is not None:
                self._driver.blame(error, actor)
            raise
        return True

    def _not_there_yet(self) -> int | None:
        """The first actor that has to act before exploration can begin."""
        steps, apics = self.machine.steps, self.machine.apics
        for cpu in range(self.n):
            acts = steps[cpu][1] is not LitmusProgram.start and (apics[cpu].pending or not self._rests(cpu))
            if acts and self._driver.can_step(cpu):
                return cpu
        return next((actor for actor in self._driver.enabled() if 2 * self.n <= actor < 6 * self.n), None)

    def _rests(self, cpu: int) -> bool:
        """Whether the CPU has come as far as it can without its LWP's first operation."""
        step = self.machine.steps[cpu]
        idle = step[0] is Op.HALT or step[0] is Op.MWAIT and not step[2].v[step[3]]
        return idle or step[1] is LitmusProgram.start


def _machine(litmus: Litmus, profile: str, also: str, *, tso: bool) -> Machine:
    """A machine whose kernel has booted; no time passes in an exploration, so crossings touch no working set."""
    geometry = litmus.geometry
    touched = Touched.now = Touched()
    mem = BornMem(geometry, lambda: touched.wrote("freed tables"))
    caches = [MaybeCached(mem) for _ in range(litmus.cpus)]
    design = make_design(profile, litmus.pcid)
    if also:
        stand_for(design, also, litmus.pcid)
    made = DisablingKernel if litmus.uses("disable") else WatchedKernel
    kernel = made([Cpu(i, cache, geometry) for i, cache in enumerate(caches)], mem, geometry, design,
                  mwait=litmus.mwait)  # fmt: skip
    for kind in ("syscall", "fault", "interrupt"):
        kernel._pages[kind] = ()
    if litmus.kernel_pages:
        kernel.kmem = KernelMemory(kernel.tables, litmus.kernel_pages)
        for page in range(litmus.kernel):
            was_there(kernel, page)
    for ci in kernel.cpus:
        ci.ci_runqueue = WatchedRunQueue(ci)
        ci.__class__, ci.ci_pmap_data.__class__ = WatchedCpu, WatchedPacket
    machine = Machine(kernel, mem, caches, touched, tso=tso)
    for lwp in litmus.lwps:
        for op in lwp.ops:
            if op.verb == "nmi":
                machine.nmis_to_come[int(op.name)] += 1
    return machine


def _runnable(k: Kernel, item: LitmusLwp, proc: Process) -> Lwp:
    """Make an LWP and put it on its CPU's run queue."""
    name, cpu, system = item.name, item.cpu, not item.pmap
    spec = LwpSpec(name, iter(()), proc.name, system=system, priority=PRI_USER, cpu=cpu, bound=item.bound)
    lwp = kproc.new_lwp(k, spec, proc, k.cpus[cpu], name)
    make_runnable(lwp)
    return lwp
