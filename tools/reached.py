"""Which lines of the kernel each litmus program runs, by profile: a mutant elsewhere need not be looked for there."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from scenarios.litmus_reader import find
from sim.explore.check import builder
from sim.explore.explorer import Budget, Strategy, explore
from sim.explore.invariants import BY_NAME
from sim.explore.patches import ROOT
from sim.explore.request import Request
from sim.explore.run import KernelRun
from sim.explore.strategies.pct import Pct
from sim.explore.strategies.random import Random

RUNS = 4  # executions by which a cell's lines are found, under each memory model
KERNEL = f"{ROOT / 'sim' / 'kernel'}/"
EVERYTHING = tuple(BY_NAME)  # invariants that may break meanwhile
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
    code = _digest(sorted((ROOT / "sim").rglob("*.py")))
    marks = {litmus: _digest([Path(find(litmus).where)]) for litmus in {litmus for litmus, _ in pairs}}
    old: dict[str, Any] = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {"code": ""}
    kept: dict[str, Any] = old["cells"] if old["code"] == code else {}
    keys = {pair: f"{pair[0]} {pair[1]} {marks[pair[0]]}" for pair in pairs}
    missing = [pair for pair, key in keys.items() if key not in kept]
    if missing:
        with ProcessPoolExecutor(jobs) as pool:
            for cell in pool.map(reached, *zip(*missing, strict=True), chunksize=8):
                kept[keys[cell.litmus, cell.profile]] = [cell.steps, sorted(cell.lines)]
        cache.write_text(json.dumps({"code": code, "cells": kept}), encoding="utf-8")
    return [Cell(*pair, kept[key][0], frozenset(map(tuple, kept[key][1]))) for pair, key in keys.items()]


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def reached(litmus: str, profile: str) -> Cell:
    """Run a few schedules of a program and note what they reach."""
    program, lines, steps = find(litmus), _Lines(), 0
    before = sys.gettrace()
    sys.settrace(lines.call)
    try:
        strategies: tuple[tuple[str, Strategy], ...] = (("sc", Pct(1, RUNS)), ("tso", Random(1, RUNS)))
        for memory, strategy in strategies:
            build = partial(builder(Request(program, profile, memory), KernelRun), muted=EVERYTHING)
            steps += explore(build, strategy, Budget(executions=RUNS)).steps
    finally:
        sys.settrace(before)
    return Cell(litmus, profile, steps // (2 * RUNS), frozenset(lines.found))
