"""Recordings made up for tests: events as data, printed as each tool prints them, and the programs they become."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios.recordings import open_recording
from sim.kernel.program import Fork, LwpSpec, Syscall, Work, Workload

HZ = 1_000_000_000  # one cycle a nanosecond: cycles can be read as ns
US = 1000  # cycles
A, B, C = ("alpha", 10), ("beta", 11), ("gamma", 12)  # who acts: name and number


@dataclass(frozen=True)
class Event:
    """One event; time in microseconds."""

    at: int
    cpu: int
    comm: str
    tid: int
    name: str
    fields: str = ""
    flags: str = "d..2."
    tgid: int | None = None

    @property
    def process(self) -> int:
        return self.tid if self.tgid is None else self.tgid


def _seconds(at: int) -> str:
    return f"{100 + at // 1_000_000}.{at % 1_000_000:06d}"


def ftrace(events: Iterable[Event], *, tgids: bool = True, flags: bool = True) -> str:
    """As ``cat trace`` prints it, with or without record-tgid and irq-info."""
    out = ["# tracer: nop", "#", "# entries-in-buffer/entries-written: 9/9   #P:2", "#"]
    for e in events:
        group = f" ({e.process:7d})" if tgids and e.tid else " (-------)" if tgids else ""
        marks = f" {e.flags}" if flags else ""
        who = f"{e.comm}-{e.tid}"
        out.append(f"{who:>24}{group} [{e.cpu:03d}]{marks} {_seconds(e.at)}: {e.name}: {e.fields}")
    return "\n".join(out) + "\n"


def trace_cmd(events: Iterable[Event]) -> str:
    """As ``trace-cmd report`` prints it."""
    out = ["cpus=2"]
    for e in events:
        out.append(f"{e.comm + '-' + str(e.tid):>20} [{e.cpu:03d}] {_seconds(e.at)}: {e.name + ':':<20} {e.fields}")
    return "\n".join(out) + "\n"


def perf_script(events: Iterable[Event]) -> str:
    """As ``perf script`` prints it, with pid/tid."""
    groups = {"sched": "sched:", "sys_": "raw_syscalls:", "page": "exceptions:", "irq_": "irq:", "soft": "irq:"}
    out = []
    for e in events:
        group = next((g for start, g in groups.items() if e.name.startswith(start)), "ipi:")
        out.append(
            f"{e.comm:>16} {e.process:5d}/{e.tid:<5d} [{e.cpu:03d}] {_seconds(e.at)}: {group}{e.name}: {e.fields}"
        )
    return "\n".join(out) + "\n"


def enter(at: int, cpu: int, comm: str, tid: int, nr: int, args: str = "0, 0, 0, 0, 0, 0", **kw: Any) -> Event:
    return Event(at, cpu, comm, tid, "sys_enter", f"NR {nr} ({args})", **kw)


def leave(at: int, cpu: int, comm: str, tid: int, nr: int, value: int = 0, **kw: Any) -> Event:
    return Event(at, cpu, comm, tid, "sys_exit", f"NR {nr} = {value}", **kw)


def call(at: int, end: int, cpu: int, comm: str, tid: int, nr: int, args: str = "0, 0, 0, 0, 0, 0",
         value: int = 0, **kw: Any) -> list[Event]:  # fmt: skip
    return [enter(at, cpu, comm, tid, nr, args, **kw), leave(end, cpu, comm, tid, nr, value, **kw)]


def switch(at: int, cpu: int, prev: tuple[str, int], state: str, new: tuple[str, int], **kw: Any) -> Event:
    fields = (
        f"prev_comm={prev[0]} prev_pid={prev[1]} prev_prio=120 prev_state={state} ==> "
        f"next_comm={new[0]} next_pid={new[1]} next_prio=120"
    )
    comm = "<idle>" if not prev[1] else prev[0]
    return Event(at, cpu, comm, prev[1], "sched_switch", fields, **kw)


def wakeup(at: int, cpu: int, by: tuple[str, int], who: tuple[str, int], *, flags: str = "d..2.", new: bool = False,
           target: int = 0) -> Event:  # fmt: skip
    name = "sched_wakeup_new" if new else "sched_wakeup"
    comm = "<idle>" if not by[1] else by[0]
    return Event(at, cpu, comm, by[1], name, f"comm={who[0]} pid={who[1]} prio=120 target_cpu={target:03d}", flags)


def fork(at: int, cpu: int, parent: tuple[str, int], child: tuple[str, int]) -> Event:
    fields = f"comm={parent[0]} pid={parent[1]} child_comm={child[0]} child_pid={child[1]}"
    return Event(at, cpu, *parent, "sched_process_fork", fields)


def fault(at: int, cpu: int, comm: str, tid: int, address: int, code: int = 6, **kw: Any) -> Event:
    return Event(at, cpu, comm, tid, "page_fault_user", f"address={address:#x} ip=0x400000 error_code={code:#x}", **kw)


IDLE = ("swapper/0", 0)


def write(path: Path, text: str) -> Path:
    """Write a recording, gzipped if its name says so."""
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def load(path: Path, events: Iterable[Event] | str) -> Workload:
    """The workload of a recording."""
    text = events if isinstance(events, str) else ftrace(sorted(events, key=lambda e: e.at))
    return open_recording(write(path, text), HZ)()


def drain(workload: Workload) -> dict[str, list[Any]]:
    """All operations by LWP name (``name``, then ``name+2`` ...), the bodies of system calls as tuples."""
    found: dict[str, list[Any]] = {}
    waiting: list[LwpSpec] = list(workload.lwps)
    while waiting:
        spec = waiting.pop(0)
        name, number = spec.name, 1
        while name in found:
            number += 1
            name = f"{spec.name}+{number}"
        operations = found[name] = []
        for operation in spec.program:
            if isinstance(operation, Syscall):
                body = tuple(operation.body)
                waiting += [part.child for part in body if isinstance(part, Fork)]
                operations.append(operation._replace(body=body))
            else:
                operations.append(operation)
    return found


def ops(tmp_path: Path, events: list[Event], name: str = "alpha") -> list[Any]:
    """The operations of the task of this name."""
    return drain(load(tmp_path / "t", events))[name]


def shape(operations: list[Any]) -> list[Any]:
    """Kinds and durations only."""
    return [
        (o.name, *(p if isinstance(p, Work) else type(p).__name__ for p in o.body))
        if isinstance(o, Syscall)
        else (type(o).__name__, o.cycles)
        for o in operations
    ]
