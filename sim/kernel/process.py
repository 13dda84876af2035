"""Processes and LWPs as workloads see them: creation, running a program, fork, exec, exit (kern_fork.c, kern_lwp.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import ModelError
from sim.hardware.cpu import IPL_VM
from sim.hardware.paging import FRAME, W
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Access, Proc, Step, cli, cost, spl, sti, timer, touch, user, work
from sim.kernel import program, uvm_pages
from sim.kernel.ctxswitch import block_on, lwp_startup, mi_switch
from sim.kernel.disable import sysctl_machdep_svs_enabled
from sim.kernel.layout import PAGE_SIZE
from sim.kernel.lwp import LSZOMB, Lwp, Process
from sim.kernel.mappings import (
    mapped_ranges,
    may_be_written,
    pmap_enter,
    pmap_extract,
    pmap_update,
    pmap_write_protect,
)
from sim.kernel.mutex import TakesMutex
from sim.kernel.pmap import Pmap, pmap_activate, pmap_create, pmap_deactivate, pmap_destroy
from sim.kernel.rwlock import TakesRwLock, rw_enter_read, rw_enter_write, rw_exit
from sim.kernel.sched import sched_enqueue, sched_takecpu, wakeup
from sim.kernel.teardown import empty_pmap
from sim.kernel.traps import Device, Interrupt, Syscall, Trap, fault_enter, syscall_enter, userret
from sim.kernel.uvm import enter_resident, protect, unmap

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.program import LwpSpec


def new_lwp(k: Kernel, spec: LwpSpec, proc: Process, ci: CpuInfo, key: str) -> Lwp:
    """Make an LWP that will run *spec*'s program; the caller enqueues it."""
    lwp = Lwp(spec.name, key, proc, ci, system=spec.system, priority=spec.priority)
    k.new_stack(lwp)
    lwp.l_bound = spec.bound
    lwp.resident = spec.resident
    lwp.who = spec.who or lwp.who
    lwp.lines = spec.lines
    proc.p_nlwps += 1
    if spec.life is not None:
        lwp.frames = [spec.life(lwp)]
    else:
        lwp.frames = [_system_main(k, lwp, spec) if spec.system else _user_main(k, lwp, spec)]
    k.hooks.lwp_created(lwp)
    return lwp


class User(Procedure, name="user", cause="user work"):
    touch = site("touch")
    work = site("work")


def _user_main(k: Kernel, lwp: Lwp, spec: LwpSpec) -> Proc:
    """A user LWP's life: first return to user mode, its operations, exit."""
    yield from lwp_startup(k, lwp)
    yield from userret(k, lwp, "iret")
    for operation in k.hooks.operations(lwp, spec.program):
        if isinstance(operation, program.User):
            yield from _user(k, lwp, operation) if operation.recorded else k.hooks.straight(_user, k, lwp, operation)
        elif isinstance(operation, program.Fault):
            yield from _fault(k, lwp, operation)
        elif isinstance(operation, program.Syscall) and not (operation.body or operation.recorded and operation.cycles):
            yield from k.hooks.straight(_bare_syscall, k, lwp, operation)
        elif isinstance(operation, program.Syscall):
            ended = yield from _syscall(k, lwp, operation)
            if ended:
                return
        elif isinstance(operation, program.Mark):
            k.hooks.mark(lwp, operation)
        else:
            yield from _device_interrupt(k, lwp, operation)
    yield from syscall_enter(k, lwp, spec.cut)
    yield from exit1(k, lwp)


def _system_main(k: Kernel, lwp: Lwp, spec: LwpSpec) -> Proc:
    """A kernel LWP: everything it does is kernel work."""
    yield from lwp_startup(k, lwp)
    for operation in spec.program:
        if isinstance(operation, program.User):
            yield from _kernel_work(k, lwp, operation.cycles, operation.recorded)
        elif isinstance(operation, program.Mark):
            k.hooks.mark(lwp, operation)
        elif isinstance(operation, program.Syscall) and (yield from _run_body(k, lwp, operation)):
            break
        if lwp.l_cpu.ci_want_resched.v[0]:
            yield from mi_switch(k, lwp)
    yield from lwp_exit(k, lwp)


def _kernel_work(k: Kernel, lwp: Lwp, cycles: int, recorded: bool) -> Proc:
    """Compute in kernel mode."""
    step = _kernel_stretch(k, lwp, cycles, recorded)
    if step is not None:
        yield step


def _kernel_stretch(k: Kernel, lwp: Lwp, cycles: int, recorded: bool) -> Step | None:
    """The same; what is left of it to be made."""
    if recorded and cycles:
        cycles = k.hooks.deduct(lwp, cycles)
    return k.hooks.at_once(lwp, work(cycles, Syscall.work)) if cycles > 0 else None


def _user(k: Kernel, lwp: Lwp, operation: program.User) -> Proc:
    """Touch the pages, faulting in what is missing, then compute."""
    touches = operation.touches
    if lwp.resident:
        enter_resident(k, lwp, touches)
    if touches:
        step = k.hooks.at_once(lwp, touch(touches, 0, True, User.touch))
        if step is not None and (at := (yield step)) >= 0:
            yield from _fault_in(k, lwp, operation, at)
    cycles = operation.cycles
    if operation.recorded and cycles:
        cycles = k.hooks.deduct(lwp, cycles)
    if cycles > 0:
        step = k.hooks.at_once(lwp, user(cycles, User.work))
        if step is not None:
            yield step


def _fault_in(k: Kernel, lwp: Lwp, operation: program.User, at: int) -> Proc:
    """Page number *at* has faulted: touch the rest, until nothing faults any more."""
    touches = operation.touches
    tries = 0
    while at >= 0:
        tries += 1
        if tries > 4 * len(touches) + 16:
            raise ModelError(f"{lwp.l_name}: user access at {touches[at][0]:#x} faults endlessly")
        if operation.recorded:
            k.hooks.count(lwp.l_cpu, "faults of the model")
        yield from page_fault(k, lwp, touches[at][0], touches[at][1], 0, False)
        at = yield touch(touches, at, True, User.touch)


def _fault(k: Kernel, lwp: Lwp, operation: program.Fault) -> Proc:
    """A recorded page fault: it happens whether or not the model's tables would fault."""
    if lwp.l_proc.pmap is k.pmap_kernel:
        return
    yield from page_fault(k, lwp, operation.va, operation.access, operation.cycles, operation.recorded)


class UvmFault(TakesRwLock, TakesMutex, name="uvm_fault", cause="kernel work"): ...


def page_fault(k: Kernel, lwp: Lwp, va: int, access: Access, cycles: int, recorded: bool) -> Proc:
    """From the faulting access through uvm_fault and pmap_enter back to user mode."""
    k.hooks.call_begin(lwp, program.PAGE_FAULT)
    yield from k.hooks.straight(fault_enter, k, lwp)
    if cycles:
        yield from _kernel_work(k, lwp, cycles, recorded)
    else:
        yield cost("fault_work", Trap.uvm_fault)
    pmap = lwp.l_proc.pmap
    lock = lwp.l_proc.vm_map_lock
    yield from rw_enter_read(lock, lwp, UvmFault)
    base = va // PAGE_SIZE * PAGE_SIZE
    if base not in lwp.l_proc.pages or not (yield from uvm_pages.fault(k, lwp, base, access)):
        old = pmap_extract(k, pmap, base)
        write = access is Access.WRITE or bool(old & W)
        pa = old & FRAME if old else k.mem.alloc_page(f"{pmap.name} page")
        execute = access is Access.EXEC or not write
        yield from pmap_enter(k, lwp, pmap, base, pa, write, execute, written=access is Access.WRITE)
        yield from pmap_update(k, lwp, pmap)
    yield from rw_exit(lock, lwp, UvmFault)
    yield from k.hooks.straight(userret, k, lwp, "iret")
    k.hooks.call_end(lwp)


def _device_interrupt(k: Kernel, lwp: Lwp, operation: program.Interrupt) -> Proc:
    """A recorded device interrupt that hits this LWP: the handler runs at its level, with interrupts on."""
    yield from k.design.enter_trap(k, lwp)
    k.hooks.count(lwp.l_cpu, "interrupts")
    k.hooks.count(lwp.l_cpu, "device interrupts")
    previous = yield spl(IPL_VM, Interrupt.raise_level)
    yield touch(k.pages_of(lwp, "interrupt"), 0, False, Interrupt.kernel_working_set)
    yield sti(Interrupt.sti)
    k.hooks.handler_begins(operation.cycles)
    yield work(operation.cycles, Device.handler)
    yield cli(Interrupt.cli)
    yield spl(previous, Interrupt.lower_level)
    yield from k.hooks.straight(userret, k, lwp, "iret")


def _syscall(k: Kernel, lwp: Lwp, operation: program.Syscall) -> Proc:
    """A system call; true if it ended the LWP."""
    k.hooks.call_begin(lwp, program.Call(operation.name, operation.number))
    yield from k.hooks.straight(syscall_enter, k, lwp, operation.made_up)
    if (yield from _run_body(k, lwp, operation)):
        yield from exit1(k, lwp)
        return True
    yield from k.hooks.straight(userret, k, lwp, "sysret")
    k.hooks.call_end(lwp)
    return False


def _bare_syscall(k: Kernel, lwp: Lwp, operation: program.Syscall) -> Proc:
    """A system call that does nothing but compute, so cannot end the LWP."""
    yield from _syscall(k, lwp, operation)


def _run_body(k: Kernel, lwp: Lwp, operation: program.Syscall) -> Proc:
    """Kernel work and operations of a system call; true at an exit."""
    recorded = operation.recorded
    step = _kernel_stretch(k, lwp, operation.cycles, recorded)
    if step is not None:
        yield step
    for part in operation.body:
        if type(part) is program.Work:  # without a generator of its own: there is one in nearly every call
            step = _kernel_stretch(k, lwp, part.cycles, recorded)
            if step is not None:
                yield step
        elif isinstance(part, program.Exit):
            return True
        else:
            yield from _kernel_op(k, lwp, part, recorded)
    return False


class Kpause(Procedure, name="kpause", cause="scheduler"):
    callout = site("callout")


def _kernel_op(k: Kernel, lwp: Lwp, part: program.KernelOp, recorded: bool) -> Proc:
    """One operation inside a system call."""
    match part:
        case program.Map():
            k.hooks.count(lwp.l_cpu, "mmap")
        case program.Unmap(start, end, shared):
            yield from unmap(k, lwp, start, end, shared=shared)
        case program.Protect(start, end, write, none):
            yield from protect(k, lwp, start, end, write, none)
        case program.Block(channel):
            yield from block_on(k, lwp, channel)
        case program.Wake(channel):
            yield from wakeup(k, lwp.l_cpu, channel)
        case program.Sleep(cycles):
            yield timer(cycles, Kpause.callout)
            yield from block_on(k, lwp, f"timer/{lwp.key}")
        case program.Yield():
            yield from mi_switch(k, lwp)
        case program.Fork(child, thread):
            yield from fork1(k, lwp, child, thread)
        case program.Exec(who):
            yield from execve(k, lwp)
            if who is not None:
                k.hooks.renamed(lwp, who)
        case program.Sysctl(value):
            yield from sysctl_machdep_svs_enabled(k, lwp, value)
        case program.Mark():
            k.hooks.mark(lwp, part)


class Fork1(Procedure, name="fork1", cause="kernel work"):
    proc_and_lwp = site("proc and lwp")


class UvmspaceFork(TakesRwLock, name="uvmspace_fork", cause="kernel work"): ...


def fork1(k: Kernel, lwp: Lwp, spec: LwpSpec, thread: bool) -> Proc:
    """A new LWP in this process, or a new process whose pages the parent loses write permission for."""
    yield cost("fork_work", Fork1.proc_and_lwp)
    if thread:
        proc = lwp.l_proc
    else:
        pmap: Pmap = yield from pmap_create(k, lwp.l_cpu, spec.group)
        parent = lwp.l_proc.pmap
        lock = lwp.l_proc.vm_map_lock
        yield from rw_enter_write(lock, lwp, UvmspaceFork)
        proc = Process(spec.group, pmap)
        copied = (yield from uvm_pages.fork_entries(k, lwp, proc)) if spec.inherits else ()
        for start, end in mapped_ranges(k, parent) if parent is not k.pmap_kernel else ():
            if may_be_written(k, parent, start):  # else it needs copying since an earlier fork (UVM_ET_NEEDSCOPY)
                yield from pmap_write_protect(k, lwp, parent, start, end)
        yield from pmap_update(k, lwp, parent)
        for page in copied:
            k.hooks.page_write_protected(page)
        yield from rw_exit(lock, lwp, UvmspaceFork)
    lwp.nforks += 1
    child = new_lwp(k, spec, proc, lwp.l_cpu, f"{lwp.key}.{lwp.nforks}")
    k.hooks.count(lwp.l_cpu, "forks")
    yield from sched_enqueue(k, lwp.l_cpu, child, sched_takecpu(k, lwp.l_cpu, child))


class Execve(Procedure, name="execve", cause="kernel work"):
    image = site("image")


def execve(k: Kernel, lwp: Lwp) -> Proc:
    """Replace the image: the same pmap, emptied (uvmspace_exec)."""
    yield cost("exec_work", Execve.image)
    k.hooks.count(lwp.l_cpu, "execs")
    lwp.resident = False
    if lwp.l_proc.p_nlwps == 1:
        yield from empty_pmap(k, lwp, lwp.l_proc, dying=False)
        return
    # A vfork child shares its parent's space until now: it gets one of its own (uvmspace_exec, shared case).
    pmap: Pmap = yield from pmap_create(k, lwp.l_cpu, f"{lwp.l_name}.exec")
    yield from pmap_deactivate(k, lwp.l_cpu, lwp)
    old, lwp.l_proc = lwp.l_proc, Process(lwp.l_name, pmap)
    lwp.l_proc.p_nlwps = 1
    yield from pmap_activate(k, lwp)
    # Only now (uvmspace_free): who shared the space may have exited meanwhile, and left it to this one.
    old.p_nlwps -= 1
    if not old.p_nlwps:
        yield from empty_pmap(k, lwp, old, dying=True)
        yield from pmap_destroy(k, lwp.l_cpu, old.pmap)


class Exit1(Procedure, name="exit1", cause="kernel work"):
    proc = site("proc")


def exit1(k: Kernel, lwp: Lwp) -> Proc:
    """The LWP ends; the last one of a process tears the pmap down (uvm_proc_exit, uvmspace_free)."""
    yield cost("exit_work", Exit1.proc)
    proc = lwp.l_proc
    if proc.p_nlwps == 1:
        pmap = proc.pmap
        yield from pmap_deactivate(k, lwp.l_cpu, lwp)
        # As proc0's (uvm_proc_exit).  LWPs that exited before may be on their CPUs still: they keep the old pmap.
        lwp.l_proc = Process(proc.name, k.pmap_kernel)
        lwp.l_proc.p_nlwps = 1
        yield from pmap_activate(k, lwp)
        yield from empty_pmap(k, lwp, proc, dying=True)
        yield from pmap_destroy(k, lwp.l_cpu, pmap)
    yield from lwp_exit(k, lwp)


def lwp_exit(k: Kernel, lwp: Lwp) -> Proc:
    """Leave the CPU for the last time."""
    lwp.l_proc.p_nlwps -= 1
    k.hooks.count(lwp.l_cpu, "exits")
    lwp.l_stat = LSZOMB
    yield from mi_switch(k, lwp)
    raise ModelError(f"{lwp.l_name} runs after its exit")
