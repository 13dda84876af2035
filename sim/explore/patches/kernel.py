"""The kernel as patches have it: its modules, and all that build on them, imported once more from patched sources.

To set attributes of the modules that are there would miss what other modules have imported by name, constants that
were worked out at import, and classes made from others.  So while a patched kernel is in use, ``sys.modules`` has
modules of its own; afterwards the former ones are back, and nothing of the patched ones is left in them.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_loader
from pathlib import PurePosixPath
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, NamedTuple

from sim.errors import InputError
from sim.explore.blame import MARK, ROOT
from sim.explore.model import Violation
from sim.explore.patches import Patch, names, sources
from sim.explore.watchdog import watchdog

if TYPE_CHECKING:
    from sim.explore.fingerprint import Fingerprint
    from sim.explore.run import KernelRun

PACKAGE = "sim"
# Whose classes are caught or compared on both sides, and which know nothing of the kernel.
SHARED = ("sim.errors", "sim.explore.model")


class Kernel(NamedTuple):
    """What explorations need of a kernel.

    Attributes:
        run: executions of it.
        fingerprint: what knows their states.
        profiles, isolating: the names of its designs, and of those that isolate.
    """

    run: type[KernelRun]
    fingerprint: type[Fingerprint]
    profiles: tuple[str, ...]
    isolating: tuple[str, ...]


@contextmanager
def patched(patches: tuple[Patch, ...]) -> Iterator[Kernel]:
    """The kernel with the patches, for the body's time; without any, the kernel as it is.

    InputError if a patch does not apply, is not Python, or can't be imported.  Whatever exception ends the body gets a
    note that names the patches.  What it prints goes to standard error.
    """
    if not patches:
        yield _kernel()
        return
    finder = _Finder({_module(path): (path, source) for path, source in sources(patches).items()})
    before = _sim_modules()
    for name in before:
        if name not in SHARED:
            del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        with redirect_stdout(sys.stderr):  # what a patch prints to see what happens is no part of what is found
            yield _import(before[PACKAGE], patches)
    except (Exception, SystemExit, GeneratorExit) as error:
        error.add_note(f"with {names(patches)}: an error of the patch, unless the kernel as it is raises the same")
        raise
    finally:
        sys.meta_path.remove(finder)
        for name in _sim_modules():
            del sys.modules[name]
        sys.modules.update(before)


def _sim_modules() -> dict[str, ModuleType]:
    return {name: it for name, it in sys.modules.items() if name == PACKAGE or name.startswith(PACKAGE + ".")}


def _kernel() -> Kernel:
    """What is imported now."""
    designs = import_module("sim.kernel.designs")
    return Kernel(
        import_module("sim.explore.run").KernelRun,
        import_module("sim.explore.fingerprint").Fingerprint,
        tuple(designs.PROFILES),
        designs.isolating(),
    )


def _import(package: ModuleType, patches: Sequence[Patch]) -> Kernel:
    """Import everything that a driver needs."""
    spec = package.__spec__
    assert spec is not None
    assert spec.loader is not None
    # From where it came before, whatever the present search path says.
    sys.modules[PACKAGE] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[PACKAGE])
    try:
        with watchdog():
            return _kernel()
    except Violation as endless:
        raise InputError(f"the kernel with {names(patches)} cannot be imported: {endless.broken.reason}") from None
    except (Exception, SystemExit) as error:  # whatever a module does: without the patches all can be imported
        place = _place(error.__traceback__)
        raise InputError(
            f"the kernel with {names(patches)} cannot be imported: {place}{type(error).__name__}: {error}"
        ) from None


def _place(trace: TracebackType | None) -> str:
    """File and line of the innermost frame in this project."""
    for frame in reversed(traceback.extract_tb(trace)):
        path = PurePosixPath(frame.filename.removesuffix(MARK))
        if path.is_relative_to(ROOT / PACKAGE) and path.parts[-2] != "patches":
            return f"{path.relative_to(ROOT)}:{frame.lineno}: "
    return ""


def _module(path: PurePosixPath) -> str:
    """The module of a file."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class _Finder(MetaPathFinder):
    """Finds modules that patches have changed, made or deleted; all others are found as usual."""

    def __init__(self, modules: Mapping[str, tuple[PurePosixPath, str | None]]) -> None:
        self._modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a patched module."""
        if fullname not in self._modules:
            return None
        file, source = self._modules[fullname]
        if source is None:
            raise ModuleNotFoundError(f"No module named '{fullname}'", name=fullname)
        return spec_from_loader(fullname, _Loader(f"{ROOT / file}{MARK}", source))


class _Loader(SourceLoader):
    """Loads one module from memory; tracebacks ask it for lines, since no file has its name."""

    def __init__(self, file: str, source: str) -> None:
        self._file = file
        self._source = source

    def get_filename(self, fullname: str) -> str:
        """Return what tracebacks call the file."""
        return self._file

    def get_data(self, path: str) -> bytes:
        """Return the source."""
        return self._source.encode()
