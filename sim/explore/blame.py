"""Which code of the modelled kernel runs, raised an exception, or waits with a step."""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path, PurePosixPath
from types import CodeType, FrameType
from typing import Any

import sim
from sim.errors import KernelEvent
from sim.explore.model import ENDLESS, Broken

ROOT = Path(sim.__file__).parent.parent
KERNEL = tuple(f"{ROOT / 'sim' / package}/" for package in ("kernel", "hardware"))
AT_STEP = "at the step that "  # how a note begins that names who yielded what could not be carried out
MARK = " (patched)"  # behind a file's name in tracebacks: it also keeps Python from showing the file of the tree


def of_kernel(code: CodeType) -> bool:
    """Whether code is the modelled kernel's or machine's, patched or not."""
    return code.co_filename.startswith(KERNEL)


def place(code: CodeType, line: int | None = None) -> str:
    """A procedure with file and line, by default its first."""
    path = PurePosixPath(code.co_filename.removesuffix(MARK))
    file = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
    where = f"{file}:{line or code.co_firstlineno}"
    return where if code.co_name == "<module>" else f"{code.co_qualname} ({where})"


def came_through(error: BaseException) -> list[tuple[CodeType, int]]:
    """The code of the kernel that an exception came through, each with its line, the innermost last."""
    if isinstance(error.__cause__, StopIteration):  # which no generator lets through as it is
        error = error.__cause__
    frames = traceback.walk_tb(error.__traceback__)
    return [(frame.f_code, line) for frame, line in frames if of_kernel(frame.f_code)]


def broken(event: KernelEvent | RecursionError) -> Broken:
    """What the kernel did, as the breach of an invariant; a recursion that is not the kernel's is raised again."""
    if isinstance(event, KernelEvent):
        return Broken(event.invariant, str(event))
    calls = Counter(code for code, _ in came_through(event))
    if not calls:
        raise event
    (code, _), *_ = calls.most_common(1)
    return Broken("progress", f"{place(code)} calls itself and {ENDLESS}")


def note_step(error: BaseException, generator: Any) -> None:
    """Have an exception say, once, whose step could not be carried out; who raised it himself waits with none."""
    if any(note.startswith(AT_STEP) for note in getattr(error, "__notes__", ())):
        return
    frame: FrameType | None = None
    while generator is not None:
        frame = getattr(generator, "gi_frame", None) or frame  # what a plain iterator yields is put down to its caller
        generator = getattr(generator, "gi_yieldfrom", None)
    if frame is not None:
        error.add_note(f"{AT_STEP}{place(frame.f_code, frame.f_lineno)} yields")


def told(error: BaseException) -> str:
    """An exception in a line: what, where, and at whose step, if it is known."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(AT_STEP)]
    where = came_through(error)[-1:]
    if not where and not notes:
        where = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)][-1:]
    what = " ".join(str(error).split())
    places = ", ".join([*(f"in {place(code, line)}" for code, line in where), *notes])
    return f"{type(error).__name__} {places}" + (f": {what}" if what else "")
