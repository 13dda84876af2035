"""Parquet files are read without Arrow's threads: one that outlives the interpreter aborts the process."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
READS = {"read_parquet", "read_table", "iter_batches", "read_row_group"}


def test_parquet_files_are_read_without_threads() -> None:
    calls = [
        (path.name, call)
        for package in ("sim", "analysis")
        for path in (ROOT / package).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in READS
    ]
    threaded = [
        f"{name}:{call.lineno}"
        for name, call in calls
        if "use_threads=False" not in [ast.unparse(keyword) for keyword in call.keywords]
    ]
    assert len(calls) >= 3
    assert not threaded
