"""Judging that what a lock protects is used by its holders only, and that nothing of a pmap is used once it is gone.

The rules are those that NetBSD's sources state: "Locking" at the head of sys/arch/x86/x86/pmap.c (pm_lock, pv lists,
unmanaged kernel entries), sys/uvm/uvm_object.h and uvm_anon.h (vmobjlock, an_lock), uvm_map.h (vm_map), and
sys/kern/subr_vmem.c (VMEM_LOCK).  So footprints need not say who uses these fields: locks put such uses in order, or
this breaks.  What is not published yet is nobody's: objects are guarded from the moment others can find them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from sim.explore.judges.tally import Tally
from sim.explore.judges.view import View
from sim.explore.model import AtWork
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, LARGE_MEMORY, A, P
from sim.hardware.sites import Site
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.kernel import Kernel
from sim.kernel.layout import KernelMemory
from sim.kernel.lwp import Lwp, Process
from sim.kernel.pmap import Pmap
from sim.kernel.rwlock import READ_INCR, WRITE_LOCKED, RwLock
from sim.kernel.sched import RunQueue
from sim.kernel.shootdown import Packet
from sim.kernel.vm_page import VmPage

# pmap_check_ptps, by those who call it: an assertion on a space that nobody uses any more.
CHECKS = ("pmap_destroy", "pmap_remove_all_in_batches")


class Guards:
    """Who uses what, with which locks.

    Attributes:
        ci: the CPU on which a procedure of the kernel is at work.
        unpromised: what the program has removed without pmap_update, by the LWP's name.
        replaces: who hears that a CPU has put a page in the place of one whose owner it holds.
    """

    def __init__(self, view: View, tally: Tally, unpromised: Mapping[str, Sequence[object]]) -> None:
        self.view = view
        self.premise, self.broken = tally.premise, tally.broken
        self.unpromised = unpromised
        self.ci: CpuInfo
        self.replaces: Callable[[int, Mutex], None]
        self._pmap_of: dict[int, Pmap] = {}  # by the ids of a pmap's words and lock
        self._mutex_of: dict[int, Mutex] = {}
        self._of_a_cpu: dict[int, tuple[CpuInfo, Mutex | None]] = {}
        self._asks: dict[int, tuple[CpuInfo, Mutex | None]] = {}  # those of them that ask for something, or queue it
        for ci in view.kernel.cpus:
            self._of_a_cpu |= {id(words): (ci, None) for words in _own(ci)}
            self._of_a_cpu[id(ci.ci_want_resched)] = ci, ci.ci_runqueue.spc_mutex
            for words in (ci.ci_want_resched, ci.ci_want_pmapload, ci.ci_pmap_data.tp_count):
                self._asks[id(words)] = self._of_a_cpu[id(words)]
        kmem: KernelMemory | None = getattr(view.kernel, "kmem", None)
        if kmem is not None:
            self._mutex_of[id(kmem.tags)] = kmem.vm_lock

    def published(self, pmap: Pmap) -> None:
        """Others can find a pmap from now on."""
        for part in (pmap.pm_lock, pmap.pm_cpus, pmap.pm_kernel_cpus, pmap.pm_obj_refs, pmap.pm_tlb_gen):
            self._pmap_of[id(part)] = pmap

    @contextmanager
    def aside(self) -> Generator[None, None, None]:
        """What the body looks at is not the kernel's doing."""
        before, AtWork.judge = AtWork.judge, None
        try:
            yield
        finally:
            AtWork.judge = before

    # --- fields -----------------------------------------------------------------------------------------------------

    def uses(self, holder: Any, rule: Rule, *, changes: bool) -> None:
        """A procedure of the kernel reads or changes a guarded field."""
        self.premise(rule.invariant)
        missing = rule.missing(self, holder, changes)
        if missing:
            does = "changes" if changes else "reads"
            self.broken(rule.invariant, f"cpu{self.ci.ci_index} in {_where()} {does} {rule.field} of {_name(holder)} "
                        f"without {missing}")  # fmt: skip

    def dropped(self, page: VmPage) -> None:
        """A reference to a page is dropped that was not there."""
        self.broken("references", f"cpu{self.ci.ci_index} in {_where()} drops a reference to {page.name} that no map "
                    "entry has")  # fmt: skip

    # --- locks of maps ----------------------------------------------------------------------------------------------

    def locked(self, lock: RwLock) -> None:
        """An LWP gets the lock of a map: alone, or beside others that only read, and the word counts them all."""
        self.premise("guarded")
        owner, count = lock.rw_owner.v[0], len(lock.holders)
        if count > 1 and (owner & WRITE_LOCKED or owner < count * READ_INCR):
            self.broken("guarded", f"cpu{self.ci.ci_index} in {_where()} gets {lock.rw_owner.name}, which "
                        f"{lock.holders[0].l_name} has: one of the two is to change the map")  # fmt: skip

    def unlocked(self, lock: RwLock, lwp: Lwp) -> None:
        """An LWP has given back the lock of a map that it may have changed: pmap_update has come before.

        But a program may leave out its own, whose shootdowns stay queued across a call that changes nothing.
        """
        self.premise("packets-sent")
        packet = self.ci.ci_pmap_data
        if packet.tp_count.v[0] and packet.tp_userpmap and not self.unpromised.get(lwp.l_name):
            self.broken("packets-sent", f"cpu{self.ci.ci_index} in {_where()} gives back {lock.rw_owner.name} before "
                        "its shootdown is sent: who gets the lock next takes the map's changes for done")  # fmt: skip

    # --- words ------------------------------------------------------------------------------------------------------

    def loads(self, cpu: int, words: Words, site: Site) -> None:
        """A word is read by a step."""
        ci, lock = self._asks.get(id(words), (None, None))
        if ci is not None and ci.ci_index != cpu:
            self._elsewhere(cpu, words, site, lock, "reads")
        mutex = self._mutex_of.get(id(words))
        if mutex is not None:
            self._under(cpu, words, site, mutex)

    def stores(self, cpu: int, words: Words, site: Site, old: Any, new: Any, *, locked: bool) -> None:
        """A word is stored, or updated by a locked instruction; *old* is what it is, without store buffers."""
        pmap = self._pmap_of.get(id(words))
        if pmap is not None:
            self.alive(cpu, pmap, words.name, site)
            if words is pmap.pm_obj_refs:
                self._reference(cpu, pmap, site, old, new, locked=locked)
            return
        pa = self.view.mem.table_of.get(id(words))
        if pa is not None:
            self._table(cpu, words, pa, site, old, locked=locked)
            self._maps(cpu, words, site, new)
            self.changes_entry(cpu, old, new)
            return
        ci, mutex = self._of_a_cpu.get(id(words), (None, None))
        if ci is not None and ci.ci_index != cpu:
            self._elsewhere(cpu, words, site, mutex, "changes")
        self.loads(cpu, words, site)

    def _reference(self, cpu: int, pmap: Pmap, site: Site, old: int, new: int, *, locked: bool) -> None:
        """CPUs take and drop references at any time, without a lock (atomic_inc_uint, atomic_dec_uint_nv)."""
        self.premise("references")
        if new > old and old <= 0:
            self.broken("references", f"cpu{cpu} in {site} takes a reference to {pmap.name}, which has none")
        if not locked:
            self.broken("references", f"cpu{cpu} in {site} changes {pmap.pm_obj_refs.name} by a plain store: another "
                        "CPU's change in between is lost")  # fmt: skip

    def _elsewhere(self, cpu: int, words: Words, site: Site, mutex: Mutex | None, does: str) -> None:
        """A word of another CPU is used: that CPU alone may do so, or whoever holds *mutex*."""
        if mutex is not None:
            self._under(cpu, words, site, mutex)
            return
        self.premise("guarded")
        self.broken("guarded", f"cpu{cpu} in {site} {does} {words.name}, which is another CPU's own")

    def _under(self, cpu: int, words: Words, site: Site, mutex: Mutex) -> None:
        self.premise("guarded")
        if mutex.owner is not self.view.kernel.cpus[cpu].cpu:
            self.broken("guarded", f"cpu{cpu} in {site} uses {words.name} without {mutex.name}")

    def _table(self, cpu: int, words: Words, pa: int, site: Site, old: int, *, locked: bool) -> None:
        """Entries of a pmap's tables change under its lock, those of a page by locked updates also under the page's.

        The kernel's own are left out: "the kernel is expected to be self consistent".
        """
        k, me = self.view.kernel, self.view.kernel.cpus[cpu].cpu
        pmap = next(
            (pmap for pmap in k.pmaps.values() if pa in (pmap.pm_pdirpa, pmap.pm_updirpa, *pmap.ptp_wire)), None
        )
        if pmap is None or pmap is k.pmap_kernel:
            return
        self.premise("guarded")
        if pmap.pm_lock.owner is me:
            return
        page = k.vm_pages.get(old & FRAME) if locked else None
        if page is None or me not in (page.lock.owner, page.pp_lock.owner):
            self.broken("guarded", f"cpu{cpu} in {site} changes {words.name} without {pmap.pm_lock.name}")

    def _maps(self, cpu: int, words: Words, site: Site, new: int) -> None:
        """What an entry leads to is somebody's."""
        mem, pa = self.view.mem, new & FRAME
        self.premise("pages")
        if new & P and pa < LARGE_MEMORY and mem.is_free(pa):
            self.broken("pages", f"cpu{cpu} in {site} maps {self.view.named.page(pa)} by {words.name}")

    def changes_entry(self, cpu: int, old: int, new: int) -> None:
        """An entry changes: whether it led to another page, which TLBs may have, and whose owner the CPU holds."""
        if old & new & P and old & A and (old ^ new) & FRAME:
            page = self.view.kernel.vm_pages.get(old & FRAME)
            if page is not None and page.lock.owner is self.view.kernel.cpus[cpu].cpu:
                self.replaces(cpu, page.lock)

    # --- lifetimes --------------------------------------------------------------------------------------------------

    def shares(self, proc: Process, before: int, now: int) -> None:
        """How many LWPs have an address space changes: who gives up its share has left it, or ends."""
        self.premise("use-after-end")
        lwp = self.view.current[self.ci.ci_index]
        if now < before and lwp.l_proc is proc and sys._getframe(2).f_code.co_name != "lwp_exit":
            self.broken("use-after-end", f"{lwp.l_name} gives up its share of the address space of {proc.name}, which "
                        "it still has: who exits next takes it down")  # fmt: skip

    def destroyed(self, pmap: Pmap) -> None:
        """A pmap is no more: nobody may be inside its lock."""
        self.premise("use-after-end")
        if self.view.is_held(pmap.pm_lock):
            self.broken("use-after-end", f"{pmap.name} is destroyed while cpu{self.view.busy[id(pmap.pm_lock)]} holds "
                        f"{pmap.pm_lock.name}")  # fmt: skip

    def mutex(self, cpu: int, mutex: Mutex, site: Site) -> None:
        """A mutex is taken or given back."""
        pmap = self._pmap_of.get(id(mutex))
        if pmap is not None:
            self.alive(cpu, pmap, mutex.name, site)

    def alive(self, cpu: int, pmap: Pmap, name: str, site: Site) -> None:
        """A lock or a word of a pmap is used."""
        self.premise("use-after-end")
        if pmap.number not in self.view.kernel.pmaps:
            self.broken("use-after-end", f"cpu{cpu} in {site} uses {name}, whose pmap has been destroyed")


class Rule(NamedTuple):
    """What has to be held to use a field: *missing* names what is not, or nothing.  Else *invariant* is broken."""

    field: str
    missing: Callable[[Guards, Any, bool], str]
    invariant: str = "guarded"


def page_owner(on: Guards, page: VmPage, _changes: bool) -> str:
    """The page's owner is locked (vmobjlock, an_lock)."""
    return "" if page.lock.owner is on.ci.cpu else page.lock.name


def pv_list(on: Guards, page: VmPage, changes: bool) -> str:
    """Up to NetBSD 9 the owner's lock; then the page's own and, for an entry to come or go, its pmap's.

    So that one is enough to look for an entry.
    """
    k = on.view.kernel
    if not k.design.page_locks:
        return page_owner(on, page, changes)
    me = on.ci.cpu
    mine, pmaps = page.pp_lock.owner is me, any(pmap.pm_lock.owner is me for pmap in k.pmaps.values())
    if mine and pmaps or not changes and (mine or pmaps):
        return ""
    return "the pmap's lock" if mine else page.pp_lock.name


def pm_lock(on: Guards, pmap: Pmap, changes: bool) -> str:
    """The pmap's lock, but for assertions about a space that is empty and nobody's."""
    if pmap.pm_lock.owner is on.ci.cpu or not changes and sys._getframe(3).f_code.co_name in CHECKS:
        return ""
    return pmap.pm_lock.name


def vm_map(on: Guards, proc: Process, changes: bool) -> str:
    """The map's lock; to add an entry or take one away, for writing (what one leads to changes under its owner's).

    Exit and exec empty the map of a process that has no other LWP (in NetBSD under the lock, which is free).
    """
    lock = proc.vm_map_lock
    if on.view.current[on.ci.ci_index] in lock.holders and (not changes or lock.rw_owner.v[0] & WRITE_LOCKED):
        return ""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != "empty_pmap":
        frame = frame.f_back
    return "the lock of its vm_map" + (" held for writing" if changes else "") if frame is None else ""


def _own(ci: CpuInfo) -> list[Words]:
    """The words that only their CPU changes; others read some of them."""
    found = [ci.ci_tlbstate, ci.ci_pmap, ci.ci_want_pmapload, ci.ci_curlwp_word, ci.ci_pmap_data.tp_count]
    optional: list[Words | None] = [getattr(ci, name, None) for name in ("cpu_tlbstate", "ci_svs_utls")]
    return found + [words for words in optional if words is not None]


def _where() -> str:
    """The procedure that is at work: the first caller that does not belong to the judges."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals["__name__"].startswith("sim.explore."):
        frame = frame.f_back
    return frame.f_code.co_name if frame is not None else "?"


def _name(holder: Any) -> str:
    """What an object is called in messages."""
    match holder:
        case Kernel():
            return "the kernel"
        case CpuInfo():
            return f"cpu{holder.ci_index}"
        case Lwp():
            return holder.l_name
        case RunQueue():
            return holder.spc_mutex.name.removesuffix(".spc_mutex")
        case Packet():
            return holder.tp_count.name.removesuffix(".tp_count")
    return str(holder.name)
