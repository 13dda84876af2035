"""Which kinds of events a recording has, whether their fields can be read, and whose system-call numbers they carry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scenarios.recordings import fields
from scenarios.recordings.lines import Line
from sim.errors import InputError

_KINDS = {
    "sys_enter": "calls",
    "sys_exit": "returns",
    "page_fault_user": "faults",
    "sched_switch": "switches",
    "sched_wakeup": "wakeups",
    "sched_wakeup_new": "wakeups",
    "sched_waking": "wakeups",
    "sched_process_fork": "forks",
    "sched_process_exec": "execs",
    "sched_process_exit": "exits of tasks",
}
_READERS: dict[str, Callable[[Line], object]] = {
    "calls": fields.enter,
    "returns": fields.leave,
    "faults": fields.fault,
    "switches": fields.switch,
    "wakeups": fields.wakee,
    "forks": fields.fork,
    "execs": fields.execution,
}
_ONLY_WITH = {"returns": "calls", "wakeups": "switches"}  # are missed only beside these
_OF_TASKS = ("calls", "returns", "faults", "switches")  # what says when a task was where
_OPTIONS = {
    "calls": "raw_syscalls", "returns": "raw_syscalls", "faults": "exceptions", "switches": "sched", "wakeups": "sched",
}  # fmt: skip
# Calls of x86-64 that return addresses (mmap, brk, mremap), and others that return large numbers (lseek, shmat).
_RETURNS_ADDRESS, _RETURNS_ANYTHING = frozenset({9, 12, 25}), frozenset({8, 30})
_EXITS, _EXITS_ELSEWHERE = frozenset({60, 231}), frozenset({93, 94, 248, 252})
_LOWEST_ADDRESS, _PAGE_MASK = 1 << 31, 4095
_SHORTEST_ADDRESS = len("NR 9 = 0x80000000")


class Evidence:
    """Counts the kinds of events line by line; *calls* and so on of ``seen`` are what a plain count of lines gives."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}
        self._readable: set[str] = set()
        self._entered: dict[int, str] = {}
        self._native = self._foreign = 0

    def take(self, line: Line) -> str | None:
        """Take one event; return its kind, None if it has no part in the replay."""
        name = line.name
        kind = _KINDS.get(name) or ("calls" if fields.is_enter(name) else "returns" if fields.is_exit(name) else None)
        if kind is None:
            return None
        if kind == "calls":
            self._entered[line.tid] = line.fields
        elif kind == "returns":
            self._entered.pop(line.tid, None)
            if name == "sys_exit" and len(line.fields) >= _SHORTEST_ADDRESS:
                self._returned(line)
        self.seen[kind] = self.seen.get(kind, 0) + 1
        if kind not in self._readable and kind in _READERS and _READERS[kind](line) is not None:
            self._readable.add(kind)
        return kind

    def died(self, tid: int) -> None:
        """A task is gone: the call that it was in, if any, is likely the one that ends tasks."""
        found = fields.call_number(self._entered.pop(tid, ""))
        self._native += found in _EXITS
        self._foreign += found in _EXITS_ELSEWHERE

    def _returned(self, line: Line) -> None:
        """A long number was returned: addresses come from few calls, which have other numbers in each ABI."""
        number, value = fields.call_number(line.fields), fields.leave(line)
        if value is None or value < _LOWEST_ADDRESS or value & _PAGE_MASK or number in _RETURNS_ANYTHING:
            return
        if number in _RETURNS_ADDRESS:
            self._native += 1
        else:
            self._foreign += 1

    @property
    def foreign(self) -> bool:
        """Whether the numbers of system calls are another ABI's than x86-64's."""
        return self._foreign > self._native

    def judge(self, path: Path, others: list[str], *, tasks: int) -> None:
        """Raise InputError if nothing in the file at *path* says what one of its *tasks* did.

        *others* are the names of its unknown events.
        """
        add = "record with -e sched -e raw_syscalls -e exceptions"
        if not any(kind in self.seen for kind in _OF_TASKS) and (self.seen or others or tasks):
            others = [*self.seen, *others]
            only = f"only {', '.join(others[:4])}{' and others' if len(others) > 4 else ''}; " if others else ""
            raise InputError(f"{path}: no event says what a task did: {only}{add}")
        if not self._readable and any(kind in _READERS for kind in self.seen):
            raise InputError(
                f"{path}: the events have no fields that can be read; print them with "
                "'perf script -F comm,pid,tid,cpu,time,event,trace' or 'trace-cmd report'"
            )

    def notes(self) -> list[str]:
        """What is missing or cannot be read, in sentences, with the recorder's option that adds it."""
        says = {
            "calls": "No system calls were recorded: crossings and the time in the kernel are missing",
            "returns": "No returns of system calls were recorded: what follows a call is taken as the kernel's time",
            "faults": "No page faults were recorded: their crossings and the growth of address spaces are missing",
            "switches": "No switches were recorded: a task that sleeps looks as if it worked all the time",
            "wakeups": "No wake-ups were recorded: sleeps last as long as they did, whoever ended them",
        }
        found = []
        for kind, sentence in says.items():
            if kind not in self.seen and _ONLY_WITH.get(kind, "") in ("", *self.seen):
                group = _OPTIONS[kind]
                found.append(f"{sentence} (trace-cmd: -e {group}; perf: -e '{group}:*').")
        broken = [kind for kind in self.seen if kind in _READERS and kind not in self._readable]
        if broken:
            found.append(f"The fields of all {' and '.join(broken)} are unreadable: they were left out.")
        if self.foreign:
            found.append(
                "The numbers of system calls are not those of x86-64: what the calls did to address spaces is unknown."
            )
        return found
