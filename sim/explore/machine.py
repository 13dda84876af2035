"""The state of an execution: everything that steps read and change."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from sim.explore.cached import BornMem, MaybeCached
from sim.explore.touched import Touched
from sim.explore.walks import Walks
from sim.hardware.apic import Apic
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.paging import Fault, walk
from sim.hardware.steps import Access, Step
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp

RESUME: Step = ("resume",)

# A store on its way to memory: words, index, value and number; or no words, and the mutex that becomes free.
Buffered = tuple[Words | None, int, Any, int, Mutex | None]


class Machine:
    """CPUs, memory and kernel between two transitions.

    Attributes:
        tso: plain stores to shared words go through store buffers.
        caches: what each CPU's TLB may hold; they are the ``tlb`` of the kernel's CPUs.
        apics: each CPU's interrupts that have arrived and not landed, and what the CPU lets through.
        buffers: each CPU's store buffer, oldest first; ``serial`` numbers its stores.
        busy: the CPU that holds each mutex, by the mutex's id, as others see it.
        current: the LWP whose flow of control each CPU runs.
        steps: the step that each CPU would make next.
        halted: the CPUs that have executed HLT and wait for an interrupt.
        in_tlb_handler: how many shootdown handlers each CPU is in.
        payloads: what each CPU's device interrupts on their way ask their handlers to do, in order.
        nmis_to_come: how many NMIs have not landed yet on each CPU.
        touched: what the transition under way touches besides its steps' words.
        moved: the last of all ``turns`` in which an LWP moved, by the LWP's id: what its frames hold is the same since.
        walks: entries of user pages that a walk may set A in.
        dead: the kernel did what it must not do, and that is muted: no CPU goes on.
    """

    def __init__(
        self, kernel: Kernel, mem: BornMem, caches: Sequence[MaybeCached], touched: Touched, *, tso: bool
    ) -> None:
        self.kernel = kernel
        self.mem = mem
        self.caches = caches
        self.touched = touched
        self.dead = False
        self.walks = Walks(mem, touched)
        self.tso = tso
        self.n = n = len(kernel.cpus)
        self.user_limit = kernel.user_limit
        self.apics = [Apic(ci.cpu) for ci in kernel.cpus]
        self.buffers: list[deque[Buffered]] = [deque() for _ in range(n)]
        self.serial = [0] * n
        self.busy: dict[int, int] = {}
        self.current: list[Lwp] = [ci.ci_curlwp for ci in kernel.cpus]
        self.steps: list[Step] = [RESUME] * n
        self.halted = [False] * n
        self.in_tlb_handler = [0] * n
        self.payloads: list[tuple[object, ...]] = [()] * n
        self.nmis_to_come = [0] * n
        self.turns = 0
        self.moved: dict[int, int] = {}

    def moves(self, lwp: Lwp) -> None:
        """An LWP's flow of control goes on."""
        self.turns += 1
        self.moved[id(lwp)] = self.turns

    def read(self, cpu: int, words: Words, index: int) -> Any:
        """What a load by *cpu* sees: its own youngest buffered store, or memory."""
        for entry in reversed(self.buffers[cpu]):
            if entry[0] is words and entry[1] == index:
                return entry[2]
        return words.v[index]

    def fault(self, cpu: int, va: int, kind: Access, user: bool) -> Fault | None:
        """What a page walk in the tables that *cpu* has loaded says of an access, or None if it is allowed.

        A CPU's walks see its own stores before others do: it may use at once what it has just mapped.
        """
        own = [(entry[0], entry[1], entry[2]) for entry in self.buffers[cpu] if entry[0] is not None]
        before = [(words, index, words.v[index]) for words, index, _ in own]
        for words, index, value in own:
            words.v[index] = value
        cr3 = self.kernel.cpus[cpu].cpu.cr3_pa
        fault = walk(self.mem, self.mem.geometry, cr3, va, kind, user, set_ad=False).fault
        for words, index, value in reversed(before):
            words.v[index] = value
        return fault

    def refresh(self, cpu: int) -> None:
        """A CPU may cache what its tables lead to now."""
        registers, cache = self.kernel.cpus[cpu].cpu, self.caches[cpu]
        if not cache.grows:
            return
        before = cache.amount()
        waiting = cache.refresh(registers.cr3_pa, registers.pcid, registers.pge)
        new = [self.walks.reached(*place) for place in waiting]
        if True in new or cache.amount() != before:
            cache.grew = True
