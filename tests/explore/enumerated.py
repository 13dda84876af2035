"""All final states of tiny programs by recursion over explicit states; shares nothing with the explored model.

A thread is a list of operations: ``("load", x)``, ``("store", x, value)``, ``("add", x)``, ``("cas", x, old, new)``,
``("spin", x, parity)``, ``("lock", m)``, ``("unlock", m)``.  Two words, two mutexes.
"""

from __future__ import annotations

from typing import Any

Program = list[list[tuple[Any, ...]]]
Buffers = tuple[tuple[tuple[Any, int], ...], ...]


def put(items: tuple[Any, ...], at: int, value: Any) -> tuple[Any, ...]:
    """The tuple with one item changed."""
    return (*items[:at], value, *items[at + 1 :])


def finals(program: Program, tso: bool) -> set[Any]:
    """(everybody ended, memory, what each thread saw) of every state in which nothing can move."""
    found: set[Any] = set()
    seen: set[Any] = set()

    def visit(state: tuple[Any, ...]) -> None:
        if state in seen:
            return
        seen.add(state)
        following = [s for t in range(len(program)) for s in (*drained(state, t), *stepped(program, state, t, tso))]
        for each in following:
            visit(each)
        if not following:
            pcs, memory, _, _, saw = state
            found.add((pcs == tuple(map(len, program)), memory, saw))

    nobody = ((),) * len(program)
    visit(((0,) * len(program), (0, 0), (-1, -1), nobody, nobody))
    return found


def drained(state: tuple[Any, ...], t: int) -> list[tuple[Any, ...]]:
    """The oldest buffered store of thread *t* reaches memory; "free" stands for a mutex given back."""
    pcs, memory, owners, buffers, saw = state
    if not buffers[t]:
        return []
    (where, value), *rest = buffers[t]
    left = put(buffers, t, tuple(rest))
    if where == "free":
        return [(pcs, memory, put(owners, value, -1), left, saw)]
    return [(pcs, put(memory, where, value), owners, left, saw)]


def stepped(program: Program, state: tuple[Any, ...], t: int, tso: bool) -> list[tuple[Any, ...]]:
    """Thread *t* makes its next operation, if it can."""
    pcs, memory, owners, buffers, saw = state
    if pcs[t] == len(program[t]):
        return []
    verb, where, *rest = program[t][pcs[t]]
    pcs = put(pcs, t, pcs[t] + 1)
    if verb in ("store", "unlock"):
        entry = (where, rest[0]) if verb == "store" else ("free", where)
        buffered = (pcs, memory, owners, put(buffers, t, (*buffers[t], entry)), saw)
        return [buffered] if tso else drained(buffered, t)
    if verb in ("load", "spin"):
        value = next((v for x, v in reversed(buffers[t]) if x == where), memory[where])
        if verb == "spin" and value % 2 != rest[0]:
            return []
        return [(pcs, memory, owners, buffers, put(saw, t, (*saw[t], value)))]
    if buffers[t]:
        return []
    if verb == "lock":
        return [(pcs, memory, put(owners, where, t), buffers, saw)] if owners[where] < 0 else []
    old = memory[where]
    new = old + 1 if verb == "add" else rest[1] if old == rest[0] else old
    return [(pcs, put(memory, where, new), owners, buffers, put(saw, t, (*saw[t], old)))]
