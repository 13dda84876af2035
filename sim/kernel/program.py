"""What LWPs do: the operations that scenarios build and the kernel carries out.

A program is an iterator of operations, drawn lazily, so that memory is bounded by the live LWPs and not by a
recording's length.  All durations are integer CPU cycles of the cost table's frequency.  Addresses are user virtual
addresses in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sim.hardware.steps import Access, Proc


class Who(NamedTuple):
    """Whose LWP it is: command, process and thread number (0 where nobody gave one), and whether it was asked for."""

    comm: str
    pid: int = 0
    tid: int = 0
    chosen: bool = True


class Call(NamedTuple):
    """What a ledger of calls files time under: a name, and the system call's number (-1: it has none)."""

    name: str
    number: int = -1


OUTSIDE = Call("")
PAGE_FAULT = Call("(page fault)")


class Touch(NamedTuple):
    """One page touched in user mode."""

    va: int
    access: Access


class User(NamedTuple):
    """Compute in user mode for *cycles*, touching pages on the way.

    *recorded* marks a duration taken from a recording: then what the model charges in the baseline is deducted.
    """

    cycles: int
    touches: tuple[Touch, ...] = ()
    recorded: bool = False


class Syscall(NamedTuple):
    """A system call: *cycles* of kernel work around the operations of *body*, in order.

    *made_up*: nobody called the kernel there, but what is to be done needs it; counted apart from system calls.
    """

    name: str
    cycles: int
    body: tuple[KernelOp, ...] = ()
    recorded: bool = False
    made_up: bool = False
    number: int = -1


class Fault(NamedTuple):
    """A page fault at *va* that is entered into the pmap, with *cycles* of fault-handler work (0: the table's)."""

    va: int
    access: Access
    cycles: int = 0
    recorded: bool = False


class Interrupt(NamedTuple):
    """A device interrupt that hits this LWP here; *cycles* of handler work."""

    name: str
    cycles: int


class Work(NamedTuple):
    """Kernel computing inside a system call, *cycles* long (part of no other figure)."""

    cycles: int


class Map(NamedTuple):
    """``mmap``/``brk``: [start, end) may be faulted in from now on (nothing enters the pmap)."""

    start: int
    end: int
    write: bool = True


class Unmap(NamedTuple):
    """``munmap``, ``madvise(DONTNEED)``, shrinking ``brk``: pmap_remove of [start, end), pmap_update.

    *shared*: the map itself stays, so that its lock is held for reading, as ``madvise`` does.  No other LWP may touch
    these pages: the locks of single pages, which such a fault would take, are not modelled.
    """

    start: int
    end: int
    shared: bool = False


class Protect(NamedTuple):
    """``mprotect``: pmap_protect of [start, end) to read-only (*write* false), to nothing (*none*), or to writable."""

    start: int
    end: int
    write: bool
    none: bool = False


class Block(NamedTuple):
    """Sleep until somebody wakes this LWP (a wake-up that came first is remembered and consumed).

    *channel* names the wake-up waited for; a :class:`Wake` with the same channel ends it.
    """

    channel: int | str


class Sleep(NamedTuple):
    """Sleep for *cycles*, then be woken by a device or timer interrupt."""

    cycles: int


class Wake(NamedTuple):
    """Wake the LWP that blocks (or will block) on *channel*."""

    channel: int | str


class Yield(NamedTuple):
    """Give up the CPU voluntarily (``sched_yield``)."""


class Fork(NamedTuple):
    """Create a process (own pmap, parent's pages write-protected and shared) or, with *thread*, an LWP in this one."""

    child: LwpSpec
    thread: bool = False


class Exec(NamedTuple):
    """``execve``: pmap_remove_all of the old image, new empty one; *who* the LWP is from then on (None: as before)."""

    who: Who | None = None


class Sysctl(NamedTuple):
    """``sysctl -w machdep.svs.enabled=``: 0 turns SVS off where the profile can."""

    value: int


class Exit(NamedTuple):
    """The LWP ends; with the last LWP of its process the pmap is torn down."""


class Mark(NamedTuple):
    """Nothing happens: here begins, or with *end* ends, what is measured of the LWP where only a *part* is.

    *asleep*: a sleep is next, and the LWP comes here once it is asleep.
    """

    part: int
    end: bool
    asleep: bool = False


KernelOp = Work | Map | Unmap | Protect | Block | Sleep | Wake | Yield | Fork | Exec | Sysctl | Exit | Mark
Operation = User | Syscall | Fault | Interrupt | Mark


@dataclass(slots=True)
class LwpSpec:
    """An LWP to be created.

    Attributes:
        name: shown in frames and timelines.
        program: its operations; when they end, the LWP exits.
        group: LWPs of the same group share a pmap.
        system: a kernel (LW_SYSTEM) LWP: its ``User`` cycles are kernel work and no pmap is loaded for it.
        priority: NetBSD priority; higher runs first (user LWPs around 43, kernel LWPs 96 and up).
        cpu: index of the CPU it is first enqueued on, or None for the least loaded.
        bound: it never leaves that CPU.
        resident: touched pages that are not mapped were there before time began, and are entered free of charge.
        start: cycle at which it becomes runnable.
        asleep: the sleep that it is in when time begins, if any.
        who: whose it is; None: its own name's.
        lines: cache lines that it uses of each page it touches, 1 to 64.
        inherits: in a process of its own, it shares the pages of the one that forks it until somebody writes them;
            else each begins with nothing mapped, and a page that it touches counts as copied then.
        life: what it does in place of a program.
        cut: its program does not end with its last operation, only what is known of it; its exit is made up.
    """

    name: str
    program: Iterator[Operation]
    group: str
    system: bool = False
    priority: int = 43
    cpu: int | None = None
    bound: bool = False
    resident: bool = False
    start: int = 0
    asleep: Block | Sleep | None = None
    who: Who | None = None
    cut: bool = False
    lines: int = 1
    inherits: bool = False
    life: Callable[[Any], Proc] | None = None


@dataclass(slots=True)
class DeviceInterrupt:
    """An interrupt from outside, at absolute cycle *at*, on CPU *cpu*, with *cycles* of handler work."""

    at: int
    cpu: int
    cycles: int
    name: str = "device"


@dataclass(slots=True)
class Part:
    """A part of something longer, which begins in the middle of things; its programs say by a :class:`Mark` where.

    Attributes:
        number: which part it is.
        from_start: whether it is the first, measured from the workload's own beginning.
        since: when it begins, cycles since the workload's beginning.
        late: numbers of the LWPs that start when others are in the part already.
        tokens: channels whose wake-up has come before the sleep.
        pages: pages that are mapped already, by group, and whether they may be written.
    """

    number: int
    from_start: bool
    since: int
    late: list[int]
    tokens: list[int | str]
    pages: Mapping[str, Iterable[tuple[int, bool]]]


@dataclass(slots=True)
class Workload:
    """Everything a timed run needs to know of a scenario.

    ``lwps`` are there from the start; ``interrupts`` come in order of time.  ``assumptions`` is filled while the
    programs are drawn and read at the end of the run: what the source could not tell, with how often a rule was used.
    ``timer_work`` and ``idle_exit`` (cycles of a timer interrupt; from the wake-up of an idle CPU to its first useful
    instruction) override the cost table where a recording tells them.
    ``kernel_pages`` are pages that crossings touch in the kernel, large ones of the direct map with ``direct_map``;
    ``text_pages`` are the large pages of its text that they run through.
    ``recorded`` gives a recording's own ``elapsed_cycles``, ``context_switches`` and ``cpus``, or is empty.
    ``idle_exits`` are single samples of the latter.
    ``draw``: which draw it is of what nobody knows (:mod:`sim.timed.phases`).
    ``whose``: who was asked for, as a result calls them; empty: everybody.
    ``notes``: what whoever reads the result has to know first, in sentences.
    ``part``: what is measured, if that is not all of it.
    """

    name: str
    cpus: int
    lwps: list[LwpSpec]
    seed: int = 0
    interrupts: Iterator[DeviceInterrupt] = field(default_factory=lambda: iter(()))
    assumptions: dict[str, int] = field(default_factory=dict)
    recorded: dict[str, int] = field(default_factory=dict)
    timer_work: int | None = None
    idle_exit: int | None = None
    idle_exits: list[int] = field(default_factory=list)
    draw: int = 0
    kernel_pages: dict[str, int] = field(default_factory=dict)
    whose: str = ""
    direct_map: bool = False
    text_pages: int = 1
    notes: list[str] = field(default_factory=list)
    part: Part | None = None
