"""The state of each recorded task during the replay, and the items that its program is made of.

Items are small tuples, so that queues are cheap to keep and to spill:
("u", cycles, touches) user time; ("f", va, access, cycles) page fault; ("s", name) a system call begins, ("e",) it
ends; between them ("w", cycles) kernel work and ("k", operation); ("i", name, cycles) a device interrupt;
("fork", serial, thread, comm, resident); ("x",) the task exits.
"""

from __future__ import annotations

from typing import Any

from scenarios.recordings.linux import PAGE, fold, is_user
from scenarios.recordings.lives import Life
from scenarios.recordings.spill import SpillFile, SpillQueue
from sim.hardware.steps import Access
from sim.kernel.program import Touch

WORKING_SET = 16
REMEMBERED = 64


def channel(serial: int, sleep: int) -> str:
    """What a task's sleep waits on."""
    return f"{serial}/{sleep}"


class Space:
    """What is known of an address space: pages used lately, most recent last, with the access they allow.

    Touches are made once a page, not once a stretch: queued stretches share them.
    """

    __slots__ = ("_touches", "brk", "pages", "resident")

    def __init__(self, *, resident: bool) -> None:
        self.pages: dict[int, Touch] = {}
        self.brk = 0
        self.resident = resident
        self._touches: tuple[Touch, ...] | None = None

    def use(self, va: int, access: Access, *, faulted: bool) -> None:
        """A page was used; of an address space seen from its beginning, only faulted pages count."""
        page = fold(va) // PAGE * PAGE
        known = self.pages.pop(page, None)
        if known is None and not faulted and not self.resident:
            return
        if known is None or faulted or known.access is Access.READ:
            known = Touch(page, access)
        self.pages[page] = known
        if len(self.pages) > REMEMBERED:
            del self.pages[next(iter(self.pages))]
        self._touches = None

    def forget(self, start: int, end: int) -> None:
        """A range is mapped no more."""
        for page in [page for page in self.pages if start <= page < end]:
            del self.pages[page]
        self._touches = None

    def read_only(self, start: int, end: int) -> None:
        """Writing to a range would fault from now on."""
        for page, touch in self.pages.items():
            if start <= page < end and touch.access is Access.WRITE:
                self.pages[page] = Touch(page, Access.READ)
        self._touches = None

    def touches(self) -> tuple[Touch, ...]:
        """The working set between faults: the pages used last."""
        if self._touches is None:
            self._touches = tuple(self.pages.values())[-WORKING_SET:]
        return self._touches


class Task:
    """One recorded task in the replay.

    Attributes:
        life: what both passes know of it.
        queue: items that its program has yet to take.
        name, nr, args: the open system call; the name is None in user mode.
        pending_fault: (va, access) whose handling the stretch begins with.
        device: cycles of device interrupts that hit it at the beginning of the stretch.
        seen: whether a stretch of it has ended.
        ended: whether its last item has been put.
    """

    __slots__ = ("args", "device", "ended", "life", "name", "nr", "pending_fault", "queue", "seen", "space", "system")

    def __init__(self, life: Life, space: Space, spill: SpillFile, *, system: bool) -> None:
        self.life = life
        self.space = space
        self.system = system
        self.queue = SpillQueue(spill)
        self.name: str | None = None
        self.nr = -1
        self.args: list[int] = []
        self.pending_fault: tuple[int, Access] | None = None
        self.device = 0
        self.seen = False
        self.ended = False

    @property
    def channel(self) -> str:
        """What the current sleep waits on."""
        return channel(self.life.serial, self.life.sleeps)

    def put(self, *item: Any) -> None:
        """Append an item."""
        if not self.ended:
            self.queue.append(item)

    def open(self, name: str, nr: int, args: list[int]) -> None:
        """A system call begins; its pointer arguments are pages in use."""
        self.name, self.nr, self.args = name, nr, args
        self.put("s", name)
        for arg in args:
            if is_user(arg) and arg >= 1 << 22:
                self.space.use(arg, Access.READ, faulted=False)

    def close(self) -> None:
        """The system call ends."""
        self.name = None
        self.put("e")

    def in_kernel(self, name: str, *items: tuple[Any, ...]) -> None:
        """Put items that need the kernel: into the open call, or into one made for them."""
        wrap = self.name is None
        if wrap:
            self.put("s", name)
        for item in items:
            self.put(*item)
        if wrap:
            self.put("e")
