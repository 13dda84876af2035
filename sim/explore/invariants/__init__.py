"""The named invariants: one sentence of reason each, and where the reference says so."""
# ruff: noqa: E501 - a table of sentences

from __future__ import annotations

from typing import NamedTuple


class Invariant(NamedTuple):
    """A property of the kernel.  *reference* is a section of the SVS reference in ``docs/reference.rst``."""

    name: str
    says: str
    reason: str
    reference: str


INVARIANTS = (
    Invariant("updir-mutex", "a CPU's user page directory is written only by the holder of that CPU's ci_svs_mtx",
              "two unserialised writers can leave the older of two entries behind", "1, 6, 7"),
    Invariant("guarded", "what a lock protects is read and changed only by who holds it: page tables, counts of table pages, pv lists, pages and their references, map entries, addresses of kernel memory, sleep and run queues and the states of LWPs; and what is a CPU's own by that CPU, which alone looks at what is asked of it; who has the lock of a map to change it has it alone",
              "two CPUs would see half of each other's changes", "1, 8"),
    Invariant("updir-current", "in user mode the user slots of the directory in use are those of the CPU's pmap",
              "a slot that was missed makes userland fault endlessly, or reach tables that are gone", "6, 7"),
    Invariant("one-pmap", "in user mode CR3, kpdirpa, ci_pmap and the running LWP belong to one pmap",
              "the next system call would otherwise run on the tables of another process", "5, 6"),
    Invariant("kernel-cpus-cover", "a CPU in user mode is in pm_kernel_cpus of its pmap",
              "svs_pmap_sync visits only these CPUs", "1, 5"),
    Invariant("cpus-cover", "a CPU in user mode is VALID and in pm_cpus of its pmap",
              "shootdowns go only to these CPUs", "5, 9"),
    Invariant("kernel-cpus-exact", "at rest pm_kernel_cpus is exactly the set of CPUs whose CR3 holds the pmap",
              "one too many costs needless IPIs, one too few loses updates", "1, 5"),
    Invariant("cpus-subset", "at rest pm_cpus is a subset of pm_kernel_cpus",
              "a CPU that wants shootdowns of a pmap has it loaded", "1"),
    Invariant("packets-sent", "at rest, as a writer gives back the lock of a map, and as a CPU goes on with another LWP, no shootdown is queued, but for what waits for its pmap_update, and what is sent names all the changes that it counts",
              "what is left is never flushed, or flushed again by everybody who comes after", "9"),
    Invariant("stale-use", "no access uses a translation whose removal pmap_update has already completed, and no program in user mode could, or one whose context its CPU remembers",
              "the page may have another owner by then", "9, 11"),
    Invariant("entered-page", "after pmap_enter or pmap_kenter_pa, and pmap_update, no access uses a page that was mapped there before",
              "a CPU that still has the old page writes to memory that is no longer mapped, even if another one was about to flush it", "9, 11"),
    Invariant("removed-by-others", "after a pmap_remove that found nothing and pmap_update no access uses what was mapped there",
              "the caller gives the page's contents up, whoever unmapped it", "9, 11"),
    Invariant("write-protected", "once fork, pmap_protect or pmap_page_protect has taken write permission no entry has it still, and nobody writes the page before a fault allows it, which gives who shares it a copy",
              "another process would see what is written, or the page's file would miss it", "9, 11"),
    Invariant("modified-kept", "a page that was written through a mapping is known as modified: by D in an entry, or by what was collected from one that is gone",
              "a page that passes for clean is dropped instead of written out, and what was in it is lost", "8, 11"),
    Invariant("freed-walk", "no CPU can walk through a page-table page that went back to the allocator",
              "whatever is written there next would be taken for page tables", "8, 9, 11"),
    Invariant("endless-fault", "an access to a page that the pmap maps succeeds after one fault at most",
              "the fault handler finds the page mapped and changes nothing", "7"),
    Invariant("rsp0-current", "in user mode TSS.rsp0 is where the next trap belongs, and the rsp0 page the running LWP's stack, congruent to ci_svs_krsp0",
              "the next entry would push its frame onto another LWP's stack", "4"),
    Invariant("entry-stack", "entry and exit touch only stacks and UTLS pages that the tables in CR3 map, and the right ones; below an entry stack nothing is mapped",
              "a fault while pushing a frame is a double fault", "3, 4"),
    Invariant("use-after-end", "nothing is used once its life is over, or one's share of it given up: a packet or frame on a stack, an LWP's stack, a mailbox, an address space",
              "the same memory may be in other use by then", "9"),
    Invariant("one-cpu", "no CPU goes on with an LWP that another still runs, or that is bound to another, and curlwp is the LWP that it goes on with",
              "both would use one kernel stack; what is bound relies on its CPU's own data", "5"),
    Invariant("scratch-private", "in user mode the UTLS scratch word has nothing of another LWP",
              "the UTLS page is in the user tables, where Meltdown can read it", "2, 4"),
    Invariant("user-registers", "entry code overwrites no register of the user's before it is saved",
              "the program would go on with another value, or the call have another number", "3, 4"),
    Invariant("in-bounds", "no more is written into an array than it holds",
              "what lies behind it is overwritten: the fields of a packet, another variable on the stack", "9"),
    Invariant("kernel-mapped", "kernel code runs only with tables that map it",
              "an instruction fetch from an unmapped page in the entry code is a triple fault", "3"),
    Invariant("whole-code", "no CPU runs code of which only a part has been patched",
              "half of an instruction is another one", "10"),
    Invariant("removed-areas", "of the kernel only the pages that entry and exit need are reachable from user tables, global, or in the TLB in user mode",
              "that is what SVS is for", "2"),
    Invariant("global-pages", "in user mode CR4.PGE is on or off as the design has it",
              "on where the kernel's pages are global it keeps them in the TLB; off elsewhere every entry walks for them again", "2, 10"),
    Invariant("transparent-interrupt", "an interrupt leaves mode, CR3, interrupt flag and level as it found them in kernel mode, NMI in any mode, and no other tables cached in the recursive slot",
              "the interrupted code goes on with the tables it had", "3"),
    Invariant("wire-counts", "at rest each table page's wire count is one more than its entries in use",
              "a wrong count frees a table in use or never frees an empty one", "8"),
    Invariant("page-ownership", "no page is freed twice or used as a table after it was freed",
              "the allocator would hand one page to two owners", "8"),
    Invariant("references", "at rest a pmap is referenced once by its process and once by each CPU that has it loaded, a page that several can map by each map entry",
              "one too many leaks it, one too few destroys it in use", "1, 8"),
    Invariant("pv-lists", "at rest the pv list of a page names the places where tables map it, and no other",
              "pmap_page_remove goes by the list: a mapping that is missing there outlives the page", "8"),
    Invariant("pages", "at rest each page in use is mapped or waits to be freed, and no page that is free is mapped, then or as an entry changes; an address of kernel memory is mapped if it is in use",
              "an unreachable page is lost; what is mapped and free gets a second owner", "8"),
    Invariant("lost-ast", "at rest no CPU is in user mode with ci_want_resched set, or with a more important LWP queued, and no LWP goes there with the priority of the kernel; none idles with LWPs in its queue; who queues a more important one asks that CPU to reschedule before it unlocks",
              "the LWP that was to run waits for an interrupt that is never sent", "5"),
    Invariant("progress", "no CPU waits endlessly: no deadlock, no lost IPI, no sleeper without a waker; none goes on with another LWP with interrupts off; each sleep uses up one wake-up",
              "a stuck waiter with interrupts off takes the machine along", "9"),
    Invariant("lock-order", "the order in which locks are taken has no cycle",
              "two CPUs taking two locks in different orders can wait for each other", "1"),
    Invariant("lock-level", "a CPU that has a spin mutex or the mailbox of shootdowns, or changes its packet, keeps out the interrupts whose handlers do so, too; one for which others wait with interrupts off, all",
              "the handler would wait for the code that it has interrupted, or send a packet that is half made", "9"),
    Invariant("disabled-quiet", "once SVS is disabled no CPU runs on a user page directory, and once the sysctl has returned nothing of SVS is left on any CPU",
              "the directories are no longer kept up to date", "10"),
    Invariant("privileged", "control registers and the TLB are changed in kernel mode only",
              "in user mode these instructions are a general protection fault", "3"),
    Invariant("kassert", "NetBSD's own assertions on this path hold",
              "their authors relied on them", "all"),
    Invariant("outcome", "the litmus program ends with one of the outcomes it allows",
              "what its author expects is part of the check", "all"),
)  # fmt: skip

BY_NAME = {invariant.name: invariant for invariant in INVARIANTS}
