"""The three machines against their sources, IPIs from the topology, interrupts that wait, the timer at HZ = 100."""

from __future__ import annotations

import pytest

from sim.hardware.cpu import VECTOR_TIMER
from sim.hardware.cpu import VECTOR_TLB as TLB
from sim.kernel.designs import make_design
from sim.kernel.program import LwpSpec, Syscall, User, Workload
from sim.timed.amounts import Amounts
from sim.timed.costs import load_costs
from sim.timed.machine import HZ, TimedMachine

# (entries, ways) by published figure: G1 to G4, and section 10 (Q3, Q4) for what those leave open.
GEOMETRIES = {
    "haswell": {"l1d_4k": (64, 4), "l1d_2m": (32, 4), "l1i_4k": (128, 4), "l1i_2m": (8, 8), "stlb": (1024, 8)},
    "skylake-client": {"l1d_4k": (64, 4), "l1d_2m": (32, 4), "l1i_4k": (128, 8), "l1i_2m": (8, 8), "stlb": (1536, 12)},
    "skylake-server": {"l1d_4k": (64, 4), "l1d_2m": (32, 4), "l1i_4k": (128, 8), "l1i_2m": (8, 8), "stlb": (1536, 12)},
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_tlb_geometry(name):
    tlb = load_costs(name).tlb
    for part, (entries, ways) in GEOMETRIES[name].items():
        assert getattr(tlb, part) == (entries, ways)
        assert entries % ways == 0


def machine(cpus=2, programs=(), profile="none", shape="skylake-server"):
    lwps = [LwpSpec(f"l{n}", iter(program), f"g{n}", cpu=n % cpus, bound=True) for n, program in enumerate(programs)]
    design = make_design(profile, None)
    return TimedMachine(Workload("t", cpus, lwps), design, load_costs(shape), cpus, Amounts(), fast=False)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_ipi_latency_is_that_of_the_smallest_thing_that_holds_both_cpus(name):
    costs = load_costs(name)
    made = machine(64, shape=name)
    table = costs.cycles()
    shape = costs.topology
    thing = [shape.threads_per_core, shape.threads_per_core * shape.cores_per_cluster]
    thing.append(thing[-1] * shape.clusters_per_socket)
    for a, b in ((0, 1), (0, 5), (3, 4), (0, 63), (20, 27), (63, 62)):
        level = next((i for i, size in enumerate(thing) if a // size == b // size), 3)
        distance = ("same_core", "cluster", "socket", "remote")[level]
        assert made.topology.distance(a, b) == distance
        assert made.interconnect.ipi_cost[a][b] == table[f"ipi_latency_{distance}"]


def test_an_ipi_arrives_after_its_latency():
    made = machine(4)
    made.interconnect.send_ipi(0, TLB, 0b1010)
    due = made.interconnect.ipi_cost[0][1]
    made.env.run(until=made.env.timeout(due - 1))
    assert [cpu.apic.pending for cpu in made.cpus] == [{}] * 4
    made.env.run(until=made.env.timeout(1 + made.interconnect.ipi_cost[0][3] - due))
    assert [TLB in cpu.apic.pending for cpu in made.cpus] == [False, True, False, True]


@pytest.mark.parametrize("cpus", [1, 3])
def test_every_cpu_ticks_a_hundred_times_a_second(cpus):
    made = machine(cpus, [[User(30_000_000, ())] for _ in range(cpus)])
    assert HZ == 100
    tick = made.costs.frequency_hz // 100
    times = []
    for cpu in made.cpus:
        post = cpu.post
        cpu.post = lambda v, p=(), i=cpu.index, post=post: (
            times.append((i, made.env.cycle)) if v == VECTOR_TIMER else 0,
            post(v, p),
        )
    elapsed = made.run()
    for i in range(cpus):
        own = [t for n, t in times if n == i]
        assert own[0] == (i + 1) * tick // cpus, "staggered"
        assert all(b - a == tick for a, b in zip(own, own[1:], strict=False))
        assert len(own) == (elapsed - own[0]) // tick + 1 if elapsed >= own[0] else not own


def test_kernel_time_is_interrupted_by_the_timer_too():
    made = machine(1, [[Syscall("long", 100_000_000)]])
    made.run()
    assert made.recorder.counters["timer interrupts"] >= 3
