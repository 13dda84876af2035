"""What a kernel procedure reads and writes besides its steps, noted by the objects themselves.

While a procedure is watched, each object that it reaches has a class of its own kind that notes every attribute read
and written; containers are handed out in views that do the same.  So nothing that a procedure depends on can be left
out by oversight: what no view can note (a set, a generator, an iterator kept in an attribute ...) fails the watch.
Modules of the kernel keep no state of their own.  Others may act between two steps of the procedure: if they change
what it has read or written, and it looks there again, the watch fails.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from inspect import getattr_static
from types import MethodType
from typing import Any, ClassVar, NamedTuple

from sim.hardware.memory import Kept, Words
from sim.hardware.steps import Proc, Step
from sim.kernel.hooks import Hooks
from sim.kernel.lwp import Lwp
from sim.kernel.program import Call
from sim.timed.passages.views import DictView, ListView, View, constant, same

Place = tuple[int, Any]  # an object's id, and the name, key or index of something in it
TRANSLATION = ("where", "pa", "walk_loads", "walked_freed")  # what one leaves behind in the CPU
OWN = ("sim.kernel.", "sim.hardware.")


class Read(NamedTuple):
    """A value that was found before anything of the passage had changed it.

    Attributes:
        kind: ``attribute``, ``item`` or ``length``.
        key: name, key or index; None for a length.
        at: how many steps had been made.
    """

    kind: str
    holder: Any
    key: Any
    value: Any
    at: int


class Section(NamedTuple):
    """What a procedure does from one step to the next, the read of a word by that step included.

    Attributes:
        reads: what it finds, each place once, but for what it has written itself since the last step.
        writes: kind, holder, key and value of what it changes, in order.
    """

    reads: list[Read]
    writes: list[tuple[str, Any, Any, Any]]


class Mark(NamedTuple):
    """A hook that has to hear the same again: a call begins or ends."""

    hook: str
    arguments: tuple[Any, ...]


class Watch:
    """Notes reads and writes of one procedure.

    Attributes:
        reads: what it depends on, in order.
        writes: what it has changed itself, by place: the object or container, the key, the last value.
        values: of the places that were read or written, as the procedure or its steps left them.
        sections: what it has done up to each step, and since the last one.
        failed: why the procedure cannot be watched to its end; empty if it can.
        at: steps made so far.
        marks: what hooks have heard since the last step.
        live: whether what the machine does now may differ from one time to another.
    """

    active: Watch | None = None  # the one whose procedure, or a step of it, is under way
    _open: ClassVar[list[Watch]] = []  # those that have not been closed, of one machine

    def __init__(self, hooks: Hooks) -> None:
        self.reads: list[Read] = []
        self.writes: dict[Place, tuple[str, Any, Any, Any]] = {}
        self.values: dict[Place, Any] = {}
        self.sections = [Section([], [])]
        self._noted: set[Place] = set()  # in this section
        self.failed = ""
        self.at = 0
        self.live = False
        self.looking = False
        self.marks: list[Mark] = []
        self._hooks = hooks
        self._tap = Tap(self, hooks)
        self._moving: set[Place] = set()
        self._reached: dict[int, Any] = {}
        self._noting: list[Any] = []  # those of these that have another class meanwhile
        for other in [other for other in Watch._open if other._hooks is not hooks]:
            other.fail("another machine runs")
            other.close()
        Watch._open.append(self)

    @property
    def closed(self) -> bool:
        """Whether nothing is watched any more."""
        return self not in Watch._open

    def close(self) -> None:
        """Give the objects that nobody else watches their classes back; only the first time does anything."""
        for value in self._noting:
            _WATCHES[id(value)] -= 1
            if not _WATCHES[id(value)]:
                del _WATCHES[id(value)]
                object.__setattr__(value, "__class__", _PLAIN[type(value)])
        self._noting.clear()
        if not self.closed:
            Watch._open.remove(self)

    def fail(self, why: str) -> None:
        """Something happened that cannot be repeated as it was noted."""
        self.failed = self.failed or why

    def resume(self, procedure: Proc, value: Any) -> Step:
        """Let the procedure go on to its next step, watched; StopIteration at its end."""
        self.looking = True
        Watch.active = self
        try:
            return procedure.send(value)
        finally:
            self.looking = False
            Watch.active = None

    def make(self, handler: Callable[[Step], int], step: Step, *, live: bool) -> int:
        """Let a handler make a step of the procedure; what it changes is noted."""
        self.live = live
        Watch.active = self
        try:
            return handler(step)
        finally:
            self.live = False
            Watch.active = None

    def begin_section(self) -> None:
        """A step has been made."""
        self.at += 1
        self.marks.clear()
        self.sections.append(Section([], []))
        self._noted.clear()

    @contextmanager
    def away(self) -> Generator[None, None, None]:
        """Whatever is not the kernel's own looking around."""
        self.looking = False
        try:
            yield
        finally:
            self.looking = True

    # --- values -----------------------------------------------------------------------------------------------------

    def reach(self, value: Any) -> bool:
        """Watch this object from now on; false if it is of a kind that cannot be."""
        if id(value) in self._reached:
            return True
        if type(value) not in _PLAIN:
            if not type(value).__module__.startswith(OWN):
                return False
            try:
                object.__setattr__(value, "__class__", _watching(type(value)))
            except TypeError:
                return False
        _WATCHES[id(value)] = _WATCHES.get(id(value), 0) + 1
        self._noting.append(value)
        self._reached[id(value)] = value
        return True

    def admits(self, value: Any) -> bool:
        """Whether the value means the same each time: a constant, or an object that was there before."""
        return constant(value) or id(value) in self._reached

    def show(self, value: Any) -> Any:
        """The value as the procedure may see it."""
        if constant(value):
            return value
        if value is self._hooks:
            return self._tap
        kind = type(value)
        if kind in (dict, Kept, list):
            self._reached[id(value)] = value
            return ListView(self, value) if kind is list else DictView(self, value)
        shown = isinstance(value, tuple) and all(self.show(item) is item for item in value)
        if not shown and not self.reach(value):
            self.fail(f"a {kind.__name__} is read")
        return value

    # --- reads and writes -------------------------------------------------------------------------------------------

    def read(self, kind: str, holder: Any, key: Any, value: Any) -> Any:
        """A value was found there; return it as the procedure may see it."""
        place = (id(holder), key)
        if place in self._moving:
            self.fail(f"{key} depends on a translation")
        found = Read(kind, holder, key, value, self.at)
        if place not in self.values:
            self.values[place] = value
            self.reads.append(found)
        elif not same(self.values[place], value):
            self.fail("disturbed")
        if place not in self._noted:
            self._noted.add(place)
            self.sections[-1].reads.append(found)
        return self.show(value)

    def write(self, kind: str, holder: Any, key: Any, value: Any) -> Any:
        """The procedure changes something itself; return the value as it really is."""
        if isinstance(value, View):
            value = value.real
        if not self.admits(value):
            self.fail(f"{key} is made anew")
        place = (id(holder), key)
        self._noted.add(place)
        self.values[place] = value
        self.writes[place] = (kind, holder, key, value)
        self.sections[-1].writes.append(self.writes[place])
        return value

    def changed(self, holder: Any, key: Any, value: Any) -> None:
        """A step has changed something."""
        place = (id(holder), key)
        if key in TRANSLATION and not self.live:
            self.fail("a step that translates")
        if self.live:
            self._moving.add(place)
            return
        self._moving.discard(place)
        self.values[place] = value


class Tap:
    """Hooks as a watched procedure reaches them: calls and counters are noted, everything else fails the watch."""

    def __init__(self, watch: Watch, hooks: Hooks) -> None:
        self._watch = watch
        self._hooks = hooks

    def count(self, ci: Any, name: str, n: int = 1) -> None:
        """An event counter goes up."""
        with self._watch.away():
            self._hooks.count(ci, name, n)

    def call_begin(self, lwp: Lwp, call: Call) -> None:
        """A call begins."""
        with self._watch.away():
            self._hooks.call_begin(lwp, call)
        self._watch.marks.append(Mark("call_begin", (lwp, call)))

    def call_end(self, lwp: Lwp) -> None:
        """It ends."""
        with self._watch.away():
            self._hooks.call_end(lwp)
        self._watch.marks.append(Mark("call_end", (lwp,)))

    def fetched(self, _ci: Any, code: Words, index: int) -> Any:
        """Patched code where it runs: a word that the passage depends on."""
        return code.v[index]

    def at_once(self, lwp: Lwp, step: Step) -> Step:
        """A step within this passage."""
        return step

    def sees(self, ci: Any, words: Any) -> Any:
        """A word that an assertion looks at, which is noted."""
        return words.v[0]

    def straight(self, procedure: Callable[..., Proc], *arguments: Any) -> Proc:
        """A passage within this one."""
        return procedure(*arguments)

    def __getattr__(self, name: str) -> Any:
        self._watch.fail(f"hook {name}")
        hook = getattr(self._hooks, name)

        def call(*args: Any, **named: Any) -> Any:
            with self._watch.away():
                return hook(*args, **named)

        return call


_WATCHING: dict[type, type] = {}
_PLAIN: dict[type, Any] = {}
_WATCHES: dict[int, int] = {}  # how many watch an object, by its id


def _watching(kind: type) -> type:
    """The class whose objects are as those of *kind*, but note who looks at them."""
    made = _WATCHING.get(kind)
    if made is None:
        names = {"__slots__": (), "__getattribute__": _read, "__setattr__": _write, "__delattr__": _delete}
        made = _WATCHING[kind] = type(kind.__name__, (kind,), names)
        _PLAIN[made] = kind
    return made


@cache
def _computed(kind: type, name: str) -> bool:
    """Whether the class has a property or a function of that name."""
    return isinstance(getattr_static(kind, name, None), property | staticmethod | classmethod)


def _read(holder: Any, name: str) -> Any:
    value = _PLAIN[type(holder)].__getattribute__(holder, name)  # which may notice who looks, too
    watch = Watch.active
    if watch is None or not watch.looking or name == "__class__":
        return value
    if name == "__dict__":
        watch.fail("an object's dictionary is read")
        return value
    kind: Any = type(holder)
    if isinstance(value, MethodType) and value.__self__ is holder or _computed(kind, name):
        return value  # what the property reads is noted
    return watch.read("attribute", holder, name, value)


def _write(holder: Any, name: str, value: Any) -> None:
    watch = Watch.active
    if watch is not None:
        if watch.looking:
            value = watch.write("attribute", holder, name, value)
        else:
            watch.changed(holder, name, value)
    _PLAIN[type(holder)].__setattr__(holder, name, value)


def _delete(holder: Any, name: str) -> None:
    if Watch.active is not None:
        Watch.active.fail(f"{name} is deleted")
    object.__delattr__(holder, name)


def plain(value: object) -> type:
    """The class of an object, whoever watches it."""
    return _PLAIN.get(type(value), type(value))  # type: ignore[no-any-return]


def disturb(why: str) -> None:
    """Counters change, and not through whoever is watched."""
    for watch in Watch._open:
        watch.fail(why)
