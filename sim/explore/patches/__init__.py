"""Changes of the kernel as unified diffs: read, applied to the sources in memory, named in results.

Nothing in the tree is edited: :mod:`sim.explore.patches.kernel` imports the kernel once more from the sources that
:func:`sources` returns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from sim.errors import InputError
from sim.explore.blame import ROOT
from sim.explore.patches.hunks import Misfit, apply, text

if TYPE_CHECKING:
    from unidiff.patch import PatchedFile, PatchSet

DEV_NULL = "/dev/null"  # in place of the name of a file that is made or deleted
BELOW = (("sim", "kernel"), ("sim", "hardware"))
Sources = Mapping[PurePosixPath, str | None]


class Patch(NamedTuple):
    """A change of the kernel.

    Attributes:
        name: what tables, tokens and pages call it: a planted bug's name, or the last part of a file's.
        diff: the unified diff, in git's format or that of plain ``diff -u``.
        where: for messages and commands: the file as it was named; empty for a planted bug.
    """

    name: str
    diff: str
    where: str = ""

    @property
    def digest(self) -> str:
        """A fingerprint of what is changed: the same wherever the hunks' lines have moved to."""
        return _digest(self)

    def __str__(self) -> str:
        return f"patch {self.where}" if self.where else f"planted bug '{self.name}'"


def read(path: Path) -> Patch:
    """Read a patch from a file; InputError if it is none, or if it changes anything but the kernel."""
    try:
        diff = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    patch = Patch(path.name, diff, str(path))
    _files(patch)
    return patch


def names(patches: Sequence[Patch]) -> str:
    """The patches as one word for tables and frames; empty for none."""
    return " + ".join(patch.name for patch in patches)


@lru_cache(maxsize=64)
def sources(patches: tuple[Patch, ...]) -> Sources:
    """The sources that the patches change, applied in this order; None for a file that is deleted.

    Keys are paths from the project's root.  InputError names the patch, the file and the hunk that does not apply, or
    the line that is not Python.
    """
    changed: dict[PurePosixPath, str | None] = {}
    for patch in patches:
        for file in _files(patch):
            _change(changed, patch, file)
        for path in sorted({_target(patch, file) for file in _files(patch)}):
            _compile(patch, path, changed[path] or "")
    return changed


def _change(changed: dict[PurePosixPath, str | None], patch: Patch, file: PatchedFile) -> None:
    """Apply what a patch does to one file."""
    target = _target(patch, file)
    renamed = any(line.startswith("rename from ") for line in file.patch_info or ())
    source = _path(patch, file.source_file) if renamed else target
    old = changed[source] if source in changed else _on_disk(source)
    if file.is_added_file and old is None:
        old = ""
    elif file.source_file == DEV_NULL:
        raise InputError(f"{patch}: {target} is to be made, and is there already")
    if old is None:
        raise InputError(f"{patch}: there is no file {source}")
    try:
        new = apply(file, old.splitlines())
    except Misfit as error:
        raise InputError(f"{patch}: {source}: {error}") from None
    if renamed:
        changed[source] = None
    changed[target] = None if file.target_file == DEV_NULL else "".join(line + "\n" for line in new)


def _on_disk(path: PurePosixPath) -> str | None:
    """A source of this tree."""
    file = ROOT / path
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _compile(patch: Patch, path: PurePosixPath, source: str) -> None:
    """InputError unless a patched source is Python."""
    try:
        compile(source, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InputError(f"{patch}: {path}{line}, as patched: {what}") from None


def _target(patch: Patch, file: PatchedFile) -> PurePosixPath:
    """The file that is changed.  Plain diff may have compared it with a copy of any name, before or after."""
    names = [name for name in (file.target_file, file.source_file) if name != DEV_NULL]
    return _path(patch, next((name for name in names if _below(name)), names[0]))


def _path(patch: Patch, name: str) -> PurePosixPath:
    """The path from the project's root, whatever stands before it: ``a/``, ``b/`` or another folder."""
    path = _below(name)
    if path is None:
        raise InputError(f"{patch}: changes {name}; only Python files in sim/kernel and sim/hardware can be patched")
    return path


def _below(name: str) -> PurePosixPath | None:
    """The part of a path from ``sim/`` on, if it is a source that can be patched."""
    parts = PurePosixPath(name).parts
    for start in range(len(parts)):
        if parts[start : start + 2] in BELOW and ".." not in parts and name.endswith(".py"):
            return PurePosixPath(*parts[start:])
    return None


@lru_cache(maxsize=64)
def _files(patch: Patch) -> PatchSet:
    """The parsed diff; InputError names the line where it is none."""
    from unidiff.errors import UnidiffParseError  # explorations without a patch need none of it
    from unidiff.patch import PatchSet

    at = 0

    def lines() -> Iterator[str]:
        nonlocal at
        for at, line in enumerate(StringIO(patch.diff, newline=None), 1):  # noqa: B007 - read below
            yield line

    try:
        found = PatchSet(lines())
    except UnidiffParseError as error:
        raise InputError(f"{patch}: line {at}: not a unified diff: {str(error).strip()}") from None
    if not any(found):
        raise InputError(f"{patch}: not a unified diff: it has no hunk")
    for file in found:
        _target(patch, file)
    return found


@lru_cache(maxsize=64)
def _digest(patch: Patch) -> str:
    known = hashlib.sha256()
    for file in _files(patch):
        made, gone = (name == DEV_NULL for name in (file.source_file, file.target_file))
        known.update(f"{_target(patch, file)} {made} {gone}\n".encode())
        for hunk in file:
            known.update("".join(f"{line.line_type}{text(line)}\n" for line in hunk).encode())
    return known.hexdigest()[:12]
