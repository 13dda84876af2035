"""What would allocate or run without end is refused with file, line and key; what is just below still runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.open import open_scenario
from sim.errors import InputError
from sim.experiments.runs import run_scenario
from sim.timed.costs import load_costs, parse_costs

GROUP = '[[group]]\nname = "a"\niterations = 10\nburst = "100 us"\n'
DEVICE = '[[interrupt]]\nname = "{}"\ninterval = "{}"\nhandler = "{}"\n'
ZIPF = 'working_set = "2 GiB"\nlocality = 1.1\n'
FORKS = '[[group.syscalls]]\nkind = "fork"\ntarget = "b"\n[[group]]\nname = "b"\niterations = 1\n'
BEYOND = [
    (GROUP + DEVICE.format("d", "5 us", "10 us"), "mine.toml:8: interrupt[0].handler: interrupts would take 2"),
    (GROUP + DEVICE.format("d", "10 us", "10 us"), "interrupt[0].handler"),
    (GROUP + DEVICE.format("d", "100 ns", "1 ns"), "mine.toml:7: interrupt[0].interval"),
    (GROUP + DEVICE.format("d", "20 us", "10 us") + DEVICE.format("e", "20 us", "10 us"), "% of the time of CPU 0"),
    (GROUP + '[[interrupt]]\ninterval = "9 us"\nhandler = { dist = "exponential", mean = "10 us" }\n', "handler"),
    ("[machine]\ncpus = 2\n" + GROUP + DEVICE.format("d", "5 us", "10 us") + "cpus = [1]\n", "of CPU 1"),
    (GROUP.replace('"100 us"', '"1000000000 s"'), "mine.toml:4: group[0].burst: '1000000000 s' must be 3600 s or less"),
    (GROUP.replace('"100 us"', '"3000 s"').replace("10", "1000000"), "group[0].iterations"),
    ("[kernel_pages]\nsyscall = 2000000000\n" + GROUP, "kernel_pages.syscall: 2000000000 must be 4096 or less"),
    ("[kernel_pages]\ninterrupt = 4096\n" + GROUP + DEVICE.format("d", "20 us", "1 us"), "interrupt[0].interval"),
    (GROUP + "pages_per_burst = 100000", "must be 65536 or less"),
    (GROUP + ZIPF, "working_set: with a Zipf exponent as locality it must be 1 GiB or less"),
    ((GROUP + "lwps = 256\nprocesses = 256\n") + GROUP.replace('"a"', '"b"'), "65536 LWPs or fewer"),
    ("".join(GROUP.replace('"a"', f'"a{n}"') for n in range(1001)), "1001 tables; there must be 1000 or fewer"),
    (GROUP.replace("= 10", "= 5000000") + FORKS, "about 5e+06 children"),
    (GROUP + "".join(DEVICE.format(n, "1 s", "1 ns") for n in range(257)), "interrupt: 257 tables"),
]


@pytest.mark.parametrize(("text", "message"), BEYOND, ids=range(len(BEYOND)))
def test_beyond_a_bound(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        open_scenario(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}")


def test_interrupts_just_below_the_bound_leave_time(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GROUP + DEVICE.format("d", "12 us", "10 us"))
    summary = run_scenario(open_scenario(path), tmp_path / "out").summary
    assert summary["conserved"]
    assert summary["counters"]["interrupts"] > 100


@pytest.mark.parametrize(
    ("cost", "value"), [("timer_work", 40_000_000), ("iret", 34_000_000), ("mi_switch_work", 10**9)]
)
def test_a_timer_interrupt_longer_than_the_tick(cost: str, value: int) -> None:
    entry = next(line for line in load_costs("haswell").text.splitlines() if line.startswith(f"{cost} ="))
    long = f'{cost} = {{ value = {value}, unit = "cycles", source = "x", sure = "assumed" }}'
    with pytest.raises(InputError, match=rf"^mine\.toml:\d+: costs\.{cost}: timer interrupts, 100 a second"):
        parse_costs(load_costs("haswell").text.replace(entry, long), "mine.toml")


def test_the_parts_of_a_tlb_have_a_bound() -> None:
    text = load_costs("skylake-server").text.replace("entries = 1536", "entries = 15360000")
    with pytest.raises(InputError, match=r"tlb\.stlb\.entries: 15360000 must be 4096 or less"):
        parse_costs(text, "mine.toml")
