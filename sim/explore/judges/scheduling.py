"""Rules for what the scheduler and the shootdown code keep in fields: which lock, or level, it takes to use them.

Source: sys/sys/sched.h (spc_mutex), "Locking" at the head of sys/kern/kern_lwp.c (l_mutex: of the sleep queue or of the
run queue), sys/kern/kern_sleepq.c, sys/kern/kern_sysctl.c, sys/arch/x86/x86/x86_tlb.c (a packet is its CPU's own, and
interrupt handlers queue into it, too).
"""

from __future__ import annotations

import sys

from sim.explore.judges.guards import Guards
from sim.hardware.cpu import IPL_VM
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp
from sim.kernel.sched import RunQueue
from sim.kernel.shootdown import Packet

# Its LWP's own, which nobody wakes or queues any more (in NetBSD under lwp_lock).
LAST = "lwp_exit"


def sleep_queues(on: Guards, k: Kernel, _changes: bool) -> str:
    """The mutex of the sleep queues, for sleepers and for wake-ups that came before them."""
    return "" if k.sleepq_mtx.owner is on.ci.cpu else k.sleepq_mtx.name


def sysctl_queue(on: Guards, k: Kernel, _changes: bool) -> str:
    """What keeps those apart who wait for sysctl_lock."""
    return "" if k.sysctl_interlock.owner is on.ci.cpu else k.sysctl_interlock.name


def run_queue(on: Guards, queue: RunQueue, _changes: bool) -> str:
    """The queue's mutex to change it; who looks for a CPU, or for work, does so without."""
    return "" if queue.spc_mutex.owner is on.ci.cpu else queue.spc_mutex.name


def chosen(on: Guards, ci: CpuInfo, changes: bool) -> str:
    """What a CPU has chosen changes with its queue."""
    return run_queue(on, ci.ci_runqueue, changes)


def lwp_lock(on: Guards, lwp: Lwp, _changes: bool) -> str:
    """The LWP's lock, which is that of the queue that it is in, comes from, or goes to."""
    me, k = on.ci.cpu, on.view.kernel
    if k.sleepq_mtx.owner is me or any(ci.ci_runqueue.spc_mutex.owner is me for ci in k.cpus):
        return ""
    return "" if sys._getframe(3).f_code.co_name == LAST else f"the lock of {lwp.l_name}"


def off_its_cpu(on: Guards, lwp: Lwp, _changes: bool) -> str:
    """Nobody gives an LWP a CPU while another one is still on its stack: interrupts there are that CPU's."""
    if lwp.l_cpu is not on.ci and on.view.runs(lwp.l_cpu, lwp):
        return f"a wait until cpu{lwp.l_cpu.ci_index} is off it"
    return ""


def splvm(on: Guards, _packet: Packet, _changes: bool) -> str:
    """A level that keeps the handlers out that queue shootdowns."""
    registers = on.ci.cpu
    return "splvm: a handler may just be using it" if registers.intr and registers.ipl < IPL_VM else ""
