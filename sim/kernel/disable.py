"""machdep.svs.enabled=0: turning SVS off at run time (svs_disable, svs_disable_cpu in svs.c 1.11 and 1.16).

The broadcast cross-call runs in each CPU's xcall thread, a kernel LWP: so no CPU is in a user LWP's context while the
entry points change, and the next switch to a user LWP sets TSS.rsp0 anew.  All CPUs meet at a barrier; CPU 0 clears
``svs_enabled`` and patches the entry points back; each CPU resets its system-call entry and turns CR4.PGE on; a second
barrier; caches are written back.  Interrupts are off all the while since 1.16.  Before, a CPU at a barrier takes them,
shootdown IPIs among them, and only the patching itself is done with interrupts off.

The barriers are polled with loads here, with compare-and-swap in NetBSD.  ``cpu_lock`` is given up before the caller
sleeps, where NetBSD holds it to the end: nobody else wants it on the modelled paths, and callers come one at a time
because sysctl's own lock is held over the whole call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Proc, add, cli, cost, load, rmw, sti, store, wait, write_pge
from sim.kernel.ctxswitch import block_on, lwp_startup
from sim.kernel.hotpatch import svs_disable_hotpatch
from sim.kernel.mutex import TakesMutex, mutex_enter, mutex_exit
from sim.kernel.sched import wakeup

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp

EPERM, EINVAL, EOPNOTSUPP = 1, 22, 45


def _reached(value: int) -> bool:
    return value == 0


class XcThread(Procedure, name="xc_thread", cause="SVS disable"):
    xc_done = site("xc_done")


def xcall_thread(k: Kernel, lwp: Lwp) -> Proc:
    """A CPU's xcall thread: sleeps until a broadcast, then does its part."""
    yield from lwp_startup(k, lwp)
    while True:
        ci = lwp.l_cpu
        yield from block_on(k, lwp, f"xcall/{ci.ci_index}")
        yield from svs_disable_cpu(k, ci)
        before = yield rmw(k.xcall_done, 0, add, 1, XcThread.xc_done)
        if before + 1 == len(k.cpus):
            yield from wakeup(k, ci, "xc_wait")


class SvsDisableCpu(Procedure, name="svs_disable_cpu", cause="SVS disable"):
    cli = site("cli")
    barrier1_in = site("barrier1 in")
    barrier1 = site("barrier1")
    svs_enabled = site("svs_enabled")
    patch_window_open = site("x86_patch_window_open cli")
    hotpatch = site("hotpatch")
    patch_window_close = site("x86_patch_window_close restore psl")
    wrmsr_LSTAR = site("wrmsr LSTAR")
    pge = site("CR4.PGE")
    barrier2_in = site("barrier2 in")
    barrier2 = site("barrier2")
    wbinvd = site("wbinvd")
    restore_psl = site("restore psl")


def svs_disable_cpu(k: Kernel, ci: CpuInfo) -> Proc:
    """What each CPU does in the cross-call."""
    how = k.design.disabling
    assert how is not None
    if how.intr_off:
        yield cli(SvsDisableCpu.cli)
    yield rmw(k.barriers[0], 0, add, -1, SvsDisableCpu.barrier1_in)
    yield wait(k.barriers[0], 0, _reached, SvsDisableCpu.barrier1)
    if ci.ci_index == 0:
        yield store(k.svs_enabled, 0, 0, SvsDisableCpu.svs_enabled)
        yield cli(SvsDisableCpu.patch_window_open)
        yield from k.hooks.in_detail(svs_disable_hotpatch(k))
        yield cost("wbinvd", SvsDisableCpu.hotpatch)
        k.svs_turn_off()
        if not how.intr_off:
            yield sti(SvsDisableCpu.patch_window_close)
    yield cost("wrmsr", SvsDisableCpu.wrmsr_LSTAR)
    yield write_pge(True, SvsDisableCpu.pge)
    yield rmw(k.barriers[1], 0, add, -1, SvsDisableCpu.barrier2_in)
    yield wait(k.barriers[1], 0, _reached, SvsDisableCpu.barrier2)
    yield cost("wbinvd", SvsDisableCpu.wbinvd)
    if how.intr_off:
        yield sti(SvsDisableCpu.restore_psl)


def sysctl_machdep_svs_enabled(k: Kernel, lwp: Lwp, value: int) -> Proc:
    """The sysctl; returns 0 or an error.  Turning SVS on again is refused; an offline CPU forbids turning it off."""
    yield from _sysctl_lock(k, lwp)
    error = yield from _svs_enabled(k, lwp, value)
    yield from _sysctl_unlock(k, lwp.l_cpu)
    if error:
        k.hooks.count(lwp.l_cpu, "svs_disable refused")
    return error


class SysctlLock(TakesMutex, name="sysctl_lock", cause="SVS disable"): ...


def _sysctl_lock(k: Kernel, lwp: Lwp) -> Proc:
    """sysctl_lock for writing: one caller at a time, the others sleep in order of arrival."""
    yield from mutex_enter(lwp.l_cpu, k.sysctl_interlock, SysctlLock)
    channel = f"sysctl_lock/{lwp.number}"
    k.sysctl_queue.append(channel)
    first = len(k.sysctl_queue) == 1
    yield from mutex_exit(lwp.l_cpu, k.sysctl_interlock, SysctlLock)
    if not first:
        yield from block_on(k, lwp, channel)


class SysctlUnlock(TakesMutex, name="sysctl_unlock", cause="SVS disable"): ...


def _sysctl_unlock(k: Kernel, ci: CpuInfo) -> Proc:
    """sysctl_unlock: the next caller goes on."""
    yield from mutex_enter(ci, k.sysctl_interlock, SysctlUnlock)
    del k.sysctl_queue[0]
    following = k.sysctl_queue[:1]
    yield from mutex_exit(ci, k.sysctl_interlock, SysctlUnlock)
    for channel in following:
        yield from wakeup(k, ci, channel)


class SvsDisable(TakesMutex, name="svs_disable", cause="SVS disable"):
    barrier1 = site("barrier1")
    barrier2 = site("barrier2")
    xc_broadcast = site("xc_broadcast")


class SysctlSvsEnabled(Procedure, name="sysctl_machdep_svs_enabled", cause="SVS disable"):
    svs_enabled = site("svs_enabled")


def _svs_enabled(k: Kernel, lwp: Lwp, value: int) -> Proc:
    """What the sysctl node does with the new *value*."""
    ci = lwp.l_cpu
    how = k.design.disabling
    if how is None:
        return EPERM  # sysctl_lookup: the node is not CTLFLAG_READWRITE
    if value == 1 and how.one_is_invalid:
        return EINVAL
    enabled = yield load(k.svs_enabled, 0, SysctlSvsEnabled.svs_enabled)
    if value == 1:
        return 0 if enabled else EOPNOTSUPP
    if not enabled:
        return 0
    yield from mutex_enter(ci, k.cpu_lock, SvsDisable)
    if not all(other.ci_online for other in k.cpus):
        yield from mutex_exit(ci, k.cpu_lock, SvsDisable)
        return EOPNOTSUPP
    yield store(k.barriers[0], 0, len(k.cpus), SvsDisable.barrier1)
    yield store(k.barriers[1], 0, len(k.cpus), SvsDisable.barrier2)
    yield store(k.xcall_done, 0, 0, SvsDisable.xc_broadcast)
    yield from mutex_exit(ci, k.cpu_lock, SvsDisable)
    for other in k.cpus:
        yield from wakeup(k, ci, f"xcall/{other.ci_index}")
    yield from block_on(k, lwp, "xc_wait")
    k.hooks.count(lwp.l_cpu, "svs_disable")
    return 0
