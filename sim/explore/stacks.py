"""What the stacks of LWPs hold, looked into again only once their LWP has moved."""

from __future__ import annotations

import marshal
from types import GeneratorType
from typing import Any, NamedTuple

from sim.explore.frames import Frame, frame_of
from sim.kernel.lwp import Lwp


class Stack(NamedTuple):
    """An LWP's frames and the generators that they have handed over to, as long as none of them moves.

    Attributes:
        lwp: kept, as the generators are by their frames, lest its id be used again.
        moved: when it last moved.
        frames: its own.
        generators: the ids of all of them, from the bottom.
        said: positions and plain values.
        objects, ids: what else they hold, and the ids of that.
    """

    lwp: Lwp
    moved: int
    frames: list[Any]
    generators: list[int]
    said: bytes
    objects: list[Any]
    ids: list[int]


class Stacks:
    """The stacks of one execution's LWPs."""

    def __init__(self) -> None:
        self._stacks: dict[int, Stack] = {}
        self._frames: dict[int, Frame] = {}

    def of(self, lwp: Lwp, moved: int) -> Stack:
        """The stack of an LWP that last moved then: in an execution, a number that grows."""
        stack = self._stacks.get(id(lwp))
        if stack is None or stack.moved != moved or stack.frames != lwp.frames:
            stack = self._stacks[id(lwp)] = self._look_into(lwp, moved)
        return stack

    def frame(self, generator: GeneratorType[Any, Any, Any]) -> Frame:
        """What a generator holds now."""
        frame = self._frames.get(id(generator))
        if frame is None or not frame.is_still():
            frame = self._frames[id(generator)] = frame_of(generator)
        return frame

    def _look_into(self, lwp: Lwp, moved: int) -> Stack:
        said: list[object] = []
        generators: list[int] = []
        objects: list[Any] = []
        for bottom in lwp.frames:
            generator: Any = bottom
            while generator is not None:
                frame = self.frame(generator)
                generators.append(id(generator))
                said.append(frame.said)
                objects += frame.objects
                generator = frame.inner
            said.append(None)
        return Stack(lwp, moved, [*lwp.frames], generators, marshal.dumps(said, 2), objects, list(map(id, objects)))
