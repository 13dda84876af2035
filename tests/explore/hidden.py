"""Finds what two CPUs can reach in an order that no footprint shows.

Reduction leaves out an order if footprints say that it makes no difference.  Whatever the kernel reads and changes
without a step, a field of a Python object or a word looked at by an assertion, must therefore be in the footprint all
the same, or be ordered by what is.  Here every object of the kernel notes who looks at its fields while a procedure
runs; two transitions that meet in a field, one of them changing it, and that no chain of footprints orders, are a
hidden race.  It is found in any execution in which both come, in whatever order.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Generator, Hashable, Iterator
from inspect import getattr_static
from types import MethodType
from typing import Any, NamedTuple

from sim.explore.litmus import Litmus
from sim.explore.model import Footprint, Violation, dependent
from sim.explore.run import KernelRun
from sim.hardware.memory import Words

OWN = ("sim.kernel.", "sim.hardware.", "sim.explore.watched", "sim.explore.cached")
ALL = "all of it"
MOST = 600  # transitions


class Use(NamedTuple):
    """How a transition used a place: what it is called, where in the kernel, and whether it was changed."""

    field: str
    where: str
    changed: bool


class Notes:
    """The uses of one transition, by place."""

    active: Notes | None = None  # set while a procedure of the kernel runs

    def __init__(self) -> None:
        self.uses: dict[Hashable, Use] = {}
        self.whole: dict[int, tuple[Any, Any, str, str]] = {}  # containers handed out, with what they held

    def use(self, place: Hashable, field: str, *, changed: bool) -> None:
        """Note a use; the first change of a place stays."""
        if place not in self.uses or changed and not self.uses[place].changed:
            self.uses[place] = Use(field, _where(), changed)

    def hand_out(self, container: Any, field: str) -> None:
        """A container goes to the kernel as it is: it is compared when the transition is over."""
        self.use((id(container), ALL), field, changed=False)
        self.whole.setdefault(id(container), (container, _copy(container), field, _where()))

    def end(self, footprint: Footprint) -> None:
        """Add what was changed in containers, and the words that steps have changed."""
        for container, before, field, where in self.whole.values():
            if _copy(container) != before:
                self.uses[id(container), ALL] = Use(field, where, True)
        # A page walk changes A and D alone, and what the kernel looks at without a step in an entry is neither.
        walked = {location[1:] for location, mode in footprint
                  if mode > 0 and isinstance(location, tuple) and location[0] == "ad"}  # fmt: skip
        for location, mode in footprint:
            if mode <= 0 or location in walked:
                continue
            if isinstance(location, tuple) and len(location) == 2 and isinstance(location[1], int):
                self.uses["word", *location] = Use(str(location[0]), "a step", True)


def _where() -> str:
    """The function of the kernel that is at it."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename == __file__:
        assert frame.f_back is not None
        frame = frame.f_back
    return frame.f_code.co_qualname


def _copy(container: Any) -> Any:
    return list(container.items()) if isinstance(container, dict) else list(container)


class WordsView:
    """The values of a :class:`Words`, each a place of its own."""

    def __init__(self, notes: Notes, name: str, values: list[Any]) -> None:
        self._notes, self._name, self._values = notes, name, values

    def _note(self, at: int | slice, *, changed: bool) -> None:
        places = range(len(self._values))[at]
        for place in (places,) if isinstance(places, int) else places:
            self._notes.use(("word", self._name, place), self._name, changed=changed)

    def __getitem__(self, at: Any) -> Any:
        self._note(at, changed=False)
        return self._values[at]

    def __setitem__(self, at: Any, value: Any) -> None:
        self._note(at, changed=True)
        self._values[at] = value

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return (self[at] for at in range(len(self)))


class DictView(dict[Any, Any]):
    """A dictionary, each key a place of its own; whoever goes through all of it meets whoever adds or takes."""

    def __init__(self, notes: Notes, real: dict[Any, Any], field: str) -> None:
        super().__init__()
        self._notes, self._real, self._field = notes, real, field

    def _note(self, key: Any, *, changed: bool) -> None:
        self._notes.use((id(self._real), key), self._field, changed=changed)
        if changed:
            self._notes.use((id(self._real), ALL), self._field, changed=True)

    def __getitem__(self, key: Any) -> Any:
        self._note(key, changed=False)
        return _watched(self._real[key])

    def get(self, key: Any, default: Any = None) -> Any:
        self._note(key, changed=False)
        return _watched(self._real.get(key, default))

    def __contains__(self, key: Any) -> bool:
        self._note(key, changed=False)
        return key in self._real

    def __setitem__(self, key: Any, value: Any) -> None:
        self._note(key, changed=True)
        self._real[key] = value

    def __delitem__(self, key: Any) -> None:
        self._note(key, changed=True)
        del self._real[key]

    def pop(self, key: Any, *default: Any) -> Any:
        self._note(key, changed=key in self._real)
        return _watched(self._real.pop(key, *default))

    def setdefault(self, key: Any, default: Any = None) -> Any:
        self._note(key, changed=key not in self._real)
        return self._real.setdefault(key, default)

    def _all(self) -> dict[Any, Any]:
        self._notes.use((id(self._real), ALL), self._field, changed=False)
        return self._real

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == other

    __hash__ = None  # type: ignore[assignment]

    def items(self) -> Any:
        return self._all().items()

    def values(self) -> Any:
        return self._all().values()

    def keys(self) -> Any:
        return self._all().keys()


# --- objects ----------------------------------------------------------------------------------------------------------

_NOTING: dict[type, type] = {}
_PLAIN: dict[type, type] = {}


def _watched(value: Any) -> Any:
    """Let an object of the kernel note its uses from now on."""
    kind = type(value)
    if kind in _PLAIN or not kind.__module__.startswith(OWN) or isinstance(value, tuple | type):
        return value
    if kind not in _NOTING:
        names = {"__slots__": (), "__getattribute__": _read, "__setattr__": _write}
        noting = _NOTING[kind] = type(kind.__name__, (kind,), names)
        _PLAIN[noting] = kind
    object.__setattr__(value, "__class__", _NOTING[kind])
    return value


def _read(holder: Any, name: str) -> Any:
    kind = _PLAIN[type(holder)]
    value = kind.__getattribute__(holder, name)  # what a property reads is noted on the way
    notes, Notes.active = Notes.active, None
    try:
        if notes is None or name.startswith("__") or isinstance(value, MethodType) and value.__self__ is holder:
            return value
        if isinstance(getattr_static(kind, name, None), property):
            return value
        if isinstance(holder, Words) and name == "v":
            return WordsView(notes, kind.__getattribute__(holder, "name"), value)
        field = f"{kind.__name__.removeprefix('Watched')}.{name}"
        notes.use((id(holder), name), field, changed=False)
        if type(value) is dict:
            return DictView(notes, value, field)
        if type(value) in (list, set, deque):
            notes.hand_out(value, field)
        for item in value if type(value) in (list, tuple, deque) else (value,):
            _watched(item)
        return value
    finally:
        Notes.active = notes


def _write(holder: Any, name: str, value: Any) -> None:
    notes, Notes.active = Notes.active, None
    try:
        kind = _PLAIN[type(holder)]
        if notes is not None:
            changed = not hasattr(holder, name) or kind.__getattribute__(holder, name) != value
            notes.use((id(holder), name), f"{kind.__name__.removeprefix('Watched')}.{name}", changed=changed)
        kind.__setattr__(holder, name, value)
    finally:
        Notes.active = notes


class Frame:
    """A generator of the kernel; what it looks at while it runs is noted."""

    def __init__(self, procedure: Generator[Any, Any, Any], notes: list[Notes]) -> None:
        self._procedure, self._notes = procedure, notes

    def send(self, value: Any) -> Any:
        """As a generator's."""
        Notes.active = self._notes[-1]
        try:
            return self._procedure.send(value)
        finally:
            Notes.active = None


class Frames(list[Any]):
    """An LWP's frames, of which all that are added are watched."""

    def __init__(self, frames: list[Any], notes: list[Notes]) -> None:
        super().__init__(Frame(frame, notes) for frame in frames)
        self._notes = notes

    def append(self, frame: Any) -> None:
        super().append(Frame(frame, self._notes))


# --- executions -------------------------------------------------------------------------------------------------------


def hidden_races(litmus: Litmus, profile: str, *, tso: bool, seed: int) -> set[tuple[str, str, str]]:
    """Fields that unordered transitions of one execution meet in, with where each does; the execution is random."""
    notes: list[Notes] = [Notes()]
    run = KernelRun(litmus, profile, tso=tso)
    k = run.machine.kernel
    for lwp in {*run.state.lwps.values(), *run.machine.current, *(ci.ci_idlelwp for ci in k.cpus)}:
        lwp.frames = Frames(lwp.frames, notes)
        for part in (lwp, lwp.l_proc, lwp.l_proc.pmap):
            _watched(part)
    for part in (k, *k.cpus):
        _watched(part)
    choices = random.Random(f"{litmus.name}/{seed}")
    history: list[tuple[int, Footprint, dict[Hashable, Use], int]] = []
    found: set[tuple[str, str, str]] = set()
    try:
        while (able := run.enabled()) and len(history) < MOST:
            actor = able[0] if seed == 0 else choices.choice(able)
            if history and history[-1][0] in able and choices.random() < 0.6:
                actor = history[-1][0]
            notes.append(Notes())
            footprint = run.step(actor)
            notes[-1].end(footprint)
            before = _before(history, actor, footprint)
            found |= _races(history, before, notes[-1].uses)
            history.append((actor, footprint, notes[-1].uses, before))
    except Violation:
        pass  # what is declared breaks here, too
    return found


def _before(history: list[tuple[int, Footprint, dict[Hashable, Use], int]], actor: int, footprint: Footprint) -> int:
    """The earlier transitions that footprints put before this one, as bits."""
    before = 0
    for at in range(len(history) - 1, -1, -1):
        whose, touched, _, earlier = history[at]
        if not before >> at & 1 and (whose == actor or dependent(touched, footprint)):
            before |= earlier | 1 << at
    return before


def _races(
    history: list[tuple[int, Footprint, dict[Hashable, Use], int]], before: int, uses: dict[Hashable, Use]
) -> set[tuple[str, str, str]]:
    """The fields in which this transition meets an earlier one that is not before it."""
    found = set()
    for at, (_, _, earlier, _) in enumerate(history):
        if before >> at & 1:
            continue
        for place in uses.keys() & earlier.keys():
            one, other = earlier[place], uses[place]
            adds = isinstance(place, tuple) and place[-1] is ALL and one.changed and other.changed
            if (one.changed or other.changed) and not adds:  # two that add to a container need not meet
                found.add((other.field, one.where, other.where))
    return found
