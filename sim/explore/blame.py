"""Which code of the modelled kernel runs, raised an exception, or waits with a step."""

from __future__ import annotations

import traceback
from pathlib import Path, PurePosixPath
from types import CodeType, FrameType
from typing import Any

import sim

ROOT = Path(sim.__file__).parent.parent
KERNEL = tuple(f"{ROOT / 'sim' / package}/" for package in ("kernel", "hardware"))
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
    frames = traceback.walk_tb(error.__traceback__)
    return [(frame.f_code, line) for frame, line in frames if of_kernel(frame.f_code)]


def yielded_by(generator: Any) -> str:
    """The procedure, of those that wait for one another, that waits with a step."""
    inner = generator
    while getattr(inner, "gi_yieldfrom", None) is not None:
        inner = inner.gi_yieldfrom
    frame: FrameType | None = getattr(inner, "gi_frame", None)
    return place(frame.f_code, frame.f_lineno) if frame is not None else f"a {type(inner).__name__}"
