"""The fields of the events that carry meaning, in the spellings of the three tools."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from scenarios.recordings.lines import Line
from scenarios.recordings.linux import NUMBERS, PAGE, fold, is_user

_SWITCH = re.compile(
    r"prev_comm=(?P<pc>.*?) prev_pid=(?P<pp>\d{1,10}) .*?prev_state=(?P<ps>\S+) (?:==> )?"
    r"next_comm=(?P<nc>.*?) next_pid=(?P<np>\d{1,10})(?!\d)"
)
_SWITCH_OLD = re.compile(
    r"(?P<pc>.*?):(?P<pp>\d{1,10}) \[-?\d+\] (?P<ps>\S+) ==> (?P<nc>.*):(?P<np>\d{1,10}) \[-?\d+\]"
)
_WAKE = re.compile(r"comm=(?P<comm>.{0,64}) pid=(?P<pid>\d{1,10})(?!\d)(?:.*?target_cpu=(?P<cpu>\d{1,4}))?")
_WAKE_OLD = re.compile(r"(?P<comm>.*?):(?P<pid>\d{1,10}) \[-?\d+\](?:.*?CPU:(?P<cpu>\d{1,4}))?")
_FORK = re.compile(r"pid=(?P<pid>\d{1,10}) child_comm=(?P<comm>.*?) child_pid=(?P<child>\d{1,10})(?!\d)")
_FORK_OLD = re.compile(r":(?P<pid>\d{1,10})\s+child_comm=(?P<comm>.*?)\s+child_pid=(?P<child>\d{1,10})(?!\d)")
_EXEC = re.compile(r"\bpid=(?P<pid>\d{1,10}) old_pid=(?P<old>\d{1,10})(?!\d)")
_IPI = re.compile(r"\bcpu=(\d{1,4})(?!\d)")
_ENTER = re.compile(r"NR (-?\d{1,10})\s*\(([^)]*)\)")
_ENTER_RAW = re.compile(r"\bid=(-?\d{1,10}) args=ARRAY\[([0-9a-f, ]*)\]")  # the bytes of six words, lowest first
_EXIT = re.compile(r"(?:NR|\bid=)\s?(-?\d{1,10}) (?:ret)?=\s?(-?(?:0x[0-9a-fA-F]{1,16}|\d{1,20}))(?![0-9a-zA-Z])")
_NR = re.compile(r"(?:NR |\bid=)(-?\d{1,10})")
_ARG = re.compile(r":\s*(?:0x)?([0-9a-fA-F]{1,16})(?![0-9a-fA-F])")
_RETURN = re.compile(r"(-?(?:0x)?[0-9a-fA-F]{1,20})\s*$")
# The trace shows 0x and digits; perf and trace-cmd leave the rest of the kernel's format behind them, an "f" or "s".
_FAULT = re.compile(
    r"address=(?:0x)?([0-9a-fA-F]{1,17})s? ip=(?:0x)?([0-9a-zA-Z_.+/]*) error_code=(?:0x)?([0-9a-fA-F]{1,16})"
)
# States as numbers (events printed raw), before Linux 4.14 and since: 16 to 64 are the ways to be dead (64 is "parked"
# now, for kernel threads only), 1 to 8 those to sleep; 128 is the kernel threads' idle sleep, or a mark beside them.
_DEAD_STATES, _SLEEPING_STATES, _IDLE_STATE = 0x70, 0x8F, 0x80
_NUMBER = re.compile(r"(0x[0-9a-fA-F]{1,8}|\d{1,10})\+?$")
_LOWEST_KERNEL = 0xFFFF_8000_0000_0000
ALL_ONES = (1 << 64) - 1
LOWEST_POINTER = 1 << 22  # of arguments, what is below is taken for a number
KEPT = 1024  # texts of which is known what they say


class Switch(NamedTuple):
    """A sched_switch; ``blocked``, ``idles`` (as only kernel threads do) and ``dead`` are the previous task's state."""

    prev: int
    prev_comm: str
    blocked: bool
    idles: bool
    dead: bool
    next: int
    next_comm: str


def switch(line: Line) -> Switch | None:
    """Read a sched_switch."""
    match = _SWITCH.search(line.fields) or _SWITCH_OLD.search(line.fields)
    if match is None:
        return None
    blocked, idles, dead = _state(match["ps"])
    return Switch(int(match["pp"]), match["pc"], blocked, idles, dead, int(match["np"]), match["nc"])


def _state(text: str) -> tuple[bool, bool, bool]:
    """What a task's state means: whether it sleeps, whether as only kernel threads do, whether it is dead."""
    number = _NUMBER.match(text)
    if number is not None:
        bits = int(number[1], 16 if text[:2] == "0x" else 10)
        dead = bool(bits & _DEAD_STATES)
        return bool(bits & _SLEEPING_STATES) and not dead, bits == _IDLE_STATE, dead
    dead = text[0] in "XZx"  # dead, zombie, and "x" as kernels before 4.14 print "dead"
    return not dead and text[0] != "R", text[0] == "I", dead


def wakee(line: Line) -> tuple[int, str, int] | None:
    """Read a sched_wakeup, sched_wakeup_new or sched_waking: (tid, comm, target CPU or -1)."""
    match = _WAKE.search(line.fields) or _WAKE_OLD.search(line.fields)
    return (int(match["pid"]), match["comm"], int(match["cpu"] or -1)) if match else None


def fork(line: Line) -> tuple[int, int, str] | None:
    """Read a sched_process_fork: (parent, child, child's comm)."""
    match = _FORK.search(line.fields) or _FORK_OLD.search(line.fields)
    return (int(match["pid"]), int(match["child"]), match["comm"]) if match else None


def execution(line: Line) -> tuple[int, int] | None:
    """Read a sched_process_exec: (tid from now on, tid before)."""
    match = _EXEC.search(line.fields)
    return (int(match["pid"]), int(match["old"])) if match else None


def ipi_target(line: Line) -> int | None:
    """Read an ipi_send_cpu: the CPU it goes to."""
    match = _IPI.search(line.fields)
    return int(match[1]) if match else None


def is_enter(name: str) -> bool:
    """Whether an event is a system call's entry."""
    return name.startswith("sys_enter")


def is_exit(name: str) -> bool:
    """Whether an event is a system call's exit."""
    return name.startswith("sys_exit")


_BY_THE_TASK = frozenset(
    {"page_fault_user", "sched_switch", "sched_process_fork", "sched_process_exec", "sched_process_exit"}
)


def shows_running(name: str) -> bool:
    """Whether an event proves that the task it is printed for runs; after a switch, others may carry the old task."""
    return is_enter(name) or is_exit(name) or name in _BY_THE_TASK


def only_users(name: str) -> bool:
    """Whether an event that is printed for a task proves that it is no kernel thread."""
    return is_enter(name) or is_exit(name) or name in ("page_fault_user", "sched_process_exec")


def call_number(text: str) -> int | None:
    """The number of the system call in the fields of a raw entry or exit."""
    match = _NR.search(text)
    return int(match[1]) if match else None


class Entered(NamedTuple):
    """A system call's entry; ``pages`` are those that its arguments point to, as the model has them."""

    number: int
    args: tuple[int, ...]
    pages: tuple[int, ...]


def enter(line: Line) -> Entered | None:
    """Read a system call's entry."""
    return _entered(line.name, line.fields)


@lru_cache(maxsize=KEPT)
def _entered(name: str, text: str) -> Entered | None:
    """Read the fields of an entry; programs make the same calls over and over."""
    found = _arguments(name, text)
    if found is None:
        return None
    number, args = found
    pages = (fold(arg) // PAGE * PAGE for arg in args if arg >= LOWEST_POINTER and is_user(arg))
    return Entered(number, tuple(args), tuple(pages))


def _arguments(name: str, text: str) -> tuple[int, list[int]] | None:
    """Number and arguments."""
    if name == "sys_enter":
        match = _ENTER.search(text)
        if match is None:
            return _enter_raw(text)
        try:
            return int(match[1]), [int(a, 16) & ALL_ONES for a in match[2].replace(" ", "").split(",") if a]
        except ValueError:
            return int(match[1]), []
    number = NUMBERS.get(name.removeprefix("sys_enter_"), -2)
    return number, [int(a, 16) for a in _ARG.findall(text)]


def _enter_raw(text: str) -> tuple[int, list[int]] | None:
    """Read a system call's entry whose arguments are printed as the bytes of an array."""
    match = _ENTER_RAW.search(text)
    if match is None:
        return None
    data = bytes(int(byte, 16) for byte in match[2].replace(" ", "").split(",") if byte)
    return int(match[1]), [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data) - 7, 8)]


def leave(line: Line) -> int | None:
    """Read a system call's exit: the value returned, signed."""
    return _returned(line.name, line.fields)


@lru_cache(maxsize=KEPT)
def _returned(name: str, text: str) -> int | None:
    """Read the fields of an exit."""
    match = _EXIT.search(text)
    number = match[2] if match else None
    if number is None and name != "sys_exit":
        match = _RETURN.search(text)
        number = match[1] if match else None
    if number is None:
        return None
    value = int(number, 10 if number.lstrip("-").isdigit() else 16) & ALL_ONES
    return value - (1 << 64) if value >= 1 << 63 else value


def fault(line: Line) -> tuple[int, int] | None:
    """Read a page_fault_user: (address, error code)."""
    match = _FAULT.search(line.fields)
    if match is None:
        return None
    address = int(match[1], 16)
    if 1 << 47 <= address < _LOWEST_KERNEL and match[1][-1] == match[2][-1:] == "f":
        address >>= 4  # no address at all, unless its last digit is a left-over "f"
    return address, int(match[3], 16)
