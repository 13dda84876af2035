"""Which local variables of a suspended generator can still be read.

What a procedure has left in a variable that it will write before it reads it decides nothing of what comes.  Found by
the classic backwards analysis over the byte code; an instruction that is not known to write only is taken for a read.
"""

from __future__ import annotations

import dis
from types import CodeType

_Live = frozenset[str]


def live_after(code: CodeType) -> dict[int, _Live]:
    """The local variables that may be read behind each instruction, by its offset in bytes."""
    instructions = list(dis.get_instructions(code))
    place = {instruction.offset: at for at, instruction in enumerate(instructions)}
    behind = [_successors(instruction, at, len(instructions), place) for at, instruction in enumerate(instructions)]
    caught: list[list[int]] = [[] for _ in instructions]  # where an exception in each instruction leads
    for entry in dis.Bytecode(code).exception_entries:  # type: ignore[attr-defined]
        for at, instruction in enumerate(instructions):
            if entry.start <= instruction.offset < entry.end:
                caught[at].append(place[entry.target])
    before: list[set[str]] = [set() for _ in instructions]
    after: list[set[str]] = [set() for _ in instructions]
    changed = True
    while changed:
        changed = False
        for at in range(len(instructions) - 1, -1, -1):
            after[at] = set().union(*(before[to] for to in behind[at] + caught[at]))
            now = _before(instructions[at], after[at]).union(*(before[to] for to in caught[at]))
            changed |= now != before[at]
            before[at] = now
    return {instruction.offset: frozenset(after[at]) for at, instruction in enumerate(instructions)}


def _successors(instruction: dis.Instruction, at: int, count: int, place: dict[int, int]) -> list[int]:
    """Where control goes after an instruction, exceptions apart."""
    found = []
    if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
        found.append(place[instruction.argval])
    final = instruction.opname.startswith(("RETURN_", "RAISE_", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD"))
    if not final and at + 1 < count:
        found.append(at + 1)
    return found


def _before(instruction: dis.Instruction, after: set[str]) -> set[str]:
    """What may be read from before an instruction on."""
    if instruction.opname == "STORE_FAST":
        return after - {instruction.argval}
    if "FAST" in instruction.opname:
        names = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
        return after | set(names)
    return after
