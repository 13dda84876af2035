"""What programs do: faults, unmapping, protecting, sleeping, recorded device interrupts, an LWP's life; in order.

Read: uvm_fault.c and uvm_map.c (uvm_fault, uvm_unmap, uvm_map_protect: the map is unlocked after pmap_update),
kern_time.c (kpause), kern_lwp.c, vector.S (interrupt stubs run their handlers with interrupts on).
"""

from __future__ import annotations

import pytest

from sim.hardware.cpu import IPL_VM
from sim.hardware.steps import Access, Op
from sim.kernel import boot, process
from sim.kernel.layout import PAGE_SIZE
from sim.kernel.program import Interrupt, LwpSpec, Sleep, Syscall, User
from tests.kernel.machines import Bench
from tests.kernel.test_order import VA, in_user_mode

MAP = ["load a.vm_map.rw_owner", "rmw a.vm_map.rw_owner"]


def marks(ops, *wanted):
    """The operations of *ops* that are among *wanted*, in order."""
    return [op for op in ops if op in wanted]


def test_a_fault_enters_updates_unlocks_and_returns():
    bench, lwp, _ = in_user_mode("svs-netbsd8")
    ops = bench.operations(process.page_fault(bench.k, lwp, VA, Access.WRITE, 0, False))
    entry = ["cli", "reg user False", "reg rsp", "write rsp0", "exec text.user", "read utls", "load cpu0 utls",
             "cr3 a.pm_pdir", "reg rsp", "read kstack", "sti"]  # fmt: skip
    assert ops[: len(entry)] == entry
    rest = ops[len(entry) :]
    assert rest[:3] == [*MAP, "acquire a.pm_lock"], "vm_map for reading, then the pmap"
    update = rest.index("load cpu0.tp_count")
    assert rest.index("release a.pm_lock") < update
    assert rest[update:] == [
        "load cpu0.tp_count", *MAP,
        "cli", "load cpu0.ci_want_resched", "load cpu0.ci_want_pmapload",
        "reg rsp", "cr3 cpu0 ci_svs_updir", "exec text.user", "read rsp0", "reg user True", "sti",
    ]  # fmt: skip


@pytest.mark.parametrize("change", ["unmap", "protect", "protect to nothing"])
def test_a_change_of_mappings_holds_vm_map_over_pmap_and_update(change):
    bench, lwp, _ = in_user_mode("svs-netbsd8")
    k = bench.k
    bench.run(process.page_fault(k, lwp, VA, Access.WRITE, 0, False))
    bench.run(k.design.enter_syscall(k, lwp))
    end = VA + PAGE_SIZE
    proc = process.unmap(k, lwp, VA, end) if change == "unmap" else process.protect(
        k, lwp, VA, end, False, change == "protect to nothing")  # fmt: skip
    pages = bench.mem.in_use
    ops = bench.operations(proc)
    order = ["rmw a.vm_map.rw_owner", "acquire a.pm_lock", "rmw a L1", "release a.pm_lock", f"invlpg {VA:#x}"]
    assert marks(ops, *order) == [*order, "rmw a.vm_map.rw_owner"]
    assert ops[:2] == ops[-2:] == MAP
    assert bench.mem.in_use == pages - (0 if change == "protect" else 4), "the page and three tables, after the update"


def test_a_recorded_device_interrupt_is_handled_at_its_level_with_interrupts_on():
    bench, lwp, ci = in_user_mode("svs-netbsd8")
    seen, working = [], []
    for step in bench.steps(process._device_interrupt(bench.k, lwp, Interrupt("disk", 500))):
        if step[0] is Op.WORK:
            working.append((ci.cpu.intr, ci.cpu.ipl))
        seen.append(bench.operation(step))
    assert working == [(True, IPL_VM)]
    at = seen.index(f"spl {IPL_VM}")
    assert marks(seen[at:], f"spl {IPL_VM}", "sti", "work", "cli", "spl 0", "reg user True") == [
        f"spl {IPL_VM}", "sti", "work", "cli", "spl 0", "cli", "reg user True", "sti",
    ]  # fmt: skip


def test_a_sleep_arms_its_timer_before_it_sleeps():
    bench, lwp, _ = in_user_mode("svs-netbsd8")
    bench.run(bench.k.design.enter_syscall(bench.k, lwp))
    body = Syscall("sleep", 0, (Sleep(100),))
    ops = bench.operations(process._run_body(bench.k, lwp, body))
    assert marks(ops, "timer", "acquire sleepq_mtx", "switch") == ["timer", "acquire sleepq_mtx", "switch"]


def test_an_lwps_life():
    """lwp_startup, the first return to user mode, its operations, exit."""
    bench = Bench("svs-netbsd8", 1)
    k, ci = bench.k, bench.k.cpus[0]
    proc = boot.first_process(k, "a")
    spec = LwpSpec("a", iter([User(10), Syscall("getpid", 5)]), "a")
    lwp = process.new_lwp(k, spec, proc, ci, "a")
    bench.put(lwp, 0)
    bench.run(k.design.lwp_switch(k, ci, None, lwp))
    ci.cpu.tss_rsp0 = k.design.rsp0(ci, lwp)
    ops = bench.operations(lwp.frames[0])
    life = ["store idle/0.l_ctxswtch", "store cpu0.ci_want_pmapload", "store cpu0.ci_pmap", "reg user True", "user",
            "reg user False", "switch"]  # fmt: skip
    found = marks(ops, *life)
    assert [op for n, op in enumerate(found) if not n or op != found[n - 1]] == [
        "store idle/0.l_ctxswtch", "store cpu0.ci_want_pmapload", "store cpu0.ci_pmap", "store cpu0.ci_want_pmapload",
        "reg user True", "user", "reg user False", "reg user True", "reg user False", "switch",
    ]  # fmt: skip


def test_a_kernel_lwps_life():
    bench = Bench("svs-netbsd8", 1)
    k = bench.k
    lwp = process.new_lwp(k, LwpSpec("k", iter([User(10)]), "k", system=True), k.kernel_proc, k.cpus[0], "k")
    bench.put(lwp, 0)
    ops = bench.operations(lwp.frames[0])
    assert marks(ops, "store idle/0.l_ctxswtch", "work", "switch") == ["store idle/0.l_ctxswtch", "work", "switch"]
    assert not any(op.startswith(("cr3", "reg user", "store cpu0.ci_want_pmapload")) for op in ops)
