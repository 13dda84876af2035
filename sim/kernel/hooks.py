"""What drivers may listen to.  The default does nothing; the kernel calls every hook unconditionally."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.hardware.memory import Words
    from sim.hardware.sites import Site
    from sim.hardware.steps import Proc, Step
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp, Process
    from sim.kernel.pmap import Pmap
    from sim.kernel.program import Call, Mark, Operation, Who
    from sim.kernel.shootdown import Packet
    from sim.kernel.vm_page import VmPage


class Hooks:
    """A listener that does nothing."""

    def count(self, ci: CpuInfo, name: str, n: int = 1) -> None:
        """An event counter of that name goes up by *n*."""

    def sees(self, ci: CpuInfo, words: Words) -> Any:
        """Return what *ci* would read of the word *words*, for assertions: they make no step."""
        return words.v[0]

    def fetched(self, ci: CpuInfo, code: Words, index: int) -> Any:
        """Return what *ci* finds of patched code where it runs it: no step."""
        return code.v[index]

    def in_detail(self, steps: Proc) -> Proc:
        """Steps whose cost is part of another's: made only where CPUs act between them."""
        yield from ()

    def deduct(self, lwp: Lwp, cycles: int) -> int:
        """Return what remains of a recorded duration once the model's own charges are taken out of it."""
        return cycles

    def copy_slots(
        self,
        ci: CpuInfo,
        source: Words,
        target: Words,
        slots: tuple[int, int],
        sites: tuple[Site, Site],
        *,
        locked: bool,
    ) -> int:
        """Copy slots [first, end) of a directory at once, as far as no CPU could see the difference.

        *sites* are those of the reads, locked or plain, and of the writes.  Return the first slot that is left.
        """
        return slots[0]

    def at_once(self, lwp: Lwp, step: Step) -> Step | None:
        """Computing, or touching pages: what is left of it to be made, None if it has been made and nothing faulted."""
        return step

    def straight(self, procedure: Callable[..., Proc], k: Kernel, lwp: Lwp, *others: Any) -> Proc:
        """The steps of ``procedure(k, lwp, *others)``, which returns nothing; none if all have been made at once."""
        return procedure(k, lwp, *others)

    def handler_begins(self, cycles: int) -> None:
        """A device's handler of that length begins."""

    def operations(self, lwp: Lwp, operations: Iterator[Operation]) -> Iterator[Operation]:
        """The operations of the LWP's program that are left to be made."""
        return operations

    def mark(self, lwp: Lwp, mark: Mark) -> None:
        """The LWP's program has come to a mark."""

    def call_begin(self, lwp: Lwp, call: Call) -> None:
        """An LWP in user mode makes a system call or faults."""

    def call_end(self, lwp: Lwp) -> None:
        """It is back in user mode."""

    def renamed(self, lwp: Lwp, who: Who) -> None:
        """An LWP runs another program from now on."""

    def lwp_created(self, lwp: Lwp) -> None:
        """An LWP exists from now on."""

    def lwp_runnable(self, ci: CpuInfo, lwp: Lwp) -> None:
        """An LWP was put on the run queue of *ci*."""

    def lwp_exited(self, lwp: Lwp) -> None:
        """An LWP left its CPU for the last time."""

    def switch_begin(self, ci: CpuInfo, old: Lwp, new: Lwp) -> None:
        """mi_switch has chosen *new*."""

    def switch_end(self, ci: CpuInfo, new: Lwp) -> None:
        """*new* is about to leave mi_switch."""

    def shootdown_begin(self, ci: CpuInfo, packet: Packet) -> None:
        """pmap_tlb_shootnow has something to do."""

    def shootdown_sent(self, ci: CpuInfo, targets: int, broadcast: bool, generation: int) -> None:
        """The mailbox is claimed and IPIs go out to *targets* remote CPUs."""

    def shootdown_intr_begin(self, ci: CpuInfo) -> None:
        """*ci* is about to handle the shootdown IPI that was sent last."""

    def shootdown_intr_end(self, ci: CpuInfo) -> None:
        """*ci* has handled it."""

    def shootdown_end(self, ci: CpuInfo) -> None:
        """All targets have acknowledged, or there were none."""

    def stack_left(self, words: Words) -> None:
        """The frame in which *words* lay has returned."""

    def page_attributes(self, entry: int) -> None:
        """A page is no longer mapped by *entry*: its pp_attrs get the A and D that the hardware has set there."""

    def page_freed(self, ci: CpuInfo, pa: int) -> None:
        """A page-table page went back to the allocator."""

    def page_entered(self, pmap: Pmap, va: int, pa: int) -> None:
        """A fault has mapped page *pa* there, and what was there before is in no TLB."""

    def page_left(self, pmap: Pmap, va: int) -> None:
        """What was mapped there is in no TLB, and there is another page instead that nobody has faulted in yet."""

    def page_shared(self, page: VmPage) -> None:
        """From now on more than one map entry can lead to that page."""

    def map_changes(self, proc: Process) -> None:
        """Entries of a process's map are about to change."""

    def page_gone(self, page: VmPage) -> None:
        """A page that several map entries can lead to is about to be freed; its owner is locked."""

    def page_write_protected(self, page: VmPage) -> None:
        """Nobody may write that page until a fault allows it again."""

    def page_writable(self, page: VmPage, proc: Process, va: int) -> None:
        """A fault of that process is about to map that page writable."""

    def kernel_page_freed(self) -> None:
        """A page of the kernel's own memory went back to the allocator, before its shootdown was sent."""

    def pmap_created(self, pmap: Pmap) -> None:
        """Others can find that pmap from now on."""

    def pmap_destroyed(self, pmap: Pmap) -> None:
        """The last reference to a pmap is gone."""

    def resident_entered(self, lwp: Lwp, va: int) -> None:
        """A page that a recording's task had before time began was entered free of charge."""
