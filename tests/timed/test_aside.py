"""CPUs that stand aside: the same as by the plain engine whatever calls them back, and that they really do."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenarios.open import open_scenario
from sim.errors import ModelError
from sim.hardware.cpu import Cpu
from sim.hardware.memory import Kept
from sim.kernel.designs import PROFILES, make_design
from sim.kernel.program import DeviceInterrupt, LwpSpec, Protect, Sleep, Syscall, Sysctl, Unmap, User, Workload, Yield
from sim.timed.amounts import Amounts
from sim.timed.clock import Clock
from sim.timed.costs import load_costs
from sim.timed.machine import TimedMachine
from sim.timed.passages.holding import Holdings, Reliance, Relied
from tests.timed.test_engines import outcome
from tests.timed.test_runs import PAGE, base, touches

EXAMPLES = int(os.environ.get("SVS_ENGINES", "15"))
COSTS = load_costs()
ROOT = Path(__file__).parents[2] / "sim"

calls = st.builds(
    lambda user, call, pages, times: [User(user, touches(pages)), Syscall("call", call)] * times,
    st.integers(1, 300), st.integers(0, 300), st.sampled_from([[], [0], [1, 2]]), st.integers(5, 60),
)  # fmt: skip
others = st.sampled_from([
    Syscall("munmap", 10, (Unmap(base, base + 3 * PAGE),)),
    Syscall("mprotect", 10, (Protect(base, base + 2 * PAGE, False, False),)),
    Syscall("sleep", 10, (Sleep(3000),)),
    Syscall("yield", 10, (Yield(),)),
    User(2000),
    Syscall("long", 5000),
])  # fmt: skip


@st.composite
def steady(draw):
    """LWPs of one or two processes that make the same calls over and over, with something else now and then."""
    programs = [
        [operation for part in draw(st.lists(st.one_of(calls, calls, st.lists(others, max_size=2)), max_size=8))
         for operation in part]
        for _ in range(draw(st.integers(2, 5)))
    ]  # fmt: skip
    groups = [draw(st.sampled_from(["one", "two", f"own{n}"])) for n in range(len(programs))]
    times = sorted(draw(st.lists(st.integers(1, 90_000), max_size=10)))
    off = draw(st.none() | st.integers(1, 60_000))

    def made():
        lwps = [
            LwpSpec(str(n), iter(program), group)
            for n, (program, group) in enumerate(zip(programs, groups, strict=True))
        ]
        if off is not None:
            lwps.append(LwpSpec("off", iter([User(off), Syscall("sysctl", 50, (Sysctl(0),))]), "off"))
        devices = [DeviceInterrupt(at, n, 300 + n) for n, at in enumerate(times)]
        return replace(Workload("steady", 2, lwps), interrupts=iter(devices))

    return made, draw(st.sampled_from([2, 3, 8]))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(case=steady(), profile=st.sampled_from(list(PROFILES)), pcid=st.booleans())
def test_engines_agree_whoever_is_called_back(case, profile, pcid, monkeypatch):
    source, cpus = case
    monkeypatch.setattr("sim.timed.passages.player.OFTEN", 1)
    monkeypatch.setattr("sim.timed.passages.player.LATE_OFTEN", 1)
    for name, value in (("ROW", 2), ("ENOUGH", 1), ("WORTH", 0)):
        monkeypatch.setattr(f"sim.timed.passages.counting.{name}", value)
    fast = outcome(source, profile=profile, pcid=pcid, cpus=cpus)
    assert fast == outcome(source, profile=profile, pcid=pcid, cpus=cpus, engine="plain")


def busy(profile="svs-netbsd9", cpus=4, iterations=400):
    """A machine all of whose CPUs make null system calls."""
    overrides = {"group.0.iterations": iterations, "group.0.processes": cpus}
    scenario = open_scenario("null-syscall", overrides=overrides)
    return TimedMachine(scenario.source(), make_design(profile, True), COSTS, cpus, Amounts(), fast=True)


def counted(machine):
    return [player.counting.counted for player in machine.recorder.players.values()]


def test_busy_cpus_stand_aside():
    """Otherwise they would act in turns, and nobody would see it but on a clock."""
    machine = busy()
    machine.run()
    assert counted(machine) == [719, 719, 719, 715]  # of 800 each
    assert machine.aside.called == 0
    assert not machine.aside.away


def test_interrupts_call_back_the_cpu_that_they_hit_and_no_other():
    def made(*, fast):
        program = [User(100), Syscall("call", 100)] * 400
        devices = [DeviceInterrupt(at, 1, 300) for at in (100_000, 150_000, 200_000)]
        lwps = [LwpSpec(str(n), iter(program), f"own{n}") for n in range(2)]
        workload = replace(Workload("two", 2, lwps), interrupts=iter(devices))
        machine = TimedMachine(workload, make_design("svs-netbsd9", True), COSTS, 2, Amounts(), fast=fast)
        return machine, machine.run(), machine.frames()

    machine, *fast = made(fast=True)
    assert machine.aside.called == 1  # the others find it counting on up to them
    assert counted(machine) == [719, 676]
    assert fast == list(made(fast=False)[1:])


def test_who_catches_up_can_be_brought_to_another_moment_of_the_past():
    clock, made = Clock(fast=True), []

    def steps(name, priority, pause, cycles):
        for number, each in enumerate(cycles):
            made.append((name, number, clock.cycle))
            if (name, number) == ("b", 1):
                clock.catch_up(pauses["c"], 10)
            yield clock.again(pause, each, priority)
        made.append((name, len(cycles), clock.cycle))

    def late():
        yield clock.after(100, 1)
        made.append(("late", 0, clock.cycle))
        clock.catch_up(pauses["b"], 20)
        made.append(("late", 1, clock.cycle))

    pauses = {"b": clock.pause(), "c": clock.pause()}
    clock.process(steps("b", 17, pauses["b"], [900, 30, 200]))
    clock.process(steps("c", 16, pauses["c"], [900, 5, 40, 45, 60]))
    clock.process(late())
    clock.run(until=1000)
    assert made == [
        ("b", 0, 0), ("c", 0, 0), ("late", 0, 100), ("b", 1, 20), ("c", 1, 10), ("c", 2, 15), ("b", 2, 50),
        ("c", 3, 55), ("late", 1, 100), ("c", 4, 100), ("c", 5, 160), ("b", 3, 250),
    ]  # fmt: skip


def aside(machine):
    """Run a machine until some of its CPUs stand aside; their indices."""
    machine._start()
    while not machine.aside.away:
        machine.env.step()
    return list(machine.aside.away)


@pytest.mark.parametrize("near", [
    lambda machine, cpu: setattr(machine.kernel, "design", None),
    lambda machine, cpu: cpu.cpu.intr,
    lambda machine, cpu: cpu.core.ci.ci_want_resched.v,
    lambda machine, cpu: setattr(cpu.core.lwp, "l_cpu", None),
    lambda machine, cpu: cpu.core.lwp.tally,
    lambda machine, cpu: machine.interconnect.before_write(machine.kernel.svs_code),
    lambda machine, cpu: cpu.post(0xE1),
])  # fmt: skip
def test_who_comes_near_calls_it_back(near):
    machine = busy()
    (index,) = aside(machine)
    cpu = machine.cpus[index]
    near(machine, cpu)
    assert (machine.aside.called, list(machine.aside.away)) == (1, [])
    assert type(cpu.cpu) is Cpu


@pytest.mark.parametrize("far", [
    lambda machine, cpu: setattr(machine.kernel, "design", machine.kernel.design),  # as it is
    lambda machine, cpu: setattr(machine.kernel, "ticks", 7),
    lambda machine, cpu: cpu.core.ci.ci_svs_updirpa,
    lambda machine, cpu: machine.kernel.svs_code.v[0],
    lambda machine, cpu: machine.cpus[cpu.index - 1].post(0xE1),
])  # fmt: skip
def test_who_does_not_leaves_it_alone(far):
    machine = busy()
    (index,) = aside(machine)
    far(machine, machine.cpus[index])
    assert (machine.aside.called, list(machine.aside.away)) == (0, [index])


class Part:
    def __init__(self):
        self.level = 3


def test_two_can_rely_on_an_object_that_neither_changes():
    reached, part = [], Part()
    holdings = Holdings(lambda cpus: reached.append(sorted(cpus)))
    reads = Relied([Reliance(part, frozenset({"level"}), frozenset(), changed=False)], [])
    writes = Relied([Reliance(part, frozenset({"level"}), frozenset({"level"}), changed=True)], [])
    assert holdings.hold(0, reads)
    assert holdings.hold(1, reads)
    assert not holdings.hold(2, writes)
    part.level = 4
    assert reached == [[0, 1]]
    holdings.release(0, reads)
    holdings.release(1, reads)
    assert holdings.hold(2, writes)
    assert part.level == 4
    assert reached == [[0, 1], [2]]
    holdings.release(2, writes)
    assert type(part) is Part


def test_what_is_kept_stays():
    kept = Kept()
    kept["a"] = 1
    for change in (lambda: kept.__setitem__("a", 2), lambda: kept.pop("a"), kept.clear, lambda: kept.update(b=1)):
        with pytest.raises(ModelError, match="kept"):
            change()
    assert kept == {"a": 1}


def test_code_is_written_by_steps_alone():
    """Whoever relies on it hears of these; nothing would notice another way."""
    sources = [path.read_text() for folder in ("kernel", "hardware") for path in (ROOT / folder).rglob("*.py")]
    assert sum("svs_code" in text for text in sources) == 2
    assert not any("svs_code.v" in text for text in sources)
