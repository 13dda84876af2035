"""The fast engine against the plain one, and counts that only its short ways change.

``SVS_ENGINES=500 python -m pytest tests/timed/test_engines.py`` makes that many scenarios instead of a few.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenarios.catalogue import list_scenarios
from scenarios.open import open_scenario
from sim.errors import Standstill
from sim.hardware.memory import Words
from sim.hardware.steps import COST, Access
from sim.kernel.designs import PROFILES, make_design
from sim.kernel.program import Block, DeviceInterrupt, Fault, Fork, LwpSpec, Syscall, Sysctl, User, Work, Workload
from sim.kernel.svs import SvsPdirSwitch
from sim.timed.amounts import Amounts
from sim.timed.costs import load_costs
from sim.timed.machine import TimedMachine
from sim.timed.paired import run_paired
from sim.timed.slot_copies import SlotCopy
from tests.timed.test_runs import facts, run, touches, workloads

PAGES = [touches(pages) for pages in ([], [0], [1, 2], [0, 3, 4, 5])]  # of recorded stretches: the same objects
EXAMPLES = int(os.environ.get("SVS_ENGINES", "15"))
COSTS = load_costs()


def repeatable(operation):
    """Whether it can be done any number of times."""
    return isinstance(operation, User) or not any(isinstance(part, Block | Fork) for part in operation.body)


cheap = st.one_of(
    st.builds(lambda cycles, pages: User(cycles, touches(pages)), st.integers(1, 300), st.lists(st.integers(0, 6))),
    st.builds(lambda cycles: Syscall("call", cycles), st.integers(0, 300)),
    st.builds(lambda cycles, pages: User(cycles, PAGES[pages], True), st.integers(0, 900), st.integers(0, 3)),
    st.builds(lambda cycles: Syscall("recorded", 0, (Work(cycles),), True), st.integers(0, 900)),
    st.just(Syscall("recorded", 0, (), True)),
    st.builds(lambda page, cycles: Fault(touches([page])[0].va, Access.READ, cycles), st.integers(0, 3),
              st.integers(0, 300)),
)  # fmt: skip


@st.composite
def disturbed(draw):
    """A workload much of which repeats, with device interrupts at any cycle, and SVS turned off at one."""
    source = draw(workloads())
    times = sorted(draw(st.lists(st.integers(1, 60_000), max_size=12)))
    off = draw(st.none() | st.integers(1, 30_000))
    cpus = draw(st.sampled_from([None, 2, 8]))
    times_over = draw(st.integers(0, 12))
    loop = draw(st.lists(cheap, max_size=8)) * draw(st.integers(0, 60))

    def made():
        workload = source()
        for spec in workload.lwps:
            operations = list(spec.program)
            spec.program = iter(operations + list(filter(repeatable, operations)) * times_over + loop)
        if off is not None:
            workload.lwps.append(LwpSpec("off", iter([User(off), Syscall("sysctl", 50, (Sysctl(0),))]), "off"))
        devices = [DeviceInterrupt(at, n, 300 + n) for n, at in enumerate(times)]
        return replace(workload, interrupts=iter(devices))

    return made, cpus


def outcome(source, **options):
    """The facts of a pair of runs, or that the modelled kernel came to a standstill, and how."""
    try:
        return facts(run(source, **options))
    except Standstill as error:
        return str(error)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(case=disturbed(), profile=st.sampled_from(list(PROFILES)), pcid=st.booleans())
def test_engines_agree_whatever_comes_between(case, profile, pcid, monkeypatch):
    source, cpus = case
    monkeypatch.setattr("sim.timed.passages.player.OFTEN", 1)  # so that nearly everything is recorded
    monkeypatch.setattr("sim.timed.passages.player.LATE_OFTEN", 1)  # and made step by step where others are busy
    fast = outcome(source, profile=profile, pcid=pcid, cpus=cpus)
    plain = outcome(source, profile=profile, pcid=pcid, cpus=cpus, engine="plain")
    assert fast == plain


def both(scenario, profile, *, pcid=None, cpus=None):
    """The facts of both engines."""
    return [
        facts(
            run_paired(
                scenario.source, profile=profile, baseline="none", pcid=pcid, cpus=cpus or scenario.cpus,
                costs=scenario.costs, seed=scenario.seed, engine=engine,
            )
        )
        for engine in ("fast", "plain")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "iterations", "profile", "pcid", "cpus"),
    [
        ("context-switch", 40, "svs-netbsd9", True, 2),
        ("context-switch", 40, "pti", False, 2),
        ("mixed-server", 12, "svs-netbsd10", True, 8),
        ("thread-scaling", 6, "svs-netbsd8", False, 64),
        ("fork-exec", 6, "svs-netbsd9", False, 8),
    ],
)
def test_engines_agree_on_shipped_behaviours(name, iterations, profile, pcid, cpus):
    scenario = open_scenario(name, overrides={"group.0.iterations": iterations})
    fast, plain = both(scenario, profile, pcid=pcid, cpus=cpus)
    assert fast == plain


@pytest.mark.parametrize(
    ("name", "profile", "pcid"),
    [("redis", "svs-netbsd9", True), ("cc-build", "pti", True), ("pgbench-select", "svs-netbsd8", False)],
)
def test_engines_agree_on_the_beginning_of_a_recording(name, profile, pcid, tmp_path):
    (path,) = (entry.path for entry in list_scenarios() if entry.name == name)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        beginning = [line for line, _ in zip(file, range(1500), strict=False)]
    part = tmp_path / f"{name}.ftrace"
    part.write_text("".join(beginning), encoding="utf-8")
    fast, plain = both(open_scenario(str(part)), profile, pcid=pcid)
    assert fast == plain


def finished(engine, name="null-syscall"):
    """A machine that has made 200 null system calls, or as many iterations of another scenario."""
    scenario = open_scenario(name, overrides={"group.0.iterations": 200})
    design = make_design("svs-netbsd9", True)
    machine = TimedMachine(scenario.source(), design, COSTS, 1, Amounts(), fast=engine == "fast")
    machine.run()
    return machine


def test_only_the_fast_engine_notes_sequences():
    """Otherwise its short ways could stop working, and nobody would see it but on a clock."""
    fast, plain = (finished(engine, "mixed-server").cpus[0].cpu.tlb.known for engine in ("fast", "plain"))
    assert fast.sequences_noted == 701  # pages of bursts; working sets are part of passages but at a window's end
    assert (plain.sequences_noted, len(plain.pages)) == (0, 0)


def test_only_the_fast_engine_plays_passages():
    (player,) = finished("fast").recorder.players.values()
    assert (player.recorded, player.left) == (4, 0)  # computing, the call, the way in and the way out of faults
    assert player.played == 17  # six rounds and a call, and the last two of five faults
    assert player.counting.counted == 2 * (200 - 3 - 6) - 1  # the others, but for those before which few had been
    assert not finished("plain").recorder.players


def test_passages_are_recorded_and_walked_where_other_cpus_are_busy():
    scenario = open_scenario("null-syscall", overrides={"group.0.iterations": 200, "group.0.processes": 2})
    machine = TimedMachine(scenario.source(), make_design("svs-netbsd9", True), COSTS, 2, Amounts(), fast=True)
    machine.run()
    players = machine.recorder.players.values()
    assert [(player.recorded, player.walked, player.resumed) for player in players] == [(6, 13, 0), (6, 12, 0)]
    assert [player.counting.counted for player in players] == [319, 317]  # nearly all others, standing aside
    assert not any(player.failed for player in players)


def test_ways_that_read_descriptors_are_known_to_hit_as_one():
    """What the CPU reads by itself at a fault, and on the way out, is an access like any other, beside its cost."""
    faults = [Fault(touches([0])[0].va, Access.READ, 300, True)] * 400
    workload = Workload("faults", 1, [LwpSpec("a", iter(faults), "a")])
    machine = TimedMachine(workload, make_design("svs-netbsd9", True), COSTS, 1, Amounts(), fast=True)
    assert not machine.run_until(100_000)
    (player,) = machine.recorder.players.values()
    (calls,) = player._calls.values()
    ways = [played for known in calls.values() for played in known.passages]
    read = [entry for played in ways for entry in played.passage.entries if entry.pages and entry.step[0] is COST]
    costs = COSTS.cycles()
    assert [(entry.step[2], entry.cycles) for entry in read] == [(n, costs[n]) for n in ("interrupt_entry", "iret")]
    known = machine.cpus[0].core.cpu.tlb.known.sequences
    assert all(id(played) in known for played in ways)


def test_recorded_calls_are_counted_whatever_their_lengths():
    """The first are recorded and looked at; all others are counted but for those that meet a tick of the clock."""
    calls = [Syscall("read", 0, (Work(300 + n % 7 * 100),) * (n % 3 > 0), True) for n in range(3000)]
    stretches = [User(500 + n % 5 * 200, PAGES[2], True) for n in range(3000)]
    program = [operation for pair in zip(calls, stretches, strict=True) for operation in pair]
    workload = Workload("recorded", 1, [LwpSpec("a", iter(program), "a")])
    machine = TimedMachine(workload, make_design("svs-netbsd9", True), COSTS, 1, Amounts(), fast=True)
    machine.run()
    (player,) = machine.recorder.players.values()
    assert player.counting.counted == 5973  # of 6,000


def test_only_the_fast_engine_copies_slots_as_one():
    fast, plain = (finished(engine, "ping-pong") for engine in ("fast", "plain"))
    assert fast.recorder.counters["svs_pdir_switch"] == plain.recorder.counters["svs_pdir_switch"] == 402
    assert (fast.cpus[0].core.copies, plain.cpus[0].core.copies) == (402, 0)


@pytest.mark.parametrize("slots", [1, 8, 100])
def test_slots_are_copied_right_up_to_the_next_event(slots):
    """So few are left to be copied one by one."""
    machine = finished("fast", "ping-pong")
    clock, account = machine.env, machine.accounts[0]
    account.until = clock.cycle
    clock.waiting().clear()
    machine.cpus[0].apic.pending.clear()
    each = COSTS.cycles()["locked_rmw"] + COSTS.cycles()["store"]
    event = clock.cycle + slots * each + 1
    clock.after(event - clock.cycle, 1)
    source, target = Words("source", 512, 7), Words("target", 512)
    what = SlotCopy(source, target, 0, 255, True, SvsPdirSwitch.copy_read, SvsPdirSwitch.copy_write)
    furthest = max(machine.interconnect.line_cost[0])
    end = machine.recorder.copiers[0](what)
    assert target.v == [7] * end + [0] * (512 - end)
    assert clock.cycle == account.until == event - 1 - (slots - end) * each
    assert (slots - end) * each < each + 2 * furthest  # no room for two lines to come, and one slot
