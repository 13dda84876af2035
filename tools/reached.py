"""Which lines of the kernel each litmus program runs, by profile: a mutant elsewhere need not be looked for there."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from coverage import Coverage

from scenarios.litmus_reader import find
from sim.explore.blame import ROOT
from sim.explore.check import builder
from sim.explore.explorer import Budget, Strategy, explore
from sim.explore.invariants import BY_NAME
from sim.explore.request import Request
from sim.explore.run import KernelRun
from sim.explore.strategies.pct import Pct
from sim.explore.strategies.random import Random

RUNS = 2  # executions by which a cell's lines are found, under each memory model
KERNEL = str(ROOT / "sim" / "kernel" / "*")
KEEP = 64  # cells after which what is known is kept
EVERYTHING = tuple(BY_NAME)  # invariants that may break meanwhile
Line = tuple[str, int]  # path from the project's root, number


class Cell(NamedTuple):
    """A litmus program under a profile, how many transitions an execution has, and the lines that it runs."""

    litmus: str
    profile: str
    steps: int
    lines: frozenset[Line]


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
            for number, cell in enumerate(pool.map(reached, *zip(*missing, strict=True), chunksize=8), 1):
                kept[keys[cell.litmus, cell.profile]] = [cell.steps, sorted(cell.lines)]
                if not number % KEEP or number == len(missing):
                    cache.write_text(json.dumps({"code": code, "cells": kept}), encoding="utf-8")
    return [Cell(*pair, kept[key][0], frozenset(map(tuple, kept[key][1]))) for pair, key in keys.items()]


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def reached(litmus: str, profile: str) -> Cell:
    """Run a few schedules of a program and note what they reach."""
    program, steps = find(litmus), 0
    strategies: tuple[tuple[str, Strategy], ...] = (("sc", Pct(1, RUNS)), ("tso", Random(1, RUNS)))
    tracer = Coverage(data_file=None, config_file=False, include=[KERNEL], messages=False)
    with tracer.collect():
        for memory, strategy in strategies:
            build = partial(builder(Request(program, profile, memory), KernelRun), muted=EVERYTHING)
            steps += explore(build, strategy, Budget(executions=RUNS)).steps
    data = tracer.get_data()
    paths = {name: str(Path(name).relative_to(ROOT)) for name in data.measured_files()}
    lines = frozenset((path, line) for name, path in paths.items() for line in data.lines(name) or ())
    return Cell(litmus, profile, steps // (2 * RUNS), lines)
