"""fork, exec, exit and machdep.svs.enabled on the machine of one step at a time.

Read: uvm_map.c (uvmspace_fork, uvmspace_exec, uvmspace_free, uvm_unmap_remove and VM_MAP_DYING), uvm_glue.c
(uvm_proc_exit), svs.c 1.11 and 1.16 (svs_disable, svs_disable_cpu, sysctl_machdep_svs_enabled).
"""

from __future__ import annotations

import pytest

from sim.errors import ModelError
from sim.hardware.paging import D, P, W
from sim.hardware.steps import Op
from sim.kernel import disable, mappings, process
from sim.kernel.layout import PAGE_SIZE
from sim.kernel.lwp import LSONPROC, LSZOMB
from sim.kernel.pmap import pmap_load
from sim.kernel.program import LwpSpec
from tests.kernel.machines import SMALL, Bench
from tests.kernel.test_order import VA

PAGES = 2


def parent(profile="svs-netbsd8", cpus=1):
    """An LWP with two written pages; its pmap is loaded."""
    bench = Bench(profile, cpus)
    lwp = bench.lwp("a")
    bench.load(lwp)
    for n in range(PAGES):
        pa = bench.mem.alloc_page("data")
        proc = mappings.pmap_enter(bench.k, lwp, lwp.l_proc.pmap, VA + n * PAGE_SIZE, pa, True, False, written=True)
        bench.run(proc)
    return bench, lwp, lwp.l_proc.pmap


def until_switch(bench, proc, cpu=0):
    """Operations of *proc* until the CPU goes on with another LWP."""
    ops = bench.operations(proc, cpu)
    assert ops[-1] == "switch"
    return ops


def entries(bench, space):
    return [mappings.pmap_extract(bench.k, space, VA + n * PAGE_SIZE) for n in range(PAGES)]


def test_fork_makes_a_pmap_then_takes_write_permission_then_updates():
    bench, lwp, space = parent()
    flushes = len(bench.k.pmaps)
    spec = LwpSpec("child", iter(()), "child")
    ops = bench.operations(process.fork1(bench.k, lwp, spec, False))
    cas = [i for i, op in enumerate(ops) if op == "rmw a L1"]
    lock, unlock = ops.index("acquire a.pm_lock"), ops.index("release a.pm_lock")
    assert len(cas) == PAGES
    assert ops[0] == "load a.vm_map.rw_owner", "vm_map is locked for writing around it"
    assert lock < cas[0] < cas[-1] < unlock
    flush = [op for op in ops[unlock:] if op.startswith("invlpg")]
    assert flush == [f"invlpg {VA + n * PAGE_SIZE:#x}" for n in reversed(range(PAGES))], "one update after all of them"
    assert ops.index(flush[-1]) < max(i for i, op in enumerate(ops) if op == "rmw a.vm_map.rw_owner")
    assert [entry & (P | W | D) for entry in entries(bench, space)] == [P | D] * PAGES
    assert len(bench.k.pmaps) == flushes + 1


def test_a_second_fork_finds_the_pages_marked_for_copying():
    bench, lwp, space = parent()
    bench.run(process.fork1(bench.k, lwp, LwpSpec("one", iter(()), "one"), False))
    ops = bench.operations(process.fork1(bench.k, lwp, LwpSpec("two", iter(()), "two"), False))
    assert "rmw a L1" not in ops


def test_a_new_lwp_shares_the_pmap():
    bench, lwp, space = parent()
    ops = bench.operations(process.fork1(bench.k, lwp, LwpSpec("t", iter(()), "a"), True))
    assert not any("pm_lock" in op for op in ops)
    assert lwp.l_proc.p_nlwps == 2


def test_exec_empties_the_pmap_with_one_flush_of_everything_and_keeps_it():
    bench, lwp, space = parent()
    tables = list(space.ptp_wire)
    ops = bench.operations(process.execve(bench.k, lwp))
    last_zap = max(i for i, op in enumerate(ops) if op == "rmw a.pm_pdir")
    assert [op for op in ops if op.startswith(("invlpg", "cr3"))] == ["cr3 a.pm_pdir"]
    assert ops.index("cr3 a.pm_pdir") > last_zap
    assert lwp.l_proc.pmap is space
    assert entries(bench, space) == [0] * PAGES
    assert all(bench.mem.is_free(pa) for pa in tables)
    assert (lwp.md_gc_pmap, lwp.md_gc_ptp) == (None, [])


def test_exec_of_one_that_shares_its_space_gets_another():
    bench, lwp, space = parent()
    lwp.l_proc.p_nlwps = 2
    ops = bench.operations(process.execve(bench.k, lwp))
    assert lwp.l_proc.pmap is not space
    assert ops == [
        "load cpu0.tp_count", "load cpu0.ci_want_pmapload", "store cpu0.ci_tlbstate",  # pmap_deactivate
        "store cpu0.ci_want_pmapload",  # pmap_activate
    ]  # fmt: skip


def test_exit_of_the_last_lwp_leaves_without_a_flush():
    """uvm_proc_exit: kernel pmap first; the dying map's shootdown is spared, its tables wait for the last reference."""
    bench, lwp, space = parent()
    k, ci = bench.k, bench.k.cpus[0]
    tables = list(space.ptp_wire)
    ops = until_switch(bench, process.exit1(k, lwp))
    assert ops[:3] == ["load cpu0.tp_count", "load cpu0.ci_want_pmapload", "store cpu0.ci_tlbstate"]
    assert ops[3] == "acquire a.pm_lock"
    assert not any(op.startswith(("invlpg", "invpcid", "ipi")) for op in ops)
    assert not any(op.startswith("cr3") for op in ops), "the tables stay in CR3, lazily"
    assert space.number in k.pmaps, "this CPU's reference keeps it"
    assert sorted(space.pm_gc_ptp) == sorted(tables)
    assert lwp.l_stat == LSZOMB
    assert ci.cpu.cr3_pa == space.pm_pdirpa
    assert mappings.mapped_ranges(k, space) == []


def test_exit_of_another_lwp_than_the_last_tears_nothing_down():
    bench, lwp, space = parent()
    lwp.l_proc.p_nlwps = 2
    ops = until_switch(bench, process.exit1(bench.k, lwp))
    assert not any("pm_lock" in op for op in ops)
    assert lwp.l_proc.p_nlwps == 1
    assert all(entries(bench, space))


def test_an_lwp_that_left_before_the_last_keeps_the_pmap_it_has_to_deactivate():
    """It may be on its CPU still when the last one lets the address space go: lwp_exit and exit1 overlap."""
    bench, lwp, space = parent()
    shared = lwp.l_proc
    until_switch(bench, process.exit1(bench.k, lwp))
    assert shared.pmap is space
    assert lwp.l_proc.pmap is bench.k.pmap_kernel


def test_an_lwp_that_runs_after_its_exit_is_a_model_error():
    bench, lwp, _ = parent()
    proc, value = process.exit1(bench.k, lwp), None
    while (step := proc.send(value))[0] is not Op.SWITCH:
        value = bench.take(step, 0)
    ci = bench.k.cpus[0]
    ci.ci_curlwp, lwp.l_stat = lwp, LSONPROC  # somebody has made it run again
    with pytest.raises(ModelError, match="after its exit"):
        bench.run(proc)


# --- machdep.svs.enabled --------------------------------------------------------------------------------------------


def sysctl(bench, lwp, value):
    """The answer of the sysctl if it needs nobody else, or None if it goes to sleep."""
    return bench.run(disable.sysctl_machdep_svs_enabled(bench.k, lwp, value), lwp.l_cpu.ci_index)


@pytest.mark.parametrize(("profile", "value", "answer"), [
    ("svs-netbsd8", 1, 0),
    ("svs-2018-02", 1, disable.EINVAL),
    *((profile, value, disable.EPERM) for profile in ("svs-netbsd9", "svs-netbsd10") for value in (0, 1)),
    ("none", 0, 0),
    ("none", 1, disable.EOPNOTSUPP),
    ("pti", 0, 0),
])  # fmt: skip
def test_answers_that_change_nothing(profile, value, answer):
    bench, lwp, _ = parent(profile)
    before = bench.k.design
    assert sysctl(bench, lwp, value) == answer
    assert bench.k.design is before
    assert bench.k.sysctl_queue == []


def test_an_offline_cpu_forbids_it():
    bench, lwp, _ = parent("svs-netbsd8", 2)
    bench.k.cpus[1].ci_online = False
    assert sysctl(bench, lwp, 0) == disable.EOPNOTSUPP
    assert bench.k.svs_enabled.v[0] == 1
    assert bench.k.cpu_lock.owner is None


def test_disabling_sets_both_barriers_before_it_wakes_the_cpus():
    bench, lwp, _ = parent("svs-netbsd8", 2)
    ops = until_switch(bench, disable.sysctl_machdep_svs_enabled(bench.k, lwp, 0))
    at = ops.index("load svs_enabled")
    assert ops[at : at + 6] == [
        "load svs_enabled", "acquire cpu_lock", "store svs_cpu_barrier1", "store svs_cpu_barrier2", "store xc_wait",
        "release cpu_lock",
    ]  # fmt: skip
    assert [word.v[0] for word in bench.k.barriers] == [2, 2]
    other = bench.lwp("b", cpu=1)
    bench.load(other)
    bench.run(bench.k.design.lwp_switch(bench.k, other.l_cpu, None, other), 1)
    assert sysctl(bench, other, 0) is None, "one caller at a time"
    assert len(bench.k.sysctl_queue) == 2


@pytest.mark.parametrize("cpu", [0, 1])
@pytest.mark.parametrize("profile", ["svs-2018-02", "svs-netbsd8"])
def test_what_each_cpu_does_between_the_barriers(profile, cpu):
    """1.11 saves psl and leaves interrupts on; 1.16 turns them off.  Both turn them off where CPU 0 patches."""
    bench, lwp, _ = parent(profile, 2)
    k = bench.k
    for word in k.barriers:
        word.v[0] = 1  # the other CPU is through
    ops = bench.operations(disable.svs_disable_cpu(k, k.cpus[cpu]), cpu)
    off, on = (["cli"], ["sti"]) if profile == "svs-netbsd8" else ([], [])
    window = ["store svs_enabled", "cli", *([] if off else ["sti"])]  # x86_patch_window_open, _close
    assert ops == [
        *off, "rmw svs_cpu_barrier1", "wait svs_cpu_barrier1",
        *(window if cpu == 0 else []),
        "pge True", "rmw svs_cpu_barrier2", "wait svs_cpu_barrier2", *on,
    ]  # fmt: skip
    assert k.design.isolates is (cpu == 1)
    assert k.cpus[cpu].cpu.pge
    assert k.cpus[cpu].cpu.intr


@pytest.mark.parametrize(("profile", "again"), [("svs-2018-02", disable.EINVAL), ("svs-netbsd8", disable.EOPNOTSUPP)])
def test_once_off_it_stays_off_but_every_load_still_copies(profile, again):
    """cpu_load_pmap calls svs_pdir_switch without a look at svs_enabled (cpu.c before 1.159)."""
    bench, lwp, _ = parent(profile, 1)
    k = bench.k
    k.barriers[0].v[0] = k.barriers[1].v[0] = 1
    bench.run(disable.svs_disable_cpu(k, k.cpus[0]))
    other = bench.lwp("other")
    slots = SMALL.user_slots
    other.l_cpu.ci_want_pmapload.v[0] = 1
    ops = bench.operations(pmap_load(k, other))
    assert ops.count("rmw other.pm_pdir") == ops.count("store cpu0 ci_svs_updir") == slots
    assert ops.index("acquire cpu0.ci_svs_mtx") < ops.index("rmw other.pm_pdir") < ops.index("cr3 other.pm_pdir")
    assert sysctl(bench, other, 0) == 0
    assert sysctl(bench, other, 1) == again


def test_nobody_passes_the_barrier_alone():
    bench, lwp, _ = parent("svs-netbsd8", 2)
    bench.k.barriers[0].v[0] = 2
    with pytest.raises(AssertionError, match="barrier1 would wait"):
        bench.run(disable.svs_disable_cpu(bench.k, bench.k.cpus[0]))
    assert bench.k.svs_enabled.v[0] == 1


def test_an_xcall_thread_sleeps_does_its_part_and_then_says_so():
    """xc_thread: the function first, then xc_donep; the last of them wakes who waits."""
    bench = Bench("svs-netbsd8", 1)
    k = bench.k
    thread = bench.lwp("xcall/0", system=True)
    k.barriers[0].v[0] = k.barriers[1].v[0] = 1
    k.tokens["xcall/0"] = 1  # the broadcast came first
    proc, value, ops = disable.xcall_thread(k, thread), None, []
    while "rmw xc_wait" not in ops or "release sleepq_mtx" not in ops[ops.index("rmw xc_wait") :]:
        step = proc.send(value)
        ops.append(bench.operation(step))
        value = bench.take(step, 0)
    order = ["acquire sleepq_mtx", "cli", "rmw svs_cpu_barrier1", "cli", "rmw svs_cpu_barrier2", "sti", "rmw xc_wait"]
    assert [op for op in ops if op in order] == [*order, "acquire sleepq_mtx"]
    assert k.tokens == {"xc_wait": 1}
