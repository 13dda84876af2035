"""Brings a procedure to one of its steps: everything that it looks at is put back as it was, and then forth again."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

from sim.errors import ModelError
from sim.hardware.cpu import Cpu
from sim.hardware.memory import Kept
from sim.hardware.steps import Proc
from sim.kernel.hooks import Hooks
from sim.kernel.kernel import Kernel
from sim.timed.passages.passage import Passage
from sim.timed.passages.played import changes
from sim.timed.passages.recording import rest
from sim.timed.passages.views import MISSING


def resumed(passage: Passage, made: int, procedure: Proc, sent: Any, kernel: Kernel, cpu: Cpu[Any]) -> Proc:
    """What is left of a procedure that has made so many steps as recorded, the last of which gave *sent*.

    Others may have changed since what it has found, so its steps are repeated on what was there then.
    """
    with _as_it_was(passage, cpu), unheard(kernel):
        result = None
        for entry in passage.entries[:made]:
            if procedure.send(result)[:2] != entry.step[:2]:
                raise ModelError(f"{entry.step[1]}: a passage is not what was recorded")
            for holder, key, value in changes(entry, cpu):
                _put(holder, key, value)
            result = entry.result
    return rest(procedure, sent)


@contextmanager
def unheard(kernel: Kernel) -> Generator[None, None, None]:
    """Hooks have heard already what is repeated here; that they hear nothing is nobody else's business."""
    hooks = kernel.hooks
    object.__setattr__(kernel, "hooks", Hooks())
    try:
        yield
    finally:
        object.__setattr__(kernel, "hooks", hooks)


@contextmanager
def _as_it_was(passage: Passage, cpu: Cpu[Any]) -> Generator[None, None, None]:
    """All places that a passage reads or writes have the values that it once found; afterwards those that they have."""
    changing = [read for read in passage.reads if read.kind != "length" and not isinstance(read.holder, Kept)]
    found = [(read.holder, read.key, read.value) for read in changing]
    left = _Left()
    left.note([(holder, key) for holder, key, _ in found] + [(holder, key) for _, holder, key, _ in passage.writes])
    for place in found:
        _put(*place)
    left.note([(holder, key) for entry in passage.entries for holder, key, _ in changes(entry, cpu)])
    try:
        yield
    finally:
        left.put()


class _Left:
    """What others have left in some places."""

    def __init__(self) -> None:
        self._values: dict[tuple[int, Any], tuple[Any, Any, Any]] = {}
        self._whole: dict[int, tuple[dict[Any, Any], dict[Any, Any]]] = {}  # dictionaries, whose order counts too

    def note(self, places: Iterable[tuple[Any, Any]]) -> None:
        """Keep what is there: an object, list or dictionary, and the name, index or key of something in it."""
        for holder, key in places:
            if isinstance(holder, dict):
                self._whole.setdefault(id(holder), (holder, holder.copy()))
            elif (id(holder), key) not in self._values:
                value = holder[key] if isinstance(holder, list) else getattr(holder, key)
                self._values[id(holder), key] = holder, key, value

    def put(self) -> None:
        """Put it there again."""
        for holder, copy in self._whole.values():
            holder.clear()
            holder.update(copy)
        for place in self._values.values():
            _put(*place)


def _put(holder: Any, key: Any, value: Any) -> None:
    if isinstance(holder, dict) and value is MISSING:
        holder.pop(key, None)
    elif isinstance(holder, list | dict):
        holder[key] = value
    else:
        setattr(holder, key, value)
