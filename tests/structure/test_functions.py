"""Functions of more than 40 lines need a reason."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FILES = sorted(path for package in ("sim", "scenarios", "analysis") for path in (ROOT / package).rglob("*.py"))
MOST_LINES = 40

REASONS = {
    ("sim/hardware/paging.py", "walk"): "one pass in the order in which hardware looks, on the hot path",
    ("sim/hardware/quick_mmu.py", "walk"): "the same pass without calls, because they are what it saves",
    ("sim/hardware/quick_mmu.py", "_walker"): "what makes it",
    ("sim/experiments/runs.py", "run_scenario"): "a third are its parameters and what they mean",
    ("sim/explore/driver.py", "advance"): "the loop of every transition: calls would take as long as its steps",
    ("sim/kernel/kernel.py", "__init__"): "the kernel's global variables, one after another",
    ("sim/kernel/ctxswitch.py", "mi_switch"): "one procedure of NetBSD's, in its order",
}


def long_functions(path: Path) -> list[str]:
    """Names of the functions that are too long."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MOST_LINES
    ]


def test_long_functions_have_a_reason() -> None:
    found = {(str(path.relative_to(ROOT)), name) for path in FILES for name in long_functions(path)}
    assert found <= REASONS.keys()
