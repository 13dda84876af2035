"""The state of each recorded task during the replay, and the items that its program is made of.

Items are small tuples, so that queues are cheap to keep and to spill:
("u", cycles, touches) user time; ("f", va, access, cycles) page fault; ("s", name, made up, number) a system call
begins, ("e",) it ends; between them ("w", cycles) kernel work and ("k", operation); ("i", name, cycles) a device
interrupt; ("fork", serial, thread, who, resident); ("x",) the task exits.
"""

from __future__ import annotations

from typing import Any

from scenarios.recordings.life import Life
from scenarios.recordings.linux import PAGE, fold, is_user
from scenarios.recordings.spill import SpillFile, SpillQueue
from sim.hardware.steps import Access
from sim.kernel.program import Touch

WORKING_SET = 16
REMEMBERED = 64


def channel(serial: int, sleep: int) -> str:
    """What a task's sleep waits on."""
    return f"{serial}/{sleep}"


class Space:
    """What is known of an address space: the pages that each of its tasks used lately, with the access they allow.

    Each task has a set of its own, most recent last: threads run at other times in the model than in the recording,
    and one that touched what another has unmapped by then would make faults that never were.
    Touches are made once a page, not once a stretch: queued stretches share them.
    """

    __slots__ = ("_touches", "brk", "pages", "resident")

    def __init__(self, *, resident: bool) -> None:
        self.pages: dict[int, dict[int, Touch]] = {}
        self.brk = 0
        self.resident = resident
        self._touches: dict[int, tuple[Touch, ...]] = {}

    def use(self, serial: int, va: int, access: Access, *, faulted: bool) -> None:
        """A task used a page; of an address space seen from its beginning, only faulted pages count."""
        page = fold(va) // PAGE * PAGE
        mine = self.pages.setdefault(serial, {})
        known = mine.pop(page, None)
        if known is None and not faulted and not self.resident:
            known = next((pages[page] for pages in self.pages.values() if page in pages), None)
            if known is None:
                return
        if known is None or faulted or known.access is Access.READ:
            known = Touch(page, access)
        mine[page] = known
        if len(mine) > REMEMBERED:
            del mine[next(iter(mine))]
        self._touches.pop(serial, None)

    def forget(self, start: int, end: int) -> None:
        """A range is mapped no more."""
        for pages in self.pages.values():
            for page in [page for page in pages if start <= page < end]:
                del pages[page]
        self._touches.clear()

    def read_only(self, start: int, end: int) -> None:
        """Writing to a range would fault from now on."""
        for pages in self.pages.values():
            for page, touch in pages.items():
                if start <= page < end and touch.access is Access.WRITE:
                    pages[page] = Touch(page, Access.READ)
        self._touches.clear()

    def leave(self, serial: int) -> None:
        """A task has ended."""
        self.pages.pop(serial, None)
        self._touches.pop(serial, None)

    def touches(self, serial: int) -> tuple[Touch, ...]:
        """A task's working set between faults: the pages it used last."""
        found = self._touches.get(serial)
        if found is None:
            found = self._touches[serial] = tuple(self.pages.get(serial, {}).values())[-WORKING_SET:]
        return found


class Task:
    """One recorded task in the replay.

    Attributes:
        life: what both passes know of it.
        queue: items that its program has yet to take.
        name, nr, args: the open system call; the name is None in user mode.
        pending_fault: (va, access) whose handling the stretch begins with.
        device: cycles of device interrupts that hit it at the beginning of the stretch.
        seen: whether a stretch of it has ended.
        tracer: cycles of the tracer that are still to be taken out of its stretches.
        ended: whether its last item has been put.
    """

    __slots__ = (
        "args",
        "device",
        "ended",
        "life",
        "name",
        "nr",
        "pending_fault",
        "queue",
        "seen",
        "space",
        "system",
        "tracer",
    )

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
        self.tracer = 0
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
        self.put("s", name, False, nr)
        for arg in args:
            if is_user(arg) and arg >= 1 << 22:
                self.space.use(self.life.serial, arg, Access.READ, faulted=False)

    def close(self) -> None:
        """The system call ends."""
        self.name = None
        self.put("e")

    def in_kernel(self, name: str, *items: tuple[Any, ...]) -> None:
        """Put items that need the kernel: into the open call, or into one made for them."""
        wrap = self.name is None
        if wrap:
            self.put("s", name, True, -1)
        for item in items:
            self.put(*item)
        if wrap:
            self.put("e")
