"""What a finished system call did to the address space, from its number, arguments and result."""

from __future__ import annotations

from scenarios.recordings.linux import (
    MADV_DONTNEED,
    MADV_FREE,
    MAP_FIXED,
    MOVED_FROM,
    PROT_WRITE,
    USER_END,
    fold,
    is_user,
)
from scenarios.recordings.tasks import Task
from sim.kernel import program

MMAP, MPROTECT, MUNMAP, BRK, MREMAP, MADVISE, PKEY_MPROTECT = 9, 10, 11, 12, 25, 28, 329
MREMAP_FIXED = 2


def map_operation(task: Task, value: int) -> int:
    """Put the operations of the task's open system call, which returned *value*; return how many ranges were moved."""
    nr = task.nr
    if nr == BRK:
        return _brk(task, value)
    # Events of single calls print no more arguments than the call has.
    args = (*task.args, 0, 0, 0, 0)[:6]
    if not task.args or not is_user(args[0] or value):
        return 0
    start, size = args[0], args[1]
    if nr == MMAP:
        moved = 0
        if args[3] & MAP_FIXED:
            moved = _unmap(task, value, value + size)
        for low, high in _folded(value, value + size):
            task.operate(program.Map(low, high, bool(args[2] & PROT_WRITE)))
        return moved
    if nr == MUNMAP or nr == MADVISE and args[2] in (MADV_DONTNEED, MADV_FREE):
        return _unmap(task, start, start + size)
    if nr == MREMAP and (value != start or args[2] < size):
        replaced = _unmap(task, value, value + args[2]) if args[3] & MREMAP_FIXED else 0
        return replaced + _unmap(task, start + (args[2] if value == start else 0), start + size)
    if nr in (MPROTECT, PKEY_MPROTECT):
        for low, high in _folded(start, start + size):
            _protect(task, low, high, args[2])
    return 0


def _brk(task: Task, value: int) -> int:
    """The break moved: memory below it comes, above it goes."""
    space = task.space
    moved = 0
    if not is_user(value):
        return 0
    if space.brk and value < space.brk:
        moved = _unmap(task, value, space.brk)
    elif space.brk and value > space.brk:
        for low, high in _folded(space.brk, value):
            task.operate(program.Map(low, high))
    space.brk = value
    return moved


def _protect(task: Task, low: int, high: int, allowed: int) -> None:
    """mprotect: nothing allowed, reading only, or writing too."""
    write = bool(allowed & PROT_WRITE)
    if not allowed:
        task.space.forget(low, high)
    elif not write:
        task.space.read_only(low, high)
    task.operate(program.Protect(low, high, write, not allowed))


def _unmap(task: Task, start: int, end: int) -> int:
    """Put the removal of a range; return whether a part of it was moved."""
    for low, high in _folded(start, end):
        task.space.forget(low, high)
        task.operate(program.Unmap(low, high))
    return int(fold(end - 1) != end - 1)


def _folded(start: int, end: int) -> list[tuple[int, int]]:
    """Where a range lies in the model: in one piece, or two if only its end has to move."""
    end = min(end, USER_END)
    if start < MOVED_FROM < end:
        return [(start, MOVED_FROM), (fold(MOVED_FROM), fold(end - 1) + 1)]
    return [(fold(start), fold(end - 1) + 1)] if start < end else []
