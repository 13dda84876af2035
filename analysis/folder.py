"""Result folders: written whole or not at all.

Everything is first written into a hidden folder on the same file system and renamed when it is complete.  Of a folder
that held an earlier result, ``summary.json`` goes first and comes back last, so that whatever stops the process, a
folder with a summary is complete.  A folder counts as an earlier result only if its summary is one of the same command,
or if writing one was stopped half-way.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from analysis.files import clear_stale, is_partial, partial_folder
from sim.errors import InputError
from sim.inputs.json import read_json

SUMMARY = "summary.json"


class Kind(NamedTuple):
    """What a command leaves in its folder.

    Attributes:
        keys: those of its summary, by which that is known from any other file of the name.
        owned: patterns of the names that it may write, and that go if they are not written again.
        marker: the file that holds the summary and marks a complete result.
        kept: names that may be there before the first result is complete, and that stay.
    """

    keys: tuple[str, ...]
    owned: tuple[str, ...]
    marker: str = SUMMARY
    kept: tuple[str, ...] = ()


@contextmanager
def result_folder(path: Path, kind: Kind) -> Iterator[Path]:
    """Yield a folder to write files into; on success they are *path*, on failure nothing has changed.

    Args:
        path: the folder to make or to bring up to date.  Its parents are made where they are missing.
        kind: of result.

    Raises InputError, before anything is computed, if *path* is a file, or holds files but no earlier result of this
    kind, or cannot be written to.
    """
    path = path.absolute()
    _refuse_foreign(path, kind)
    made = _missing_parents(path)
    with ExitStack() as stack:
        holder = _holder(path, made, stack)
        done = False
        try:
            stage = holder / "result"
            stage.mkdir()
            yield stage
            _move_into_place(stage, path, kind)
            done = True
        except OSError as error:
            # Those of reading a scenario are InputErrors already; what is left is a disk that is full or gone.
            if error.filename is not None and not str(error.filename).startswith(str(holder)):
                raise
            why = os.strerror(error.errno) if error.errno else error
            raise InputError(f"cannot write to '{path}': {why}") from None
        finally:
            stack.close()
            if not done:
                _remove_empty(made)


def _holder(path: Path, made: list[Path], stack: ExitStack) -> Path:
    """The hidden folder in which the result comes to be, on the same file system as *path*."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_stale(path.parent, path.name)
        return stack.enter_context(partial_folder(path if path.is_dir() else path.parent, path.name))
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"cannot write to '{path}': a folder on the way there is a file") from None
    except OSError as error:
        _remove_empty(made)
        raise InputError(f"cannot write to '{path}': {error.strerror}") from None


def _refuse_foreign(path: Path, kind: Kind) -> None:
    """Only a new folder, an empty one or an earlier result may be written to."""
    if not path.exists():
        if path.is_symlink():
            raise InputError(f"'{path}' is a link to nothing; give a folder")
        return
    if not path.is_dir():
        raise InputError(f"'{path}' is a file; results are written into a folder of their own")
    try:
        inside = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise InputError(f"cannot read the folder '{path}': {error.strerror}") from None
    inside = [name for name in inside if name not in kind.kept]
    files = [name for name in inside if not is_partial(name)]
    stopped = len(files) < len(inside) and all(_owns(kind, name) for name in files)
    if files and not stopped and not holds(path / kind.marker, kind.keys):
        what = f"{kind.marker} is not one" if kind.marker in files else f"no {kind.marker}"
        raise InputError(
            f"'{path}' holds files but no earlier result of this command ({what}); give a new or an empty folder, or "
            "remove it"
        )


def holds(file: Path, keys: Iterable[str]) -> bool:
    """Whether a file is a JSON object with these keys."""
    with suppress(InputError):
        return set(keys) <= read_json(file).keys()
    return False


def _owns(kind: Kind, name: str) -> bool:
    return name == kind.marker or any(fnmatch(name, pattern) for pattern in kind.owned)


def _missing_parents(path: Path) -> list[Path]:
    """The parents that will have to be made, innermost first."""
    return [parent for parent in path.parents if not parent.exists()]


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders that were made for nothing."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _move_into_place(stage: Path, path: Path, kind: Kind) -> None:
    """Make the staged files the contents of *path*."""
    if not path.exists():
        stage.rename(path)
        return
    (path / kind.marker).unlink(missing_ok=True)
    written = {entry.name for entry in stage.iterdir()}
    for name in sorted({entry.name for entry in path.iterdir()} - written):
        if _owns(kind, name):
            _remove(path / name)
    for name in sorted(written, key=lambda name: (name == kind.marker, name)):
        if (path / name).is_dir():
            _remove(path / name)
        (stage / name).replace(path / name)


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
