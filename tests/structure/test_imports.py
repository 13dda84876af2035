"""Which module imports which, read from the sources; imports for types alone count, and those inside functions."""

from __future__ import annotations

import ast
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("sim", "scenarios", "analysis")

# From the top: a module imports from its own layer and those below.  Whatever else is in sim is at the bottom.
LAYERS = (
    ("sim.__main__",), ("sim.cli",), ("sim.experiments", "sim.record"), ("analysis",), ("scenarios",),
    ("sim.timed", "sim.explore"), ("sim.kernel",), ("sim.hardware",), ("sim",),
)  # fmt: skip

# A procedure of the kernel needs the kernel, which has the design, which is made of such procedures: NetBSD has them
# as one circle of headers.  Nothing joins it unnoticed.
CIRCLE_OF_THE_KERNEL = {
    "sim.kernel.contexts", "sim.kernel.cpuinfo", "sim.kernel.ctxswitch", "sim.kernel.designs.base",
    "sim.kernel.designs.svs", "sim.kernel.entry", "sim.kernel.hooks", "sim.kernel.hotpatch", "sim.kernel.kernel",
    "sim.kernel.ldt",
    "sim.kernel.lwp", "sim.kernel.mutex", "sim.kernel.pmap", "sim.kernel.rwlock", "sim.kernel.sched",
    "sim.kernel.segments", "sim.kernel.shootdown", "sim.kernel.shootdown2018", "sim.kernel.shootdown2020",
    "sim.kernel.svs", "sim.kernel.traps",
}  # fmt: skip


def modules() -> dict[str, Path]:
    """Every module by its name."""
    found = {}
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(source: str, known: dict[str, Path]) -> set[str]:
    """Modules that a source imports from; a name taken from a package counts as the module of that name, if any."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else str(node.module) for name in names}
    return found & known.keys()


@pytest.fixture(scope="module")
def graph() -> nx.DiGraph[str]:
    known = modules()
    made: nx.DiGraph[str] = nx.DiGraph()
    made.add_nodes_from(known)
    for name, path in known.items():
        made.add_edges_from((name, other) for other in imported(path.read_text(encoding="utf-8"), known) - {name})
    return made


def layer(module: str) -> int:
    """The number of a module's layer, 0 at the top."""
    return next(number for number, names in enumerate(LAYERS) for name in names if f"{module}.".startswith(f"{name}."))


def test_imports_of_every_kind_are_seen() -> None:
    known = dict.fromkeys(("sim", "sim.a", "sim.b", "sim.c", "sim.d"), ROOT)
    source = """
import sim.a
from sim import b
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from sim.c import C
def f():
    from sim.d import g, h
"""
    assert imported(source, known) == {"sim.a", "sim.b", "sim.c", "sim.d"}


def test_no_circle_outside_the_kernel(graph: nx.DiGraph[str]) -> None:
    circles = [circle for circle in nx.strongly_connected_components(graph) if len(circle) > 1]
    assert [sorted(circle - CIRCLE_OF_THE_KERNEL) for circle in circles] == [[]] * len(circles)
    assert set().union(*circles) == CIRCLE_OF_THE_KERNEL, "what has left the circle is taken off the list"


def test_layers_go_one_way(graph: nx.DiGraph[str]) -> None:
    wrong = [(a, b) for a, b in graph.edges if b not in PACKAGES and layer(a) > layer(b)]
    assert wrong == []


def test_the_two_drivers_know_nothing_of_each_other(graph: nx.DiGraph[str]) -> None:
    for one, other in (("sim.timed", "sim.explore"), ("sim.explore", "sim.timed")):
        assert not [(a, b) for a, b in graph.edges if f"{a}.".startswith(f"{one}.") and b.startswith(f"{other}.")]
