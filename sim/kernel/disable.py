"""machdep.svs.enabled=0: turning SVS off at run time (svs_disable, svs_disable_cpu in svs.c 1.16).

The broadcast cross-call runs in each CPU's xcall thread, a kernel LWP: so no CPU is in a user LWP's context while the
entry points change, and the next switch to a user LWP sets TSS.rsp0 anew.  All CPUs meet at a barrier with interrupts
off; CPU 0 clears ``svs_enabled`` and patches the entry points back; each CPU resets its system-call entry and turns
CR4.PGE on; a second barrier; caches are written back.

The barriers are polled with loads here, with compare-and-swap in NetBSD.  ``cpu_lock`` is given up before the caller
sleeps, where NetBSD holds it to the end: nobody else wants it on the modelled paths, and callers come one at a time
because sysctl's own lock is held over the whole call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.hardware.steps import Proc, add, cli, cost, load, rmw, sti, store, wait, write_pge
from sim.kernel.ctxswitch import block_on, lwp_startup
from sim.kernel.mutex import mutex_enter, mutex_exit
from sim.kernel.sched import wakeup

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp

EOPNOTSUPP = 45


def _reached(value: int) -> bool:
    return value == 0


def xcall_thread(k: Kernel, lwp: Lwp) -> Proc:
    """A CPU's xcall thread: sleeps until a broadcast, then does its part."""
    yield from lwp_startup(k, lwp)
    while True:
        ci = lwp.l_cpu
        yield from block_on(k, lwp, f"xcall/{ci.ci_index}")
        yield from svs_disable_cpu(k, ci)
        before = yield rmw(k.xcall_done, 0, add, 1, "xc_thread:xc_done")
        if before + 1 == len(k.cpus):
            yield from wakeup(k, ci, "xc_wait")


def svs_disable_cpu(k: Kernel, ci: CpuInfo) -> Proc:
    """What each CPU does in the cross-call."""
    yield cli("svs_disable_cpu:cli")
    yield rmw(k.barriers[0], 0, add, -1, "svs_disable_cpu:barrier1 in")
    yield wait(k.barriers[0], 0, _reached, "svs_disable_cpu:barrier1")
    if ci.ci_index == 0:
        yield store(k.svs_enabled, 0, 0, "svs_disable_cpu:svs_enabled")
        yield cost("wbinvd", "svs_disable_cpu:hotpatch")
        k.svs_turn_off()
    yield cost("wrmsr", "svs_disable_cpu:wrmsr LSTAR")
    ci.syscall_entry = "Xsyscall"
    yield write_pge(True, "svs_disable_cpu:CR4.PGE")
    yield rmw(k.barriers[1], 0, add, -1, "svs_disable_cpu:barrier2 in")
    yield wait(k.barriers[1], 0, _reached, "svs_disable_cpu:barrier2")
    yield cost("wbinvd", "svs_disable_cpu:wbinvd")
    yield sti("svs_disable_cpu:restore psl")


def sysctl_machdep_svs_enabled(k: Kernel, lwp: Lwp, value: int) -> Proc:
    """The sysctl; returns 0 or EOPNOTSUPP.  Turning SVS on again is refused; an offline CPU forbids turning it off."""
    yield from _sysctl_lock(k, lwp)
    error = yield from _svs_enabled(k, lwp, value)
    yield from _sysctl_unlock(k, lwp.l_cpu)
    return error


def _sysctl_lock(k: Kernel, lwp: Lwp) -> Proc:
    """sysctl_lock for writing: one caller at a time, the others sleep in order of arrival."""
    yield from mutex_enter(lwp.l_cpu, k.sysctl_interlock, "sysctl_lock")
    channel = f"sysctl_lock/{lwp.number}"
    k.sysctl_queue.append(channel)
    first = len(k.sysctl_queue) == 1
    yield from mutex_exit(lwp.l_cpu, k.sysctl_interlock, "sysctl_lock")
    if not first:
        yield from block_on(k, lwp, channel)


def _sysctl_unlock(k: Kernel, ci: CpuInfo) -> Proc:
    """sysctl_unlock: the next caller goes on."""
    yield from mutex_enter(ci, k.sysctl_interlock, "sysctl_unlock")
    del k.sysctl_queue[0]
    following = k.sysctl_queue[:1]
    yield from mutex_exit(ci, k.sysctl_interlock, "sysctl_unlock")
    for channel in following:
        yield from wakeup(k, ci, channel)


def _svs_enabled(k: Kernel, lwp: Lwp, value: int) -> Proc:
    """What the sysctl node does with the new *value*."""
    ci = lwp.l_cpu
    enabled = yield load(k.svs_enabled, 0, "sysctl_machdep_svs_enabled:svs_enabled")
    if value == 1:
        return 0 if enabled else EOPNOTSUPP
    if not enabled:
        return 0
    if not k.design.can_disable:
        return EOPNOTSUPP
    yield from mutex_enter(ci, k.cpu_lock, "svs_disable")
    if not all(other.ci_online for other in k.cpus):
        yield from mutex_exit(ci, k.cpu_lock, "svs_disable")
        return EOPNOTSUPP
    yield store(k.barriers[0], 0, len(k.cpus), "svs_disable:barrier1")
    yield store(k.barriers[1], 0, len(k.cpus), "svs_disable:barrier2")
    yield store(k.xcall_done, 0, 0, "svs_disable:xc_broadcast")
    yield from mutex_exit(ci, k.cpu_lock, "svs_disable")
    for other in k.cpus:
        yield from wakeup(k, ci, f"xcall/{other.ci_index}")
    yield from block_on(k, lwp, "xc_wait")
    k.hooks.count(lwp.l_cpu, "svs_disable")
    return 0
