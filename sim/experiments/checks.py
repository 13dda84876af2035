"""Explorations of many cells: in several processes, and each only once as long as nothing that decides it changes."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError
from sim.experiments.inclusion import decided, may_decide
from sim.explore.alike import alike
from sim.explore.check import Result, check, crashed, replayed
from sim.explore.mirror import mirrored
from sim.explore.model import Differs
from sim.explore.request import Request
from sim.version import kernel_version
from sim.workers import Workers

if TYPE_CHECKING:
    from sim.experiments.store import Store

_FOR_PEOPLE = ("says", "covers", "where", "shipped")  # of a program: they decide nothing
_KEPT = [item.name for item in fields(Result) if item.name not in ("request", "counterexample")]


def explored(
    requests: Sequence[Request], jobs: int = 1, kept: Path | None = None, *, inclusion: bool = True
) -> Iterator[tuple[int, Result]]:
    """Check everything; yields (number of the request, its result) as each is done.

    Args:
        requests: what to check.
        jobs: processes.
        kept: a folder of finished cells; what it holds is not explored again, and what is explored is put there.
        inclusion: what holds under ``tso`` may decide what is asked of ``sc`` (:mod:`sim.experiments.inclusion`).

    Raises InputError if *kept* cannot be written to.
    """
    store = _store(kept) if kept is not None else None
    try:
        done = set()
        for number, result in _there(requests, store, inclusion=inclusion):
            done.add(number)
            yield number, result
        todo = [number for number in range(len(requests)) if number not in done]
        for number, result in _explore(requests, todo, jobs, inclusion=inclusion):
            if store is not None and _is_final(result):
                store.put(key(requests[number]), _row(result))
            yield number, result
    finally:
        if store is not None:
            store.remove_if_empty()


def _store(folder: Path) -> Store:
    """The store in a folder; loaded only if there is to be one."""
    from sim.experiments.store import Store

    return Store(folder)


def _there(requests: Sequence[Request], store: Store | None, *, inclusion: bool) -> Iterator[tuple[int, Result]]:
    """What is kept, and what that decides."""
    left: list[int] = []
    tso: dict[tuple[str, str], Result] = {}  # by program and profile
    for number, request in enumerate(requests):
        result = None if store is None else _from_store(store, request)
        if result is None:
            left.append(number)
            continue
        if request.memory == "tso":
            tso[request.litmus.name, request.profile] = result
        yield number, result
    for number in left if inclusion else ():
        request = requests[number]
        by = tso.get((request.litmus.name, request.profile))
        result = decided(request, by) if by is not None else None
        if result is not None:
            yield number, result


def _explore(
    requests: Sequence[Request], todo: list[int], jobs: int, *, inclusion: bool
) -> Iterator[tuple[int, Result]]:
    """Check what is not kept; several processes begin with what may take longest, so that they end together."""
    tasks = _tasks(requests, todo, inclusion=inclusion)
    if min(jobs, len(tasks)) <= 1:
        for task in tasks:
            yield from zip(task, _check([requests[number] for number in task]), strict=True)
        return
    with Workers(min(jobs, len(tasks))) as pool:
        longest_first = sorted(tasks, key=lambda task: _size(requests[task[0]]), reverse=True)
        futures = {pool.submit(_checked, [requests[number] for number in task]): task for task in longest_first}
        for future in as_completed(futures):
            yield from zip(futures[future], future.result(), strict=True)


def _tasks(requests: Sequence[Request], todo: list[int], *, inclusion: bool) -> list[list[int]]:
    """What is checked in one process: single requests, and those of which one may decide another, which comes later."""

    def related(one: Request, other: Request) -> bool:
        return inclusion and (may_decide(one, other) or may_decide(other, one)) or _go_together(one, other)

    tasks: list[list[int]] = []
    of_program: dict[str, list[list[int]]] = {}
    for number in todo:
        request = requests[number]
        met = of_program.setdefault(request.litmus.name, [])
        task = next((task for task in met if any(related(requests[other], request) for other in task)), None)
        if task is None:
            met.append(task := [])
            tasks.append(task)
        task.append(number)
    return [sorted(task, key=lambda number: requests[number].memory != "tso") for task in tasks]


def _go_together(one: Request, other: Request) -> bool:
    """Whether one exploration may decide both."""
    expected = one.litmus.violates.get(one.profile), one.litmus.violates.get(other.profile)
    return (
        not one.patches
        and replace(other, profile=one.profile) == one
        and expected[0] == expected[1]
        and alike(one.profile, other.profile)
    )


def _checked(requests: Sequence[Request]) -> list[Result]:
    """The results of requests that go together, once all are there."""
    return list(_check(requests))


def _check(requests: Sequence[Request]) -> Iterator[Result]:
    """The results of requests that go together, in their order: explored, unless an earlier one decides."""
    found: list[Result] = []
    for at, request in enumerate(requests):
        result = next((known for by in found if (known := _known(request, by)) is not None), None)
        if result is None:
            result = _one(request, next((other for other in requests[at + 1 :] if _go_together(request, other)), None))
        found.append(result)
        yield replace(result, request=request)


def _known(request: Request, by: Result) -> Result | None:
    """The result of a request, if that of another one, or of it and one like it, decides it."""
    alone = replace(by.request, also="")
    if by.request.also and request == replace(alone, profile=by.request.also):
        return _result(request, _row(by))
    return decided(request, replace(by, request=alone))


def _one(request: Request, other: Request | None = None) -> Result:
    """The result of a request, and of another one if nothing is looked at in which they differ.

    An exception of what it explores is a result, and ends nothing else.
    """
    if other is not None:
        with suppress(Differs):
            return _one(replace(request, also=other.profile))
    try:
        return check(request)
    except (InputError, Differs):
        raise
    except (Exception, SystemExit, GeneratorExit) as error:  # a kernel, modelled or patched, or the model is broken
        return crashed(request, error)


def _size(request: Request) -> tuple[int, int, bool]:
    """What the time of an exploration goes by: states multiply with each CPU, and with the operations of each."""
    litmus = request.litmus
    operations = [sum(1 + len(lwp.ops) for lwp in litmus.lwps if lwp.cpu == cpu) for cpu in range(litmus.cpus)]
    return litmus.cpus, math.prod(1 + number for number in operations), request.memory == "tso"


def key(request: Request) -> str:
    """What decides a result: the sources of kernel and exploration, the program, and how it is explored."""
    litmus, budget = request.litmus, request.budget
    program = [(item.name, getattr(litmus, item.name)) for item in fields(litmus) if item.name not in _FOR_PEOPLE]
    how = (
        request.profile, request.memory, [patch.digest for patch in request.patches], request.strategy, request.seed,
        request.runs, request.depth, request.preemptions, request.deterministic, request.mirror, budget.executions,
        budget.steps, budget.states, budget.seconds,
    )  # fmt: skip
    return hashlib.sha256(repr((kernel_version(), _ordered(program), how)).encode()).hexdigest()


def _ordered(value: Any) -> Any:
    """The same with sets and tables in an order that does not depend on the process."""
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, frozenset):
        return sorted(value)
    return [_ordered(part) for part in value] if type(value) in (list, tuple) else value


def _is_final(result: Result) -> bool:
    """Whether the same exploration would give the same again: not if the clock ended it, or memory perhaps.

    What was decided by another result is so again as long as that one is asked for, too.
    """
    if result.decided_under:
        return False
    return result.verdict != "crashed" and (result.verdict != "incomplete" or result.request.budget.seconds is None)


def _row(result: Result) -> dict[str, Any]:
    """A result as it is kept; of a counterexample only roles and choices, which lead to the rest."""
    example = result.counterexample
    broke = example and [example.litmus.removeprefix(result.request.litmus.name)[1:], list(example.choices)]
    return {name: getattr(result, name) for name in _KEPT} | {"broke": broke}


def _from_store(store: Store, request: Request) -> Result | None:
    """What is kept of a request, if anything is and it can be followed."""
    row = store.get(key(request))
    if row is None or sorted(row) != sorted([*_KEPT, "broke"]):
        return None
    return _result(request, row)


def _result(request: Request, row: dict[str, Any]) -> Result | None:
    """The result of a request of which a row says what was found; None if its counterexample breaks nothing."""
    began = time.perf_counter()
    broke, example = row["broke"], None
    if broke is not None:
        roles, choices = broke
        litmus = mirrored(request.litmus, [int(role) for role in roles]) if roles else request.litmus
        example = replayed(replace(request, litmus=litmus), tuple(choices))
        if example is None:
            return None
    known = {name: row[name] for name in _KEPT} | {"seconds": time.perf_counter() - began}
    return Result(request=request, counterexample=example, **known)
