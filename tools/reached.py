"""Which lines of the kernel each litmus program runs, by profile: a mutant elsewhere need not be looked for there."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from scenarios.litmus_reader import find
from sim.explore.check import builder
from sim.explore.explorer import Budget, explore
from sim.explore.patches import ROOT
from sim.explore.request import Request
from sim.explore.run import KernelRun
from sim.explore.strategies.pct import Pct

RUNS = 3  # executions by which a cell's lines are found
KERNEL = f"{ROOT / 'sim' / 'kernel'}/"
Line = tuple[str, int]  # path from the project's root, number


class Cell(NamedTuple):
    """A litmus program under a profile, how many transitions an execution has, and the lines that it runs."""

    litmus: str
    profile: str
    steps: int
    lines: frozenset[Line]


class _Lines:
    """Notes lines of the kernel as they run."""

    def __init__(self) -> None:
        self.found: set[Line] = set()
        self._paths: dict[str, str] = {}

    def call(self, frame: FrameType, _event: str, _arg: object) -> Callable[..., Any] | None:
        """A frame is entered: its lines count if it is the kernel's."""
        name = frame.f_code.co_filename
        if not name.startswith(KERNEL):
            return None
        self._paths.setdefault(name, name.removeprefix(f"{ROOT}/"))
        self.found.add((self._paths[name], frame.f_lineno))
        return self.line

    def line(self, frame: FrameType, _event: str, _arg: object) -> Callable[..., Any]:
        """A line runs."""
        self.found.add((self._paths[frame.f_code.co_filename], frame.f_lineno))
        return self.line


def all_reached(pairs: list[tuple[str, str]], cache: Path, jobs: int) -> list[Cell]:
    """The cells of programs and profiles; *cache* keeps them for the next call on the same sources."""
    sources = [*sorted((ROOT / "sim").rglob("*.py")), *sorted((ROOT / "scenarios" / "litmus").glob("*.toml"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources) + repr(pairs).encode()).hexdigest()
    if cache.exists():
        kept = json.loads(cache.read_text(encoding="utf-8"))
        if kept["digest"] == digest:
            return [
                Cell(name, profile, steps, frozenset(map(tuple, lines)))
                for name, profile, steps, lines in kept["cells"]
            ]
    with ProcessPoolExecutor(jobs) as pool:
        cells = list(pool.map(reached, *zip(*pairs, strict=True), chunksize=8))
    rows = [(cell.litmus, cell.profile, cell.steps, sorted(cell.lines)) for cell in cells]
    cache.write_text(json.dumps({"digest": digest, "cells": rows}), encoding="utf-8")
    return cells


def reached(litmus: str, profile: str) -> Cell:
    """Run a few schedules of a program and note what they reach."""
    program, lines = find(litmus), _Lines()
    request = Request(program, profile, "sc")
    build = builder(request, KernelRun)
    before = sys.gettrace()
    sys.settrace(lines.call)
    try:
        out = explore(lambda: build(muted=program.violates.get(profile, ())), Pct(1, RUNS), Budget(executions=RUNS))
    finally:
        sys.settrace(before)
    return Cell(litmus, profile, out.steps // max(out.executions, 1), frozenset(lines.found))
