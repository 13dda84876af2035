"""Explorations of many cells: in several processes, and each only once as long as nothing that decides it changes."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.explore.check import Result, check, replayed
from sim.explore.mirror import mirrored
from sim.explore.request import Request
from sim.version import kernel_version
from sim.workers import Workers

if TYPE_CHECKING:
    from sim.experiments.store import Store

_KEPT = [item.name for item in fields(Result) if item.name not in ("request", "counterexample")]


def explored(requests: Sequence[Request], jobs: int = 1, kept: Path | None = None) -> Iterator[tuple[int, Result]]:
    """Check everything; yields (number of the request, its result) as each is done.

    Args:
        requests: what to check.
        jobs: processes.
        kept: a folder of finished cells; what it holds is not explored again, and what is explored is put there.

    Raises InputError if *kept* cannot be written to.
    """
    store = _store(kept) if kept is not None else None
    try:
        todo = []
        for number, request in enumerate(requests):
            result = None if store is None else _from_store(store, request)
            if result is None:
                todo.append(number)
            else:
                yield number, result
        for number, result in _explore(requests, todo, jobs):
            if store is not None and _is_final(result):
                store.put(_key(requests[number]), _row(result))
            yield number, result
    finally:
        if store is not None:
            store.remove_if_empty()


def _store(folder: Path) -> Store:
    """The store in a folder; loaded only if there is to be one."""
    from sim.experiments.store import Store

    return Store(folder)


def _explore(requests: Sequence[Request], todo: list[int], jobs: int) -> Iterator[tuple[int, Result]]:
    """Check what is not kept; several processes begin with what may take longest, so that they end together."""
    if min(jobs, len(todo)) <= 1:
        for number in todo:
            yield number, check(requests[number])
        return
    with Workers(min(jobs, len(todo))) as pool:
        longest_first = sorted(todo, key=lambda number: _size(requests[number]), reverse=True)
        futures = {pool.submit(check, requests[number]): number for number in longest_first}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _size(request: Request) -> tuple[int, int, bool]:
    """What the time of an exploration goes by: states multiply with each CPU, and with the operations of each."""
    litmus = request.litmus
    operations = [sum(1 + len(lwp.ops) for lwp in litmus.lwps if lwp.cpu == cpu) for cpu in range(litmus.cpus)]
    return litmus.cpus, math.prod(1 + number for number in operations), request.memory == "tso"


def _key(request: Request) -> str:
    """What decides a result: the sources of kernel and exploration, the program, and how it is explored."""
    litmus, budget = request.litmus, request.budget
    program = (litmus.cpus, litmus.slots, litmus.mwait, sorted(litmus.pmaps.items()), litmus.lwps,
               sorted(litmus.violates.items()), litmus.outcomes)  # fmt: skip
    how = (
        request.profile, request.memory, [patch.digest for patch in request.patches], request.strategy, request.seed,
        request.runs, request.depth, request.preemptions, request.deterministic, request.mirror, budget.executions,
        budget.steps, budget.states, budget.seconds,
    )  # fmt: skip
    return hashlib.sha256(repr((kernel_version(), litmus.name, program, how)).encode()).hexdigest()


def _is_final(result: Result) -> bool:
    """Whether the same exploration would give the same again: not if the clock ended it."""
    return result.verdict != "incomplete" or result.request.budget.seconds is None


def _row(result: Result) -> dict[str, Any]:
    """A result as it is kept; of a counterexample only roles and choices, which lead to the rest."""
    example = result.counterexample
    broke = example and [example.litmus.removeprefix(result.request.litmus.name)[1:], list(example.choices)]
    return {name: getattr(result, name) for name in _KEPT} | {"broke": broke}


def _from_store(store: Store, request: Request) -> Result | None:
    """What is kept of a request, if anything is and it can be followed."""
    began = time.perf_counter()
    row = store.get(_key(request))
    if row is None or sorted(row) != sorted([*_KEPT, "broke"]):
        return None
    broke, example = row.pop("broke"), None
    if broke is not None:
        roles, choices = broke
        litmus = mirrored(request.litmus, [int(role) for role in roles]) if roles else request.litmus
        example = replayed(replace(request, litmus=litmus), tuple(choices))
        if example is None:
            return None
    row["seconds"] = time.perf_counter() - began
    return Result(request=request, counterexample=example, **row)
