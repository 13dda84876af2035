"""Recordings: of tasks that do what tasks do, or anything; as four tools print them; whole, damaged, packed."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tools.fuzzing.damage import of_bytes, of_lines
from tools.fuzzing.programs import run_both
from tools.fuzzing.watch import Case

NAMES = ("alpha", "beta", "kworker/0:1", "a b", "<...>", "x-1", "[c]", "\u00fc", "a\x1b[2Jb", "a\u202eb", "swapper/0",
         "()", "a=b", "prev_comm=x", "12", "")  # fmt: skip
CALLS = (0, 1, 9, 10, 11, 12, 35, 39, 56, 57, 59, 60, 61, 202, 231, 257, 334, 999, -1)
SIZES = (0, 1, 0x1000, 0x100000, 0x7000000000, 0x800000000000, (1 << 64) - 1)


class Line(NamedTuple):
    """One event: when (us), on which CPU, of whom, what."""

    at: int
    cpu: int
    comm: str
    tid: int
    event: str
    fields: str


class Maker:
    """Makes up the events of a few tasks on a few CPUs."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.at = rng.choice((0, 1_000_000, 4_000_000_000))
        self.cpus = rng.choice((1, 2, 3))
        names = NAMES[:4] if rng.random() < 0.7 else NAMES
        self.comms = {tid: rng.choice(names) for tid in range(1, 7)} | {0: "swapper/0"}
        self.on = dict.fromkeys(range(self.cpus), 0)
        self.inside: dict[int, int] = {}
        self.lines: list[Line] = []

    def add(self, cpu: int, event: str, fields: str, tid: int | None = None) -> None:
        """Note an event of who runs on *cpu*, or of *tid*."""
        tid = self.on[cpu] if tid is None else tid
        comm = "<idle>" if tid == 0 else self.comms[tid]
        self.lines.append(Line(self.at, cpu, comm, tid, event, fields))

    def step(self) -> None:
        """Let something happen that can."""
        rng = self.rng
        self.at += rng.choice((0, 1, 10, 100, 1000)) if rng.random() < 0.98 else rng.choice((20_000, 10**6, 10**11))
        cpu = rng.randrange(self.cpus)
        tid = self.on[cpu]
        if tid == 0 or rng.random() < 0.25:
            return self.switch(cpu)
        if tid in self.inside:
            if rng.random() < 0.6:
                self.add(cpu, "sys_exit", f"NR {self.inside.pop(tid)} = {rng.choice((0, -1, 4096, 1 << 46))}")
            else:
                self.other(cpu)
        elif rng.random() < 0.6:
            number = self.inside[tid] = rng.choice(CALLS)
            places = ", ".join(f"{rng.choice(SIZES):x}" for _ in range(6))
            self.add(cpu, "sys_enter", f"NR {number} ({places})")
        else:
            self.other(cpu)
        return None

    def switch(self, cpu: int) -> None:
        """Somebody who is on no other CPU comes onto this one."""
        rng, old = self.rng, self.on[cpu]
        new = rng.choice([tid for tid in self.comms if tid == 0 or tid not in self.on.values()])
        state = rng.choice(("R", "S", "D", "R+", "X", "Z", "t"))
        left = f"prev_comm={self.comms[old]} prev_pid={old} prev_prio=120 prev_state={state}"
        self.add(cpu, "sched_switch", f"{left} ==> next_comm={self.comms[new]} next_pid={new} next_prio=120")
        self.on[cpu] = new

    def other(self, cpu: int) -> None:
        """A fault, wake-up, birth, death or interrupt."""
        rng, tid = self.rng, self.on[cpu]
        who, code = rng.randrange(1, 7), rng.choice((4, 6, 7, 20))
        event, fields = rng.choice((
            ("page_fault_user", f"address={rng.choice(SIZES):#x} ip=0x400000 error_code={code:#x}"),
            ("sched_wakeup", f"comm={self.comms[who]} pid={who} prio=120 target_cpu={cpu:03d}"),
            ("sched_process_fork", f"comm={self.comms[tid]} pid={tid} child_comm={self.comms[who]} child_pid={who}"),
            ("sched_process_exec", f"filename=/bin/x pid={tid} old_pid={tid}"),
            ("sched_process_exit", f"comm={self.comms[tid]} pid={tid} prio=120"),
            ("local_timer_entry", "vector=236"), ("local_timer_exit", "vector=236"),
            ("irq_handler_entry", "irq=9 name=d"), ("irq_handler_exit", "irq=9 ret=handled"),
            ("tlb_flush", "pages:-1 reason:local mm shootdown (3)"), ("cpu_frequency", "state=1 cpu_id=0"),
        ))  # fmt: skip
        self.add(cpu, event, fields)

    def anything(self) -> None:
        """Let something happen that need not be possible."""
        self.at += self.rng.choice((0, 1, 10, 1000))
        cpu = self.rng.randrange(self.cpus)
        self.on[cpu] = self.rng.randrange(7)
        self.rng.choice((self.step, lambda: self.other(cpu), lambda: self.switch(cpu)))()


def _stamp(at: int) -> str:
    return f"{at // 10**6}.{at % 10**6:06d}"


def _ftrace(line: Line) -> str:
    return f"{f'{line.comm}-{line.tid}':>20} [{line.cpu:03d}] d..2. {_stamp(line.at)}: {line.event}: {line.fields}"


def _groups(line: Line) -> str:
    return f"{line.comm:>16}-{line.tid:<7} ({line.tid:7d}) [{line.cpu:03d}] ..... {_stamp(line.at)}: {line.event}: " \
           f"{line.fields}"  # fmt: skip


def _trace_cmd(line: Line) -> str:
    return f"{f'{line.comm}-{line.tid}':>20} [{line.cpu:03d}] {_stamp(line.at)}: {line.event + ':':<20} {line.fields}"


def _perf(line: Line) -> str:
    group = "raw_syscalls" if line.event.startswith("sys_") else "sched" if "sched" in line.event else "irq_vectors"
    where = f"[{line.cpu:03d}] {_stamp(line.at)}: {group}:{line.event}: {line.fields}"
    return f"{line.comm:>16} {line.tid:5d}/{line.tid:<5d} {where}"


def _latency(line: Line) -> str:
    return f"{line.comm[:8]:>8}-{line.tid:<7} {line.cpu}d..2. {line.at}us : {line.event}: {line.fields}"


LAYOUTS: tuple[tuple[str, Callable[[Line], str]], ...] = (
    ("# tracer: nop\n#\n", _ftrace), ("# tracer: nop\n", _groups), ("cpus=3\n", _trace_cmd), ("", _perf),
    ("# tracer: nop\n#\n", _latency),
)  # fmt: skip


def text(rng: Random) -> str:
    """The text of a recording."""
    maker = Maker(rng)
    possible = rng.random() < 0.7
    for _ in range(rng.randrange(2, 80)):
        maker.step() if possible else maker.anything()
    head, layout = rng.choice(LAYOUTS)
    lines = [layout(line) for line in maker.lines]
    if layout is _perf and rng.random() < 0.3:
        lines = [f"{line}\n\t    7f1e2c4951b0 write+0x10 (/lib/c.so)\n" for line in lines]
    return head + "\n".join(lines) + "\n"


def recording(rng: Random) -> Case:
    """A recording, run under a design by the fast engine: whole, changed line by line, damaged, packed."""
    told = text(rng)
    how = rng.random()
    if how < 0.5:
        told = of_lines(rng, told)
    data = told.encode("utf-8", "surrogatepass")
    if how > 0.8:
        data = of_bytes(rng, data)
    ending = ".txt"
    if rng.random() < 0.1:
        data, ending = gzip.compress(data, mtime=0), ".txt.gz"
        data = of_bytes(rng, data) if rng.random() < 0.5 else data
    return Case(data, ending, lambda path: run_both(path, engines=("fast",)))
