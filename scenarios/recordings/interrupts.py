"""What interrupts took: hard ones, the soft ones behind them, each inside the other.

The model makes timer, reschedule and shootdown interrupts itself; their recorded time is dropped.  Device interrupts
and the soft interrupts behind them are work of the recording and kept.  A soft interrupt that a task runs on its own
account (a system call that sends over loopback, ksoftirqd) is that task's time, and no interrupt at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from scenarios.recordings.lines import Line
from scenarios.recordings.linux import IRQ_ENTRY, IRQ_EXIT

TAIL_NS = 5_000  # a soft interrupt that begins so soon after a hard one belongs to it
MADE_BY_THE_MODEL = frozenset(
    {"local_timer", "reschedule", "call_function", "call_function_single", "irq_work", "x86_platform_ipi"}
)


class Interruption(NamedTuple):
    """Interrupts that began and ended in one go on a CPU.

    ``kept`` and ``dropped`` (ns) split the time from ``begun`` to ``end``; ``kind`` is the first interrupt's name;
    ``tail`` says that it goes on with the one before, at whose end it then begins.
    """

    kind: str
    begun: int
    end: int
    kept: int
    dropped: int
    tail: bool


@dataclass(slots=True)
class _Frame:
    """An interrupt that has begun."""

    name: str
    owner: str
    begun: int
    inner: int = 0


@dataclass(slots=True)
class _Cpu:
    """One CPU's interrupts."""

    stack: list[_Frame]
    kept: int = 0
    dropped: int = 0
    last: tuple[str, int] = ("", -TAIL_NS - 1)
    tail: bool = False


class Interrupts:
    """Follows the entry and exit lines of all CPUs."""

    def __init__(self) -> None:
        self._cpus: dict[int, _Cpu] = {}

    def take(self, line: Line, *, own_account: bool) -> Interruption | None:
        """Follow one line; return what has ended with it.

        *own_account*: whether the task on the CPU is in the kernel, so that a soft interrupt may be its own doing.
        """
        cpu = self._cpus.setdefault(line.cpu, _Cpu([]))
        if line.name in IRQ_ENTRY:
            self._enter(cpu, IRQ_ENTRY[line.name], line.time, own_account)
            return None
        return self._leave(cpu, IRQ_EXIT[line.name], line.time)

    def forget(self) -> None:
        """Nothing was recorded for long: whatever had begun has ended meanwhile, nobody knows when."""
        self._cpus.clear()

    def inside(self, cpu: int) -> bool:
        """Whether an interrupt has begun on the CPU and not ended."""
        state = self._cpus.get(cpu)
        return state is not None and bool(state.stack)

    @staticmethod
    def _enter(cpu: _Cpu, name: str, now: int, own_account: bool) -> None:
        begun = now
        if cpu.stack:
            owner = cpu.stack[-1].owner if name == "softirq" else name
        else:
            owner = name
            cpu.kept = cpu.dropped = 0
            cpu.tail = name == "softirq" and now - cpu.last[1] <= TAIL_NS
            if cpu.tail:
                owner, begun = cpu.last
            elif name == "softirq" and own_account:
                return
        cpu.stack.append(_Frame(name, owner, begun))

    @staticmethod
    def _leave(cpu: _Cpu, name: str, now: int) -> Interruption | None:
        if not any(frame.name == name for frame in cpu.stack):
            return None  # its entry is missing, or it was a task's own
        while True:
            frame = cpu.stack.pop()
            span = now - frame.begun
            if frame.owner in MADE_BY_THE_MODEL:
                cpu.dropped += span - frame.inner
            else:
                cpu.kept += span - frame.inner
            if cpu.stack:
                cpu.stack[-1].inner += span
            if frame.name == name:
                break
        if cpu.stack:
            return None
        cpu.last = (frame.owner, now)
        return Interruption(frame.owner, frame.begun, now, cpu.kept, cpu.dropped, cpu.tail)
