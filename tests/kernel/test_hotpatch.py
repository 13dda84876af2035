"""SVS patched out of the entry code: svs_disable_hotpatch of svs.c 1.16, x86_hotpatch, frameasm.h 1.38."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from sim.errors import HalfPatched, MachineCheck
from sim.kernel.disable import svs_disable_cpu
from sim.kernel.hotpatch import HALF, NAMES, PLAIN, SVS, SVS_ENTER, SVS_ENTER_ALT, SVS_LEAVE, svs_disable_hotpatch
from tests.kernel.machines import Bench
from tests.kernel.test_order import in_user_mode


def made(profile="svs-netbsd8"):
    bench = Bench(profile, 2)
    lwp = bench.lwp("a")
    bench.load(lwp)
    return bench, lwp


def test_sites_change_one_after_another_each_from_its_first_byte():
    bench, _ = made()
    seen = [tuple(bench.k.svs_code.v)]
    for step in bench.steps(svs_disable_hotpatch(bench.k)):
        bench.take(step, 0)
        seen.append(tuple(bench.k.svs_code.v))
    done = (PLAIN,) * 4
    assert seen == [(SVS,) * 4] + [
        done[:at] + (what,) + (SVS,) * (3 - at) for at in range(4) for what in (HALF, PLAIN)
    ] + [done]  # fmt: skip
    assert NAMES == ("SVS_ENTER", "SVS_ENTER_ALT", "SVS_LEAVE", "SVS_LEAVE_ALT")


def test_where_nobody_acts_in_between_it_is_one_cost():
    """What a timed run makes of it: the steps of 2018 and their costs, as before."""
    bench, _ = made()
    bench.k.barriers[0].v[0] = bench.k.barriers[1].v[0] = 1
    assert bench.operations(svs_disable_cpu(bench.k, bench.k.cpus[0])) == [
        "cli", "rmw svs_cpu_barrier1", "wait svs_cpu_barrier1", "store svs_enabled", "cli", "pge True",
        "rmw svs_cpu_barrier2", "wait svs_cpu_barrier2", "sti",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "from_user", "procedure"),
    [
        (SVS_ENTER, True, lambda k, lwp: k.design.enter_trap(k, lwp)),
        (SVS_LEAVE, True, lambda k, lwp: k.design.leave(k, lwp, "iret")),
        (SVS_LEAVE, True, lambda k, lwp: k.design.leave(k, lwp, "sysret")),
        (SVS_ENTER_ALT, True, lambda k, lwp: k.design.enter_nmi(k, lwp, True)),
        (SVS_ENTER_ALT, False, lambda k, lwp: k.design.enter_nmi(k, lwp, False)),
    ],
)
def test_a_site_does_what_is_there_when_it_is_run(at, from_user, procedure):
    for found in (SVS, HALF, PLAIN):
        bench, lwp, ci = in_user_mode("svs-netbsd8")
        if not from_user or at == SVS_LEAVE:
            bench.run(bench.k.design.enter_syscall(bench.k, lwp))
        bench.k.svs_code.v[at] = found
        if found == HALF:
            with pytest.raises(HalfPatched, match=NAMES[at]):
                bench.run(procedure(bench.k, lwp))
            continue
        before = ci.cpu.cr3_pa
        # Without SVS's code an NMI's handler is fetched on the tables found.
        with pytest.raises(MachineCheck) if (at, from_user, found) == (SVS_ENTER_ALT, True, PLAIN) else nullcontext():
            bench.run(procedure(bench.k, lwp))
        assert (ci.cpu.cr3_pa != before) is (from_user and found == SVS)


@pytest.mark.parametrize(("profile", "passed"), [("svs-2018-02", True), ("svs-netbsd8", True), ("svs-netbsd9", False)])
def test_who_returns_to_the_kernel_passes_the_way_out_as_long_as_it_can_be_patched(profile, passed):
    bench, _ = made(profile)
    bench.k.svs_code.v[SVS_LEAVE] = HALF
    if passed:
        with pytest.raises(HalfPatched):
            bench.k.design.leave_to_kernel(bench.k, bench.k.cpus[0])
    else:
        bench.k.design.leave_to_kernel(bench.k, bench.k.cpus[0])
