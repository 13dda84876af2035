"""What is there when time begins: first processes, LWPs that can run, the xcall threads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sim.hardware.paging import D, W
from sim.kernel.disable import xcall_thread
from sim.kernel.lwp import LSRUN, PRI_KTHREAD, Lwp, Process
from sim.kernel.pmap import pmap_create
from sim.kernel.process import new_lwp
from sim.kernel.program import LwpSpec, Who
from sim.kernel.ptp import pmap_enter_now, pmap_lookup_ptp

if TYPE_CHECKING:
    from sim.kernel.kernel import Kernel


def first_process(k: Kernel, name: str) -> Process:
    """A process that is there from the start: its pmap is made without time passing."""
    making = pmap_create(k, k.cpus[0], name)
    while True:
        try:
            next(making)
        except StopIteration as stop:
            return Process(name, stop.value)


def enter_pages(k: Kernel, proc: Process, pages: Iterable[tuple[int, bool]]) -> None:
    """Enter pages that a process has from the start, and whether it may write to them."""
    for va, write in pages:
        pmap_enter_now(k, proc.pmap, va)
        if not write:
            table = pmap_lookup_ptp(k, proc.pmap, va)
            assert table is not None
            table.v[k.geometry.index(va, 1)] &= ~(W | D)


def make_runnable(lwp: Lwp) -> None:
    """Put an LWP on the run queue of its CPU, where its creator would have put it."""
    lwp.l_stat = LSRUN
    lwp.l_cpu.ci_runqueue.add(lwp)
    lwp.l_cpu.ci_want_resched.v[0] = 1


def start_xcall_threads(k: Kernel) -> None:
    """Each CPU's kernel LWP that waits for cross-calls."""
    for ci in k.cpus:
        name, who = f"xcall/{ci.ci_index}", Who("xcall", tid=ci.ci_index, chosen=False)
        spec = LwpSpec(name, iter(()), "kernel", system=True, priority=PRI_KTHREAD, bound=True, who=who)
        lwp = new_lwp(k, spec, k.kernel_proc, ci, spec.name)
        lwp.frames = [xcall_thread(k, lwp)]
        make_runnable(lwp)
