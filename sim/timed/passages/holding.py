"""What CPUs rely on while their operations are only counted: whoever else comes near it has to call them back first.

An object of the kernel gets a class of its own kind meanwhile, which notices each attribute of it that is set, and each
look at one that the counted operations change on the way.  The words of a cache line are noticed as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sim.hardware.cpu import Cpu
from sim.hardware.memory import Kept, Words
from sim.kernel.lwp import Lwp
from sim.timed.passages.played import Played, changes
from sim.timed.passages.views import MISSING
from sim.timed.passages.watch import plain

IN_WORDS = ("v", "sharers", "owner")
IN_CPU = ("tlb", "caches")  # besides what passages say: nobody else looks into them
IN_LWP = ("tally", "tallies", "calls_made")
_NONE = object()


class Reliance(NamedTuple):
    """One object.

    Attributes:
        kept: attributes that must stay as they are.
        own: those of them that nobody else may look at either.
        changed: whether the operations change something in it on the way.
    """

    holder: Any
    kept: frozenset[str]
    own: frozenset[str]
    changed: bool


class Relied(NamedTuple):
    """What operations rely on: objects, and words that are read without their line, as code is."""

    objects: list[Reliance]
    code: list[Words]


def relied_on(played: Played, cpu: Cpu[Any]) -> Relied | None:
    """What an operation made of this passage relies on; None if some of it cannot be held."""
    if played.relied is None:
        found = _Found(cpu)
        played.relied = found.result() if found.add(played) else Relied([], [])
    relied: Relied = played.relied
    return relied if relied.objects else None


class _Found:
    """Puts together what some passages rely on."""

    def __init__(self, cpu: Cpu[Any]) -> None:
        self._cpu = cpu
        self._holders: dict[int, Any] = {id(cpu): cpu}
        self._kept: dict[int, set[str]] = {id(cpu): set(IN_CPU)}
        self._own: dict[int, set[str]] = {id(cpu): set(IN_CPU)}
        self._words: dict[int, Words] = {}  # by their list's id
        self._lined: dict[int, bool] = {}  # whether they are written, by id

    def add(self, played: Played) -> bool:
        """Add a passage's places; false if one cannot be held."""
        passage = played.passage
        for line in passage.lines:
            self._words[id(line.words.v)] = line.words
            self._lined[id(line.words)] = self._lined.get(id(line.words), False) or line.write
        for read in passage.reads:
            if isinstance(read.holder, Words) and read.key == "v":
                self._words[id(read.value)] = read.holder
        for read in passage.reads:
            kept = isinstance(read.holder, Kept) and read.value is not MISSING
            if read.kind == "attribute":
                self._attribute(read.holder, read.key, own=False)
            elif id(read.holder) not in self._words and not kept:
                return False
        written = [(holder, key) for _, holder, key, _ in passage.writes]
        written += [(holder, key) for entry in passage.entries for holder, key, _ in changes(entry, self._cpu)]
        for holder, key in written:
            if isinstance(key, str) and not isinstance(holder, dict):
                self._attribute(holder, key, own=True)
            elif not self._lined.get(id(self._words.get(id(holder)))):
                return False
        return True

    def _attribute(self, holder: Any, name: str, *, own: bool) -> None:
        self._holders[id(holder)] = holder
        self._kept.setdefault(id(holder), set()).add(name)
        if own:
            self._own.setdefault(id(holder), set()).add(name)

    def result(self) -> Relied:
        """All of it."""
        for words in self._words.values():
            if id(words) in self._lined:
                self._holders[id(words)] = words
                self._kept[id(words)] = self._own[id(words)] = set(IN_WORDS)
        objects = []
        for at, holder in self._holders.items():
            if isinstance(holder, Lwp):
                self._kept[at].update(IN_LWP)
                self._own.setdefault(at, set()).update(IN_LWP)
            own = frozenset(self._own.get(at, ()))
            changed = self._lined.get(at, bool(own))
            objects.append(Reliance(holder, frozenset(self._kept[at]), own, changed))
        return Relied(objects, [words for words in self._words.values() if id(words) not in self._lined])


class _Held:
    """An object, and the CPUs that rely on it."""

    __slots__ = ("changed", "cpus", "holder", "kept", "own")

    def __init__(self, holder: Any) -> None:
        self.holder = holder
        self.kept: frozenset[str] = frozenset()
        self.own: frozenset[str] = frozenset()
        self.changed = False
        self.cpus: set[int] = set()


class Holdings:
    """The objects that the CPUs of one machine rely on; *reached* is called with the CPUs to be called back."""

    def __init__(self, reached: Callable[[set[int]], None]) -> None:
        self.held: dict[int, _Held] = {}
        self._reached = reached
        self._guards: dict[tuple[type, bool], type] = {}
        self._plain: dict[type, type] = {}

    def hold(self, cpu: int, relied: Relied) -> bool:
        """Hold what a CPU relies on; false, and nothing is held, if it or another one changes some of it."""
        for reliance in relied.objects:
            held = self.held.get(id(reliance.holder))
            others = held is not None and held.cpus != {cpu} and (held.changed or reliance.changed)
            if others or not self._can_be_guarded(reliance):
                return False
        for holder, kept, own, changed in relied.objects:
            held = self.held.setdefault(id(holder), _Held(holder))
            held.cpus.add(cpu)
            held.kept |= kept
            held.own |= own
            held.changed = held.changed or changed
            self._guard(holder, looks=bool(held.own))
        return True

    def release(self, cpu: int, relied: Relied) -> None:
        """The CPU relies on them no more."""
        for holder, _, own, _ in relied.objects:
            held = self.held.get(id(holder))
            if held is None:
                continue
            held.cpus.discard(cpu)
            if not held.cpus:
                del self.held[id(holder)]
                if own and type(holder) in self._plain:  # to notice what is set costs nothing where it is read
                    object.__setattr__(holder, "__class__", self._plain[type(holder)])

    def reach(self, held: _Held) -> None:
        """Somebody comes near an object."""
        self._reached(held.cpus)

    def _can_be_guarded(self, reliance: Reliance) -> bool:
        """Whether the object has its own class, or already one that notices enough under that of whoever watches it."""
        holder = reliance.holder
        under = plain(holder)
        if type(holder) is under:
            return True
        own = self._plain.get(under)
        return own is not None and (not reliance.own or self._guards.get((own, True)) is under)

    def _guard(self, holder: Any, *, looks: bool) -> None:
        if type(holder) is not plain(holder):
            return  # whoever watches it has found it guarded
        own = self._plain.get(type(holder), type(holder))
        guard = self._guards.get((own, looks))
        if guard is None:
            guard = self._guards[own, looks] = _guarding(own, self, looks=looks)
            self._plain[guard] = own
        if type(holder) is not guard:
            object.__setattr__(holder, "__class__", guard)


def _guarding(kind: Any, holdings: Holdings, *, looks: bool) -> type:
    """The class whose objects are as those of *kind*, but notice who sets what is kept, or *looks* at what is own."""
    held, reach = holdings.held, holdings.reach
    look: Callable[[Any, str], Any] = kind.__getattribute__
    put: Callable[[Any, str, Any], None] = kind.__setattr__

    def noticed(holder: Any, name: str, value: Any) -> None:
        found = held.get(id(holder))
        if found is not None and name in found.kept and (
            name in found.own or getattr(holder, name, _NONE) is not value
        ):  # fmt: skip
            reach(found)
        put(holder, name, value)

    def looked(holder: Any, name: str) -> Any:
        found = held.get(id(holder))
        if found is not None and name in found.own:
            reach(found)
        return look(holder, name)

    members: dict[str, Any] = {"__slots__": (), "__module__": kind.__module__, "__setattr__": noticed}
    if looks:
        members["__getattribute__"] = looked
    return type(kind.__name__, (kind,), members)
