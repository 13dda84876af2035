"""One task of a recording, from birth or first sight to death: what its lines have shown by now."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from scenarios.recordings.linux import KERNEL_THREAD

NAMELESS = "<...>"  # what ftrace prints where it has forgotten a task's name


class Kernel(Enum):
    """Whether a task is a kernel thread."""

    NO = 0
    YES = 1
    IF_CALLS_SHOW = 2  # it has slept outside calls and faults: a user task can't, if calls are recorded at all


class WokenBy(Enum):
    """How a sleep ended."""

    TASK = "a task's progress"
    CALL = "a task's progress, carried out by the interrupt that its IPI raised"
    OUTSIDE = "a device, a timer, or nobody recorded"
    UNSEEN = "the task runs again and its wake-up is missing"


@dataclass(slots=True, eq=False)
class Life:
    """One task from birth or first sight to death.

    Attributes:
        serial: number in order of first sight, the same in both passes.
        comm, called: its command's name, and the one it had before it executed anything else.
        tgid: its process, 0 while unknown.
        asleep: time (ns) at which its sleep began; None while awake.
        sleeps: how many sleeps have begun.
        inside: whether a system call is open.
        traced, faulted: whether it has shown system calls or faults at all, and whether a fault was the latest of them.
        on_cpu, cpu: whether it runs, and where it ran last.
        since: time (ns) from which its present stretch counts; meaningless off the CPU.
        fresh: whether it has not been seen to run yet.
        user: whether it has done what only user tasks do: a system call, a fault in user mode, an exec.
        idles, blocks: whether it has slept as only kernel threads do, and whether outside calls and faults.
        made_by_kernel: whether the task that created it was a kernel thread.
        tree: whether it is the process asked for, or descends from it.
        cpu_ns, lines, calls, switches: time on a CPU, lines printed for it, its system calls, and switches from and to
            it, until now (kept by the first pass).
        paced_ns, paced_lines: ``cpu_ns`` and ``lines`` when the distance of its lines was measured last (the same).
        began: when it was first on a CPU under its present name; -1: not yet (the same).
    """

    serial: int
    tid: int
    comm: str
    tgid: int = 0
    asleep: int | None = None
    sleeps: int = 0
    inside: bool = False
    traced: bool = False
    faulted: bool = False
    on_cpu: bool = False
    cpu: int = -1
    since: int = 0
    fresh: bool = True
    user: bool = False
    idles: bool = False
    blocks: bool = False
    made_by_kernel: bool = False
    tree: bool = False
    cpu_ns: int = 0
    lines: int = 0
    calls: int = 0
    switches: int = 0
    paced_ns: int = 0
    paced_lines: int = 0
    began: int = -1
    called: str = ""
    sent: tuple[int, int] | None = None  # time and target of its latest IPI, until that has woken somebody

    def __post_init__(self) -> None:
        self.called = self.comm

    @property
    def kernel(self) -> Kernel:
        """What is known by now of its being a kernel thread."""
        if self.user:
            return Kernel.NO
        if self.idles or self.made_by_kernel or KERNEL_THREAD.match(self.comm):
            return Kernel.YES
        return Kernel.IF_CALLS_SHOW if self.blocks else Kernel.NO
