"""A run in which nobody gets on any more ends with the reason; whatever merely takes long goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from sim.cli import main
from sim.errors import Standstill
from sim.kernel.program import Block, DeviceInterrupt, Interrupt, LwpSpec, Sleep, Syscall, User, Wake, Workload
from sim.timed.costs import CostTable, load_costs, parse_costs
from sim.timed.paired import RunResult, run_once
from sim.timed.watchdog import PATIENCE_TICKS

COSTS = load_costs()
SECOND = COSTS.frequency_hz
TICK = SECOND // 100
DEADLOCK = """
profile = "svs-netbsd8"
disable_svs_at = "117 us"
[machine]
cpus = 4
[[group]]
name = "a"
lwps = 4
iterations = 50
[[group.syscalls]]
kind = "map_unmap"
"""


def run(
    lwps: list[LwpSpec], *, cpus: int = 2, engine: str = "fast", costs: CostTable = COSTS,
    interrupts: Iterable[DeviceInterrupt] = (),
) -> RunResult:  # fmt: skip
    workload = Workload("mine", cpus, lwps, 0, iter(interrupts))
    return run_once(workload, "svs-netbsd9", pcid=None, cpus=cpus, costs=costs,
                    engine=engine)  # fmt: skip


@pytest.fixture
def deadlock(tmp_path: Path) -> Path:
    path = tmp_path / "deadlock.toml"
    path.write_text(DEADLOCK)
    return path


def test_a_deadlock_says_who_waits_for_what_and_leaves_nothing(
    deadlock: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for engine in ("fast", "plain"):
        assert main(["run", str(deadlock), "--out", str(tmp_path / "out"), "--engine", engine]) == 4
        said.append(capsys.readouterr().err)
    assert said[0] == said[1]
    assert said[0].count("\n") == 1
    for words in (
        "cpu0, cpu2 spinning on svs_cpu_barrier1 = 2 in svs_disable_cpu:barrier1 (interrupts off",
        "cpu3 spinning on pmap_tlb_pendcount = 1",
        "(interrupts on, level 0)",
        "cpu1 waiting for a/0.vm_map.rw_owner, held by a-",
        "asleep: sysctl on xc_wait",
    ):
        assert words in said[0]
    assert list(tmp_path.iterdir()) == [deadlock]


def test_a_sweep_goes_on_past_a_deadlock(deadlock: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = tmp_path / "sweep.toml"
    sweep.write_text('scenarios = ["deadlock.toml"]\nprofiles = ["svs-netbsd8", "svs-netbsd9"]\n')
    assert main(["sweep", str(sweep), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "no LWP has got on since" in err


@pytest.mark.parametrize("engine", ["fast", "plain"])
def test_interrupts_that_leave_no_time_are_a_livelock(engine: str) -> None:
    """Behaviours of this kind are refused; a machine whose entries take longer than was reckoned must end, too."""
    storm = (DeviceInterrupt(n * 2_900_000, 0, 3_000_000, "d") for n in range(10**9))
    with pytest.raises(Standstill, match="cpu0 taking interrupts and doing nothing else"):
        run([LwpSpec("a", iter([User(10**6)]), "a")], cpus=1, engine=engine, interrupts=storm)


def slow_costs(name: str, cycles: int) -> CostTable:
    """A cost table in which one thing takes very long."""
    lines = [
        f'{name} = {{ value = {cycles}, unit = "cycles", source = "assumed", sure = "assumed" }}'
        if line.startswith(f"{name} =") else line
        for line in COSTS.text.splitlines()
    ]  # fmt: skip
    return parse_costs("\n".join(lines), "mine")


LONG = (PATIENCE_TICKS + 100) * TICK
WAITS: dict[str, Callable[[], list[LwpSpec]]] = {
    "user work": lambda: [LwpSpec("a", iter([User(LONG)]), "a")],
    "kernel work": lambda: [LwpSpec("a", iter([Syscall("x", LONG)]), "a")],
    "a sleep": lambda: [LwpSpec("a", iter([Syscall("x", 1, (Sleep(LONG),))]), "a")],
    "a late start": lambda: [LwpSpec("a", iter([User(1)]), "a", start=LONG)],
    "one who waits for another": lambda: [
        LwpSpec("a", iter([Syscall("x", 1, (Block("c"),)), User(5)]), "a"),
        LwpSpec("b", iter([User(LONG), Syscall("x", 1, (Wake("c"),))]), "b"),
    ],
}


@pytest.mark.parametrize("name", WAITS)
def test_long_waits_and_long_work_are_no_standstill(name: str) -> None:
    assert run(WAITS[name]()).elapsed_cycles > LONG


def test_a_long_handler_is_no_standstill() -> None:
    handler = [DeviceInterrupt(SECOND // 2, 0, LONG, "d")]
    result = run([LwpSpec("a", iter([User(SECOND)]), "a")], cpus=1, interrupts=handler)
    assert result.elapsed_cycles > LONG + SECOND


def test_a_long_handler_that_hits_an_lwp_is_no_standstill() -> None:
    """Ticks come in meanwhile, so that it is not one step."""
    result = run([LwpSpec("a", iter([User(SECOND), Interrupt("d", LONG), User(1)]), "a")], cpus=1)
    assert result.elapsed_cycles > LONG + SECOND


def test_steps_as_long_as_a_cost_table_may_have_them_are_no_standstill() -> None:
    calls, costs = iter([Syscall("x", 1)] * 200), slow_costs("syscall_dispatch", TICK)
    assert run([LwpSpec("a", calls, "a")], cpus=1, costs=costs).elapsed_cycles > 200 * TICK


def test_those_who_sleep_for_good_end_the_run_without_an_error() -> None:
    result = run([LwpSpec("a", iter([Syscall("x", 1, (Block("never"),))]), "a")])
    assert result.elapsed_cycles < 10 * TICK
