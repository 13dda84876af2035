"""Imports go downwards only, those inside functions and those for types included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# From the top; packages of one line may not import each other.
LAYERS = (
    ("sim.cli",),
    ("sim.experiments",),
    ("analysis",),
    ("scenarios",),
    ("sim.timed", "sim.explore"),
    ("sim.kernel",),
    ("sim.hardware",),
    ("sim.causes", "sim.workers"),
    ("sim.inputs",),
    ("sim.errors", "sim.version"),
    ("sim.signals",),
)
RUNS = {"sim.timed.paired.run_paired", "sim.timed.machine.TimedMachine", "sim.explore.explorer.Explorer"}


def layer(module: str) -> tuple[int, str] | None:
    """The place of a module's layer from the top, and its package; None for other people's."""
    for place, packages in enumerate(LAYERS):
        for package in packages:
            if module == package or module.startswith(f"{package}."):
                return place, package
    return None


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, by their whole names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def modules() -> list[Path]:
    """All files of the project's packages."""
    return sorted(file for package in ("sim", "scenarios", "analysis") for file in (ROOT / package).rglob("*.py"))


def test_imports_go_downwards() -> None:
    wrong = []
    for path in modules():
        own = layer(".".join(path.relative_to(ROOT).with_suffix("").parts))
        if own is None:  # sim/__init__.py and sim/__main__.py
            continue
        for name in imports(path):
            other = layer(name)
            if other is not None and other != own and other[0] <= own[0]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_analysis_runs_nothing() -> None:
    for path in (ROOT / "analysis").rglob("*.py"):
        assert not RUNS & set(imports(path)), path
