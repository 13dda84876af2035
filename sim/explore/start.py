"""Where exploration begins, once more in the same objects.

A kernel boots and its first LWPs come to their first operations in the same way in every execution of a program.  So
that is done once; afterwards all objects are given what they held after the boot, and the generators alone, which
cannot be copied, are run to where they were: they are sent what they were sent, and between that they find changed what
drivers had changed.  What the drivers and judges made of it is put back at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import chain
from types import FrameType, GeneratorType
from typing import Any, NamedTuple

from sim.explore.fields import stored
from sim.explore.image import Image, is_as
from sim.explore.reached import Unknown, is_constant, is_same, leads_to, reached, shape
from sim.explore.touched import Touched
from sim.hardware.cpu import Cpu
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words


class Sent(NamedTuple):
    """What the generator of one of the lists of frames is sent, and what is changed before.

    *stores*: arrays, indices and values; *settings*: what sets a slot, of which object, and the value.
    """

    at: int
    value: Any
    stores: tuple[tuple[list[Any], int, Any], ...]
    settings: tuple[tuple[Callable[[Any, Any], None], Any, Any], ...]


class Start:
    """Where exploration begins.  *parts*: what an execution consists of, by name."""

    def __init__(self, parts: dict[str, Any], begun: Image, sent: list[Sent]) -> None:
        self._parts = parts
        self._begun = begun
        self._sent = sent
        self._there: Image | None = None

    def again(self) -> dict[str, Any]:
        """The parts of an execution that has come there; those of the one before are the same objects."""
        self._come()
        assert self._there is not None
        self._there.put()
        return self._parts

    def _come(self) -> None:
        self._begun.put()
        Touched.now = self._parts["machine"].touched
        send = [frames[0].send for frames in self._begun.frames]
        for at, value, stores, settings in self._sent:
            for array, index, word in stores:
                array[index] = word
            for put, holder, what in settings:
                put(holder, what)
            send[at](value)

    def learn(self, given: Collection[int], known: Collection[int]) -> None:
        """The objects are there now: see that they can be had so again.  Unknown: they cannot.

        *known* are the ids of those that were there from the beginning.
        """
        before = list(map(_only, self._begun.frames))
        objects = reached(self._parts.values(), given, through=False)
        for own, value in reached(chain.from_iterable(map(leads_to, before)), known).items():
            if own in objects and type(value) is not tuple:
                raise Unknown(f"a generator shares a {type(value).__qualname__} with others")
        there = Image(objects.values(), running=True)
        if not {id(frames) for frames in there.frames} <= {id(frames) for frames in self._begun.frames}:
            raise Unknown("there are more generators than there were")
        try:
            self._come()
        except Exception as error:
            raise Unknown(f"the way to the start cannot be gone again: {error!r}") from error
        if not all(map(_alike, before, map(_only, self._begun.frames))):
            raise Unknown("a generator does not come to where it was")
        there.only(lambda held: id(held.holder) not in known or not is_as(held))
        self._there = there


def _only(frames: list[Any]) -> Any:
    """The generator that is alone in a list of frames; Unknown if it is not."""
    if len(frames) != 1:
        raise Unknown("an interrupt has not returned")
    return frames[0]


def _alike(one: Any, other: Any, met: set[tuple[int, int]] | None = None) -> bool:
    """Whether what two generators hold is the same, or of the same make."""
    met = set() if met is None else met
    if is_same(one, other) or (id(one), id(other)) in met:
        return True
    if type(one) is not type(other) or is_constant(one):
        return type(one) is type(other) is FrameType
    met.add((id(one), id(other)))
    if type(one) is GeneratorType and not _as_far(one, other):
        return False
    mine, theirs = list(leads_to(one)), list(leads_to(other))
    return len(mine) == len(theirs) and all(_alike(a, b, met) for a, b in zip(mine, theirs, strict=True))


def _as_far(one: GeneratorType[Any, Any, Any], other: GeneratorType[Any, Any, Any]) -> bool:
    """Whether two generators have come to the same place."""
    mine, theirs = one.gi_frame, other.gi_frame
    if mine is None or theirs is None or one.gi_code is not other.gi_code or mine.f_lasti != theirs.f_lasti:
        return False
    return mine.f_locals.keys() == theirs.f_locals.keys()  # looked at, they are among what the generators hold


class _Heard:
    """Stands for a generator whose ways are learnt."""

    def __init__(self, at: int, generator: Any, way: Way) -> None:
        self.generator = generator
        self._at = at
        self._way = way

    def send(self, value: Any) -> Any:
        """Send the generator something."""
        self._way.sends(self._at, value)
        return self.generator.send(value)


class Way:
    """Learns the way to where exploration begins, as an execution comes there.

    Unknown: it is not known how to come there again.  *given*: ids of what is not the execution's own.
    """

    def __init__(self, parts: dict[str, Any], given: Collection[int]) -> None:
        self._given = given
        self._known = reached(parts.values(), given)
        self._begun = begun = Image(self._known.values(), running=False)
        self._sent: list[Sent] = []
        self._start = Start(parts, begun, self._sent)
        self._arrays = [one.holder.v for one in begun.held if one.kind is Words]
        self._words = [list(array) for array in self._arrays]
        registers = [one.holder for one in begun.held if one.kind in (Cpu, Mutex)]
        self._slots = [(member, holder) for holder in registers for member in shape(type(holder)).slots]
        self._values = [stored(*slot) for slot in self._slots]
        for at, frames in enumerate(begun.frames):
            frames[:] = [_Heard(at, generator, self) for generator in frames]

    def sends(self, at: int, value: Any) -> None:
        """A generator is about to go on.

        What it has changed itself by the next time is put there then, too, where it is already.
        """
        stores: list[tuple[list[Any], int, Any]] = []
        for array, words in zip(self._arrays, self._words, strict=True):
            if array != words:
                if len(array) != len(words):
                    raise Unknown("an array of words has grown")
                stores += [(array, i, now) for i, now in enumerate(array) if now != words[i]]
                words[:] = array
        values = [stored(*slot) for slot in self._slots]
        settings = [
            (member.__set__, holder, now)
            for (member, holder), now, before in zip(self._slots, values, self._values, strict=True)
            if now is not before
        ]
        self._values = values
        self._sent.append(Sent(at, value, tuple(stores), tuple(settings)))

    def ends(self) -> Start:
        """The execution has come there."""
        for frames in self._begun.frames:
            if any(type(one) is not _Heard for one in frames):
                raise Unknown("the way to the start leads through an interrupt")
            frames[:] = [one.generator for one in frames]
        self._start.learn(self._given, self._known)
        return self._start
