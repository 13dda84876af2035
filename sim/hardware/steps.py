"""The steps that a kernel procedure yields: the instruction set shared by both drivers.

A kernel procedure is a generator.  It yields one *step* before each thing that the machine does, and the driver sends
back the value (of a load, of a locked update, of an access).  A step is a plain tuple ``(op, site, *operands)``; the
functions below build them.  The site (:mod:`sim.hardware.sites`) says where in which procedure the step is made.

Nothing here knows time.  The timed driver gives a step its cycles; the exploring driver gives it its place in an
interleaving.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from sim.hardware.memory import Words

if TYPE_CHECKING:
    from sim.hardware.lock import Mutex
    from sim.hardware.sites import Site


class Op(IntEnum):
    """What kind of step it is; operands in brackets, value sent back after the arrow."""

    LOAD = 0  # [words, index] -> value
    STORE = 1  # [words, index, value]: plain, goes through the store buffer
    RMW = 2  # [words, index, function, operand] -> old value: locked, drains the store buffer
    ACQUIRE = 3  # [mutex]: an exchange, waits while held
    RELEASE = 4  # [mutex]: a plain store
    WAIT = 5  # [words, index, predicate, other] -> value: spin with loads until predicate(value), or *other* likewise
    CR3 = 6  # [pa, pcid, noflush]
    PGE = 7  # [on]: write CR4.PGE; any change flushes everything
    INVLPG = 8  # [va]
    INVPCID = 9  # [Invpcid kind, pcid, va]
    CLI = 10  # []
    STI = 11  # []
    SPL = 12  # [ipl] -> previous IPL
    IPI = 13  # [vector, bit mask of CPUs, broadcast]: write the ICR
    ACCESS = 14  # [va, Access, user] -> None, or the Fault met: through TLB and page tables
    WORK = 15  # [cycles]: computing that touches nothing others see; interruptible
    USER = 16  # [cycles]: user-mode computing; interruptible
    SWITCH = 17  # [lwp]: this CPU goes on with another LWP's flow of control
    HALT = 18  # []: until an interrupt is pending
    REG = 19  # [name, value]: a register of this CPU (rsp, tss_rsp0, mode, ...)
    COST = 20  # [name]: a fixed instruction cost by its name in the cost table
    TOUCH = 21  # [pairs (va, Access), first, user] -> index of the first pair that faults, or -1: a run of ACCESSes
    TIMER = 22  # [cycles]: arm the current LWP's sleep timer
    MWAIT = 23  # [words, index]: until that word, whose line is monitored, is not 0, or an interrupt is pending


class Access(IntEnum):
    """Kind of a memory access through the MMU."""

    READ = 0
    WRITE = 1
    EXEC = 2


# To look a member up through its class takes Python 3.11 longer than to make a step: the hot paths use these names.
(LOAD, STORE, RMW, ACQUIRE, RELEASE, WAIT, CR3, PGE, INVLPG, INVPCID, CLI, STI, SPL, IPI, ACCESS, WORK, USER, SWITCH,
 HALT, REG, COST, TOUCH, TIMER, MWAIT) = Op  # fmt: skip
READ, WRITE, EXEC = Access
# Methods of a CPU that make such a step, by what the step needs.
CALLS = {CR3: "write_cr3", PGE: "write_pge", INVLPG: "invlpg", INVPCID: "invpcid"}


class Invpcid(IntEnum):
    """INVPCID types, as the instruction numbers them."""

    ADDRESS = 0
    CONTEXT = 1
    ALL = 2
    ALL_NONGLOBAL = 3


Step = tuple[Any, ...]
Proc = Generator[Step, Any, Any]
Condition = tuple[Words, int, Callable[[Any], bool]]


def load(words: Words, index: int, site: Site) -> Step:
    """Plain load of a word."""
    return (LOAD, site, words, index)


def store(words: Words, index: int, value: Any, site: Site) -> Step:
    """Plain store of a word."""
    return (STORE, site, words, index, value)


def rmw(words: Words, index: int, function: Callable[[Any, Any], Any], operand: Any, site: Site) -> Step:
    """Locked update ``word = function(word, operand)``; the old value is sent back."""
    return (RMW, site, words, index, function, operand)


def acquire(mutex: Mutex, site: Site) -> Step:
    """Enter a mutex (exchange); not enabled while another holds it."""
    return (ACQUIRE, site, mutex)


def release(mutex: Mutex, site: Site) -> Step:
    """Leave a mutex (plain store)."""
    return (RELEASE, site, mutex)


def wait(
    words: Words, index: int, predicate: Callable[[Any], bool], site: Site, other: Condition | None = None
) -> Step:
    """Spin on loads of a word until the predicate holds, or until *other* does, which is polled in turn.

    The value seen of the first word is sent back.
    """
    return (WAIT, site, words, index, predicate, other)


def conditions(step: Step) -> list[Condition]:
    """What a WAIT step polls; one of them suffices."""
    return [step[2:5]] if step[5] is None else [step[2:5], step[5]]


def write_cr3(pa: int, pcid: int, noflush: bool, site: Site) -> Step:
    """MOV to CR3."""
    return (CR3, site, pa, pcid, noflush)


def write_pge(on: bool, site: Site) -> Step:
    """MOV to CR4 that sets or clears PGE."""
    return (PGE, site, on)


def invlpg(va: int, site: Site) -> Step:
    """INVLPG: the VA in the current PCID, globals for it, all paging-structure caches of the PCID."""
    return (INVLPG, site, va)


def invpcid(kind: Invpcid, pcid: int, va: int, site: Site) -> Step:
    """INVPCID."""
    return (INVPCID, site, kind, pcid, va)


def cli(site: Site) -> Step:
    """Interrupts off."""
    return (CLI, site)


def sti(site: Site) -> Step:
    """Interrupts on."""
    return (STI, site)


def spl(ipl: int, site: Site) -> Step:
    """Set the interrupt priority level; the previous level is sent back."""
    return (SPL, site, ipl)


def ipi(vector: int, targets: int, broadcast: bool, site: Site) -> Step:
    """Write the local APIC's ICR: one IPI, to one CPU or (broadcast) to all but self."""
    return (IPI, site, vector, targets, broadcast)


def access(va: int, kind: Access, user: bool, site: Site) -> Step:
    """A load, store or fetch through TLB and page tables; sends back None or the fault."""
    return (ACCESS, site, va, kind, user)


def work(cycles: int, site: Site) -> Step:
    """Kernel computing of that many cycles."""
    return (WORK, site, cycles)


def user(cycles: int, site: Site) -> Step:
    """User-mode computing of that many cycles."""
    return (USER, site, cycles)


def switch(lwp: Any, site: Site) -> Step:
    """The stack switch in cpu_switchto: the CPU continues in *lwp*."""
    return (SWITCH, site, lwp)


def halt(site: Site) -> Step:
    """HLT."""
    return (HALT, site)


def mwait(words: Words, index: int, site: Site) -> Step:
    """MONITOR, a look and MWAIT: wait with interrupts on until the word is not 0 or an interrupt comes."""
    return (MWAIT, site, words, index)


def reg(name: str, value: Any, site: Site) -> Step:
    """Set a register of this CPU."""
    return (REG, site, name, value)


def cost(name: str, site: Site) -> Step:
    """Instructions whose only effect is their fixed cost, by name in the cost table."""
    return (COST, site, name)


def touch(pairs: tuple[tuple[int, Access], ...], first: int, user_mode: bool, site: Site) -> Step:
    """Access one page after another, from *first* on; sends back the index that faults, or -1."""
    return (TOUCH, site, pairs, first, user_mode)


def timer(cycles: int, site: Site) -> Step:
    """Arm the sleep timer of the current LWP."""
    return (TIMER, site, cycles)


def bit_set(word: int, mask: int) -> int:
    """Locked OR."""
    return word | mask


def bit_clear(word: int, mask: int) -> int:
    """Locked AND NOT."""
    return word & ~mask


def add(word: int, delta: int) -> int:
    """Locked ADD."""
    return word + delta


def exchange(_word: int, value: int) -> int:
    """XCHG."""
    return value


def same(word: int, _operand: Any) -> int:
    """A locked read that writes back what it found (compare-and-swap of a value with itself)."""
    return word


def compare_and_swap(word: Any, operand: tuple[Any, Any]) -> Any:
    """CMPXCHG with ``operand = (expected, new)``."""
    expected, new = operand
    return new if word == expected else word
