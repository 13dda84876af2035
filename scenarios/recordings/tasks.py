"""The state of each recorded task during the replay, and of its address space."""

from __future__ import annotations

from typing import Protocol

from scenarios.recordings.items import CHUNK, Item
from scenarios.recordings.life import Life
from scenarios.recordings.linux import PAGE, fold
from sim.hardware.steps import Access
from sim.kernel.program import KernelOp, Wake

WORKING_SET = 16
REMEMBERED = 64


def channel(serial: int, sleep: int) -> str:
    """What a task's sleep waits on."""
    return f"{serial}/{sleep}"


def wake_up(serial: int, sleep: int) -> Item:
    """The item that ends a task's sleep of that number."""
    return operation_item(Wake(channel(serial, sleep)))


def operation_item(operation: KernelOp) -> Item:
    """The item of an operation inside a system call."""
    return "k", type(operation).__name__, *operation


class Sink(Protocol):
    """Where the items of tasks go."""

    def write(self, serial: int, items: list[Item], /) -> None:
        """More items of a task."""


class Space:
    """What is known of an address space: the pages that each of its tasks used lately, with the access they allow.

    Each task has a set of its own, most recent last: threads run at other times in the model than in the recording,
    and one that touched what another has unmapped by then would make faults that never were.
    A page and its access are one number, a touch of :mod:`scenarios.recordings.items`.

    Attributes:
        entered: the pages that are in its tables, and whether they may be written, if somebody follows that.
    """

    __slots__ = ("_touches", "brk", "entered", "pages", "resident")

    def __init__(self, *, resident: bool) -> None:
        self.pages: dict[int, dict[int, int]] = {}
        self.brk = 0
        self.entered: dict[int, bool] = {}
        self.resident = resident
        self._touches: dict[int, tuple[int, ...]] = {}

    def fault(self, serial: int, va: int, access: Access) -> None:
        """A task faulted on a page, and uses it."""
        page = fold(va) // PAGE * PAGE
        mine = self.pages.setdefault(serial, {})
        mine.pop(page, None)
        mine[page] = page | access
        if len(mine) > REMEMBERED:
            del mine[next(iter(mine))]
        self._touches.pop(serial, None)

    def point(self, serial: int, pages: tuple[int, ...]) -> None:
        """Arguments of a task's system call point to these pages: it is about to use them."""
        mine = self.pages.setdefault(serial, {})
        for page in pages:
            known = mine.pop(page, None)
            if known is None:
                known = page | Access.READ if self.resident else self._of_others(page)
                if known is None:
                    continue
            mine[page] = known
            if len(mine) > REMEMBERED:
                del mine[next(iter(mine))]
        self._touches.pop(serial, None)

    def _of_others(self, page: int) -> int | None:
        """The touch of a page that another task of the process has used."""
        return next((pages[page] for pages in self.pages.values() if page in pages), None)

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
                if start <= page < end and touch & 3 == Access.WRITE:
                    pages[page] = page | Access.READ
        self._touches.clear()

    def leave(self, serial: int) -> None:
        """A task has ended."""
        self.pages.pop(serial, None)
        self._touches.pop(serial, None)

    def touches(self, serial: int) -> tuple[int, ...]:
        """A task's working set between faults: the pages it used last."""
        found = self._touches.get(serial)
        if found is None:
            found = self._touches[serial] = tuple(self.pages.get(serial, {}).values())[-WORKING_SET:]
        return found


class Task:
    """One recorded task in the replay.

    Attributes:
        life: what both passes know of it.
        items: those that are not written yet.
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
        "file",
        "items",
        "life",
        "name",
        "nr",
        "pending_fault",
        "seen",
        "space",
        "system",
        "tracer",
    )

    def __init__(self, life: Life, space: Space, file: Sink, *, system: bool) -> None:
        self.life = life
        self.space = space
        self.system = system
        self.file = file
        self.items: list[Item] = []
        self.name: str | None = None
        self.nr = -1
        self.args: tuple[int, ...] = ()
        self.pending_fault: tuple[int, Access] | None = None
        self.device = 0
        self.seen = False
        self.tracer = 0
        self.ended = False

    @property
    def channel(self) -> str:
        """What the current sleep waits on."""
        return channel(self.life.serial, self.life.sleeps)

    def put(self, item: Item) -> None:
        """Append an item."""
        if not self.ended:
            self.items.append(item)
            if len(self.items) == CHUNK:
                self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self.items:
            self.file.write(self.life.serial, self.items)
            self.items = []

    def end(self) -> None:
        """Nothing more comes."""
        self.flush()
        self.ended = True

    def open(self, name: str, nr: int, args: tuple[int, ...]) -> None:
        """A system call begins."""
        self.name, self.nr, self.args = name, nr, args
        self.put(("s", name, False, nr))

    def close(self) -> None:
        """The system call ends."""
        self.name = None
        kinds = [item[0] for item in self.items[-2:]]
        if kinds[-1:] == ["s"]:
            self.items[-1] = ("c", *self.items[-1][1:], 0)
        elif kinds == ["s", "w"]:
            self.items[-2:] = [("c", *self.items[-2][1:], self.items[-1][1])]
        else:
            self.put(("e",))

    def operate(self, operation: KernelOp) -> None:
        """Put an operation of the open system call."""
        self.put(operation_item(operation))

    def in_kernel(self, name: str, item: Item) -> None:
        """Put an item that needs the kernel: into the open call, or into one made for it."""
        wrap = self.name is None
        if wrap:
            self.put(("s", name, True, -1))
        self.put(item)
        if wrap:
            self.put(("e",))
