"""Judging uses of what is no more: packets and frames on stacks, LWPs' stacks, the mailbox of a shootdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.explore.judges.guards import Guards, Rule, vm_map
from sim.explore.judges.modified import Modified
from sim.explore.judges.protected import Protected
from sim.explore.judges.tally import Tally
from sim.explore.judges.view import View
from sim.explore.touched import Touched
from sim.explore.watched import WatchedPage, WatchedPmap, watch
from sim.hardware.memory import Words
from sim.hardware.sites import Site
from sim.hardware.steps import Proc
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.hooks import Hooks
from sim.kernel.layout import KSTACK_PAGES, PAGE_SIZE
from sim.kernel.lwp import Lwp, Process
from sim.kernel.pmap import Pmap
from sim.kernel.shootdown import EVERYTHING, Packet
from sim.kernel.vm_page import VmPage


class Lifetimes(Hooks):
    """Listens to the kernel: who begins and ends.

    Attributes:
        guards: who judges what is used under which lock.
        written, entered, left: who judges writes and hears of pages; who hears of what pmap_enter promises, or would.
        sent: who hears that what a CPU had queued is done.
        ended: pages of the kernel stacks of LWPs that are no more.
        mailbox, pending: the words that shootdowns share: the packet, or its address, and how many have to answer.
        answered: CPUs whose shootdown handler has acknowledged, so that the mailbox is no longer theirs to read.
    """

    def __init__(
        self, view: View, tally: Tally, touched: Touched, guards: Guards, protected: Protected, modified: Modified
    ) -> None:
        self.view = view
        self.premise, self.broken = tally.premise, tally.broken
        self.touched = touched
        self.guards = guards
        self.written, self.modified = protected, modified
        self.entered: Callable[[Pmap, int, int], None]
        self.left: Callable[[Pmap, int], None]
        self.sent: Callable[[int], None]
        self.mailbox, self.pending = view.kernel.pmap_tlb_packet, view.kernel.pmap_tlb_pendcount
        self.ended: set[int] = set()
        self.answered: set[int] = set()

    def sees(self, ci: CpuInfo, words: Words) -> Any:
        """What the CPU's own store buffer has, or memory."""
        self.touched.looked((words.name, 0))
        return self.view.own(ci.ci_index, words, 0)

    def fetched(self, ci: CpuInfo, code: Words, index: int) -> Any:
        """What memory has by now, or the CPU's own store buffer; whoever patches makes a difference."""
        self.premise("whole-code")
        self.touched.looked((code.name, index))
        return self.view.own(ci.ci_index, code, index)

    def in_detail(self, steps: Proc) -> Proc:
        """Others act between them here."""
        return steps

    def pmap_created(self, pmap: Pmap) -> None:
        """Its fields are guarded from now on."""
        pmap.__class__ = WatchedPmap
        self.guards.published(pmap)

    def pmap_destroyed(self, pmap: Pmap) -> None:
        """Nobody may use it any more."""
        self.guards.destroyed(pmap)

    def page_shared(self, page: VmPage) -> None:
        """Its fields are guarded from now on."""
        page.__class__ = WatchedPage

    def page_attributes(self, entry: int) -> None:
        """What an entry that is gone has noted of its page is kept."""
        self.modified.collected(entry)

    def lwp_created(self, lwp: Lwp) -> None:
        """An LWP's stack is alive."""
        watch(lwp)
        self.ended -= _stack(lwp)

    def switches(self, cpu: int, lwp: Lwp) -> None:
        """A CPU goes on with an LWP: it is on its stack, no other is there still, and IPIs can land."""
        self.premise("one-cpu")
        word = self.view.kernel.cpus[cpu].ci_curlwp_word
        if self.view.own(cpu, word, 0) != lwp.number:
            self.broken("one-cpu", f"cpu{cpu} goes on with {lwp.l_name}, but {word.name} is another LWP")
        if not self.view.kernel.cpus[cpu].cpu.intr:
            self.broken("progress", f"cpu{cpu} goes on with {lwp.l_name} with interrupts off: whoever waits for its "
                        "answer to an IPI may wait for that LWP")  # fmt: skip
        self.premise("packets-sent")
        if self.view.own(cpu, self.view.kernel.cpus[cpu].ci_pmap_data.tp_count, 0):
            self.broken("packets-sent", f"cpu{cpu} goes on with {lwp.l_name} and has not sent what is queued: the LWP "
                        "that did may go on elsewhere, where its pmap_update finds nothing")  # fmt: skip
        rsp = self.view.kernel.cpus[cpu].cpu.rsp
        if rsp // PAGE_SIZE * PAGE_SIZE not in _stack(lwp):
            self.broken("entry-stack", f"cpu{cpu} goes on with {lwp.l_name}, but RSP is at {rsp:#x}, on another stack")
        for ci in self.view.kernel.cpus:
            if ci.ci_index != cpu and self.view.runs(ci, lwp):
                self.broken("one-cpu", f"cpu{cpu} goes on with {lwp.l_name}, which cpu{ci.ci_index} still runs")

    def lwp_exited(self, lwp: Lwp) -> None:
        """An LWP's stack is given back: no CPU may be on it."""
        self.premise("use-after-end")
        for ci in self.view.kernel.cpus:
            if self.view.runs(ci, lwp):
                self.broken("use-after-end", f"the stack of {lwp.l_name} is given back while cpu{ci.ci_index} is on it")
        self.ended |= _stack(lwp)

    def stack_left(self, words: Words) -> None:
        """The frame that *words* were in has returned: whoever touches them before or after makes a difference."""
        self.premise("use-after-end")
        self._judge_mailbox(words)
        for index in range(len(words.v)):
            self.touched.wrote((words.name, index))
        self.touched.wrote(("ended", words.name))  # nobody looks at this: it says what those writes are

    def _judge_mailbox(self, words: Words) -> None:
        """Once all have answered it leads to no packet that is gone: whoever looks there next would follow it.

        Those who have not will do so, and are judged then.
        """
        self.touched.looked((self.mailbox.name, 0))
        if getattr(self.mailbox.v[0], "tp_store", None) is not words:
            return
        self.touched.looked((self.pending.name, 0))
        if not self.pending.v[0]:
            self.broken("use-after-end", f"the frame that {words.name} was in has returned, and {self.mailbox.name} "
                        "still leads there")  # fmt: skip

    def page_write_protected(self, page: VmPage) -> None:
        """Nobody may write a page."""
        with self.guards.aside():
            self.modified.judge_page(page.pa)
            self.written.protected(page)

    def page_writable(self, page: VmPage, proc: Process, va: int) -> None:
        """A fault allows it again, there."""
        self.written.writable(page, proc, va)

    def page_entered(self, pmap: Pmap, va: int, pa: int) -> None:
        """Nobody may use what was there before."""
        self.entered(pmap, va, pa)

    def page_left(self, pmap: Pmap, va: int) -> None:
        """Nobody may use what is there."""
        self.left(pmap, va)

    def map_changes(self, proc: Process) -> None:
        """Entries of a map change, with whatever they lead to: its lock is held for writing."""
        self.guards.uses(proc, Rule("entries", vm_map), changes=True)

    def shootdown_begin(self, ci: CpuInfo, packet: Packet) -> None:
        """Receivers take the changes of a pmap from the packet's first to its last for done by what it names."""
        count, (first, last) = packet.tp_count.v[0], packet.tp_gens
        if packet.tp_pmap < 0 or packet.tp_kernpmap or count == EVERYTHING:
            return
        self.premise("packets-sent")
        if last - first + 1 != count:
            self.broken("packets-sent", f"cpu{ci.ci_index} sends {count} pages as changes {first} to {last} of a pmap: "
                        "whoever flushes them takes others' changes among these for flushed")  # fmt: skip

    def shootdown_end(self, ci: CpuInfo) -> None:
        """What a CPU had queued is done."""
        self.sent(ci.ci_index)

    def page_gone(self, page: VmPage) -> None:
        """A page is about to be freed."""
        with self.guards.aside():
            self.modified.judge_page(page.pa)
        self.written.gone(page)

    def kernel_page_freed(self) -> None:
        """Who still uses a kernel page makes a difference before and after."""
        self.touched.wrote(("promised", self.view.kernel.pmap_kernel.name))

    def shootdown_intr_begin(self, ci: CpuInfo) -> None:
        """A handler may read the mailbox."""
        self.answered.discard(ci.ci_index)

    def acknowledged(self, cpu: int) -> None:
        """A handler has counted itself out of those that the initiator waits for."""
        if self.view.in_tlb_handler[cpu]:
            self.answered.add(cpu)

    def reads_mailbox(self, cpu: int, site: Site) -> None:
        """A handler reads the mailbox."""
        self.premise("use-after-end")
        if cpu in self.answered and self.view.in_tlb_handler[cpu]:
            self.broken("use-after-end", f"cpu{cpu} in {site} reads the mailbox after its acknowledgement: it may be "
                        "another initiator's by now")  # fmt: skip

    def accessed(self, cpu: int, page: int, site: Site) -> None:
        """Kernel code uses a page of the kernel."""
        if page in self.ended:
            self.broken("use-after-end", f"cpu{cpu} in {site} uses {page:#x}, the stack of an LWP that is no more")


def _stack(lwp: Lwp) -> set[int]:
    """The pages of an LWP's kernel stack."""
    return {lwp.kstack_va + i * PAGE_SIZE for i in range(KSTACK_PAGES)}
