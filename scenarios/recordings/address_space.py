"""What a finished system call did to the address space, from its number, arguments and result."""

from __future__ import annotations

from scenarios.recordings.linux import MADV_DONTNEED, MADV_FREE, MAP_FIXED, PROT_WRITE, fold, is_user
from scenarios.recordings.tasks import Task
from sim.kernel import program

MMAP, MPROTECT, MUNMAP, BRK, MREMAP, MADVISE = 9, 10, 11, 12, 25, 28


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
        task.put("k", program.Map(fold(value), fold(value) + size, bool(args[2] & PROT_WRITE)))
        return moved
    if nr == MUNMAP or nr == MADVISE and args[2] in (MADV_DONTNEED, MADV_FREE):
        return _unmap(task, start, start + size)
    if nr == MREMAP and (value != start or args[2] < size):
        return _unmap(task, start + (args[2] if value == start else 0), start + size)
    if nr == MPROTECT:
        _protect(task, fold(start), size, args[2])
    return 0


def _brk(task: Task, value: int) -> int:
    """The break moved: memory below it comes, above it goes."""
    space = task.space
    moved = 0
    if space.brk and value < space.brk:
        moved = _unmap(task, value, space.brk)
    elif space.brk and value > space.brk:
        task.put("k", program.Map(fold(space.brk), fold(value)))
    space.brk = value
    return moved


def _protect(task: Task, low: int, size: int, allowed: int) -> None:
    """mprotect: nothing allowed, reading only, or writing too."""
    write = bool(allowed & PROT_WRITE)
    if not allowed:
        task.space.forget(low, low + size)
    elif not write:
        task.space.read_only(low, low + size)
    task.put("k", program.Protect(low, low + size, write, not allowed))


def _unmap(task: Task, start: int, end: int) -> int:
    low = fold(start)
    task.space.forget(low, low + end - start)
    task.put("k", program.Unmap(low, low + end - start))
    return int(low != start)
