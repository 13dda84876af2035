"""Operations whose pages push one another out of the first-level TLB: counted, and the same as by the plain engine."""

import os
from copy import copy
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.errors import Standstill
from sim.kernel.designs import PROFILES, make_design
from sim.kernel.program import DeviceInterrupt, LwpSpec, Syscall, User, Workload
from sim.timed.amounts import Amounts
from sim.timed.costs import load_costs
from sim.timed.machine import TimedMachine
from sim.timed.paired import run_paired
from tests.timed.eager import be_eager
from tests.timed.test_aside import steady
from tests.timed.test_engines import disturbed
from tests.timed.test_runs import facts, touches

EXAMPLES = int(os.environ.get("SVS_ENGINES", "15"))


def costs(free=False, **shape):
    """The usual costs, on a machine whose TLBs have another shape; *free*: a hit in the second level costs nothing."""
    table = load_costs().with_cycles({"stlb_hit_data": 0}) if free else copy(load_costs())
    table.tlb = replace(table.tlb, **shape)
    return table


def outcome(source, **options):
    try:
        return facts(run_paired(source, baseline="none", seed=0, **options))
    except Standstill as error:
        return str(error)


@st.composite
def crowded(draw):
    """LWPs that make the same few calls many times, and touch pages that need not all fit."""
    mixed = st.lists(
        st.builds(
            lambda pages, work, call: [User(work, touches(pages)), Syscall("call", call)],
            st.lists(st.integers(0, 12), max_size=6), st.integers(1, 400), st.integers(0, 300),
        ),
        min_size=1, max_size=3,
    )  # fmt: skip
    programs = [
        [operation for part in draw(mixed) for operation in part] * draw(st.integers(10, 120))
        for _ in range(draw(st.integers(1, 3)))
    ]
    times = sorted(draw(st.lists(st.integers(1, 200_000), max_size=3)))
    direct = draw(st.booleans())
    pages = draw(st.sampled_from([{}, {"syscall": 2}, {"syscall": 14}]))

    def made():
        lwps = [LwpSpec(str(n), iter(program), f"own{n}") for n, program in enumerate(programs)]
        devices = [DeviceInterrupt(at, n, 300 + n) for n, at in enumerate(times)]
        return replace(Workload("crowded", 2, lwps), interrupts=iter(devices), kernel_pages=pages, direct_map=direct)

    return made, draw(st.sampled_from([1, 2, 3]))


shapes = st.one_of(
    st.just({}),
    st.builds(
        lambda data, code, large: {"l1d_4k": data, "l1i_4k": code, "l1d_2m": large, "l1i_2m": large},
        st.sampled_from([(4, 2), (8, 2), (8, 4), (16, 4)]), st.sampled_from([(2, 1), (4, 2), (8, 8)]),
        st.sampled_from([(1, 1), (2, 2), (4, 2)]),
    ),
)  # fmt: skip


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    case=st.one_of(crowded(), crowded(), steady(), disturbed()), shape=shapes,
    second=st.sampled_from([24, 96, 1536]), profile=st.sampled_from(list(PROFILES)), pcid=st.booleans(),
    free=st.booleans(),
)  # fmt: skip
def test_engines_agree_whatever_pushes_what_out(case, shape, second, profile, pcid, free, monkeypatch):
    source, cpus = case
    be_eager(monkeypatch)
    options = {"profile": profile, "pcid": pcid, "cpus": cpus, "costs": costs(free, **shape, stlb=(second, 12))}
    assert outcome(source, engine="fast", **options) == outcome(source, engine="plain", **options)


@pytest.mark.parametrize("profile", ["none", "svs-netbsd9"])
def test_a_second_level_that_costs_nothing_is_noticed(profile):
    """Pages of one set, each touched twice: the second time it is there, and so it would be known to be."""
    call, crowd = [Syscall("a", 100)], [User(50, touches([3, 3, 19, 19, 35, 35, 51, 51]))]
    program = (crowd + call) * 6 + call * 30 + crowd + call * 20

    def source():
        return Workload("free", 1, [LwpSpec("0", iter(program), "own0")])

    options = {"profile": profile, "pcid": True, "cpus": 1, "costs": costs(free=True)}
    assert outcome(source, engine="fast", **options) == outcome(source, engine="plain", **options)


def busy(cpus, **shape):
    """A machine all of whose CPUs make null system calls, on few sets of few ways."""
    program = [User(100), Syscall("null", 100)] * 400
    lwps = [LwpSpec(str(n), iter(program), f"own{n}") for n in range(cpus)]
    machine = TimedMachine(Workload("busy", cpus, lwps), make_design("svs-netbsd9", True), costs(**shape), cpus,
                           Amounts(), fast=True)  # fmt: skip
    machine.run()
    return machine


def test_they_are_counted():
    """Otherwise each would be made in full, and nobody would see it but on a clock."""
    machine = busy(1, l1d_4k=(8, 2))
    (player,) = machine.recorder.players.values()
    assert player.counting.counted == 781  # of 800
    assert machine.recorder.counters["STLB hits, kernel"] > 800  # at least one in each of the calls


def test_their_cpus_stand_aside():
    machine = busy(2, l1d_4k=(8, 2))
    assert [player.counting.counted for player in machine.recorder.players.values()] == [704, 706]
    assert [player.walked for player in machine.recorder.players.values()] == [18, 19]
