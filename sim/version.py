"""The version of the code that makes numbers: a hash of it, and what it stands on."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import cache
from importlib import metadata, resources
from pathlib import Path

PACKAGES = ("sim", "scenarios")
LIBRARIES = ("simpy", "networkx")


@cache
def code_version() -> str:
    """Hash of all code and data that a run's numbers can depend on: the commands' own files are left out."""
    return _hash(PACKAGES, lambda parts: parts[0] != "cli")


@cache
def kernel_version() -> str:
    """Hash of the code that verdicts depend on, with what it stands on: hardware, kernel, exploration."""
    code = _hash(PACKAGES[:1], lambda parts: parts[0] in ("hardware", "kernel", "explore", "errors.py"))
    return f"{code}, Python {sys.version_info.major}.{sys.version_info.minor}, networkx {metadata.version('networkx')}"


def _hash(packages: tuple[str, ...], counts: Callable[[tuple[str, ...]], bool]) -> str:
    """Hash of the code and data of packages, of those files whose path within them *counts*."""
    digest = hashlib.sha256()
    for package in packages:
        root = Path(str(resources.files(package)))
        for file in sorted(root.rglob("*")):
            if file.suffix in (".py", ".toml") and counts(file.relative_to(root).parts):
                digest.update(f"{package}/{file.relative_to(root).as_posix()}\0".encode())
                digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def version() -> str:
    """The code with what it stands on: the hash of it, the version of Python and of the libraries of a run."""
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return ", ".join([code_version(), python, *(f"{name} {metadata.version(name)}" for name in LIBRARIES)])


def release() -> str:
    """Return the installed version, or ``0`` when run from a tree that was never installed."""
    try:
        return metadata.version("svs-sim")
    except metadata.PackageNotFoundError:
        return "0"
