"""Small inputs that used to hang, fill memory, or end in a wrong status: each ends quickly with what is right."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sim.cli import main
from sim.timed.costs import load_costs

GROUP = '[[group]]\nname = "a"\niterations = {}\nburst = "{}"\n'
DEVICE = '[[interrupt]]\nname = "d"\ninterval = "5 us"\nhandler = "10 us"\n'
SLEEPERS = 'says = "x"\ncpus = 2\nslots = 1\n[pmaps]\np = ["0.0"]\n' + "".join(
    f'[[lwps]]\nname = "{name}"\ncpu = {cpu}\npmap = "p"\nops = ["block x"]\n' for cpu, name in enumerate("ab")
)
CALLS = (
    " a-100 [000] ..... 1.000000: sys_enter: NR 0 (0, 0, 0, 0, 0, 0)\n a-100 [000] ..... 1.000100: sys_exit: NR 0 = 0\n"
)
LATE = (
    "<...>-100 [000] d..2. 1.000000: sched_switch: prev_comm=<...> prev_pid=100 prev_prio=120 prev_state=S ==> "
    "next_comm=swapper/0 next_pid=0 next_prio=120\n"
    "<idle>-0 [000] d..2. 1.100000: sched_switch: prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R ==> "
    "next_comm=kworker/0:1 next_pid=100 next_prio=120\n"
)
TIMER = (
    " a-100 [000] ..... 1.000000: sys_enter: NR 0 (0, 0, 0, 0, 0, 0)\n"
    " a-100 [000] d.h1. 1.001000: local_timer_entry: vector=236\n"
    " a-100 [000] d.h1. 1.021000: local_timer_exit: vector=236\n"
    " a-100 [000] ..... 1.021100: sys_exit: NR 0 = 0\n"
)


def slow_timer() -> str:
    """A cost table whose timer interrupt takes longer than the tick."""
    long = 'timer_work = { value = 40000000, unit = "cycles", source = "x", sure = "assumed" }'
    return re.sub(r"(?m)^timer_work = .*$", long, load_costs("haswell").text)


HASWELL = load_costs("haswell").text
REFUSED = {
    "a burst that never ends": (
        "mine.toml", GROUP.format(1, "1000000000 s"), r"mine.toml:4: group\[0\].burst: .*3600 s",
    ),
    "a handler as long as its interval": (
        "mine.toml", GROUP.format(10, "100 us") + DEVICE, r"mine.toml:8: interrupt\[0\].handler",
    ),
    "pages without end": (
        "mine.toml", "[kernel_pages]\nsyscall = 2000000000\n" + GROUP.format(1, "1 us"),
        "mine.toml:2: kernel_pages.syscall: .*4096 or less",
    ),
    "CPUs without end": (
        "mine.toml", "[machine]\ncpus = 100000\n" + GROUP.format(1, "1 us"), "mine.toml:2: machine.cpus: .*256",
    ),
    "groups without end": (
        "mine.toml", "".join(GROUP.format(1, "1 us").replace('"a"', f'"a{n}"') for n in range(5000)),
        "group: 5000 tables; there must be 1000 or fewer",
    ),
    "a kernel thread named late": ("mine.txt", LATE, "no user task in its events"),
    "two sleepers on a channel": ("sleepers.toml", SLEEPERS, r"15: lwps\[1\].ops: 'a' blocks on 'x', too"),
    "a timer interrupt longer than the tick": ("costs.toml", slow_timer(), "costs.timer_work: timer interrupts"),
    "a cost table of an earlier version": (
        "costs.toml", re.sub(r"(?m)^cache_l2 = .*$", "", HASWELL),
        r"costs.toml:\d+: costs: figure missing: cache_l2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, text, message = REFUSED[what]
    path = tmp_path / name
    path.write_text(text)
    words = {
        "costs.toml": ["run", "null-syscall", "--costs", str(path), "--out", str(tmp_path / "out")],
        "sleepers.toml": ["check", str(path)],
    }.get(name, ["run", str(path), "--out", str(tmp_path / "out")])
    assert main([*words, "--quiet"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert re.search(message, said.err)
    assert len(said.err) < 500 + len(str(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "seconds", "note"),
    [
        (CALLS + CALLS.replace("1.0", "1001.0"), 0.0002, "For 999 s nothing was recorded"),
        (CALLS + CALLS.replace("1.0", "90001.0"), 0.0002, "For 89,999 s nothing was recorded"),
        (TIMER, 0.0011, None),
    ],
    ids=["a gap of 1000 s", "a gap of a day", "a timer interrupt of two ticks"],
)
def test_what_is_run(tmp_path: Path, text: str, seconds: float, note: str | None) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(text)
    assert main(["run", str(path), "--out", str(tmp_path / "out"), "--quiet", "--repeat", "1"]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["conserved"]
    assert summary["elapsed_cycles"]["baseline"] / summary["frequency_hz"] == pytest.approx(seconds, rel=0.2)
    assert note is None or any(note in said for said in summary["notes"])
