"""rwlock(9), as vm_map uses it: one word, many readers or one writer, and a writer that waits keeps new readers out.

No modelled path sleeps while it holds one, and the kernel is not preempted here, so the owner is always running and
waiting means spinning, as rw_vector_enter does while the owner is on a CPU.  Source: sys/kern/kern_rwlock.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.memory import Words
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Proc, compare_and_swap, load, rmw, wait

if TYPE_CHECKING:
    from sim.kernel.lwp import Lwp

WRITE_WANTED, WRITE_LOCKED, READ_INCR = 2, 4, 32


class TakesRwLock(Procedure):
    """A procedure that takes a reader/writer lock."""

    rw_enter_owner = site("rw_enter read owner")
    rw_enter_cas = site("rw_enter cas")
    rw_exit_owner = site("rw_exit read owner")
    rw_exit_cas = site("rw_exit cas")


class RwLock:
    """A reader/writer lock; ``rw_owner`` counts readers in units of READ_INCR, ``holders`` is for messages only."""

    __slots__ = ("holders", "rw_owner")

    def __init__(self, name: str) -> None:
        self.rw_owner = Words(f"{name}.rw_owner")
        self.holders: list[Lwp] = []


def _no_writer(owner: int) -> bool:
    return not owner & (WRITE_WANTED | WRITE_LOCKED)


def _nobody(owner: int) -> bool:
    return not owner & ~WRITE_WANTED


class RwVectorEnter(Procedure, name="rw_vector_enter", cause="lock wait"):
    spin = site("spin")


def rw_enter_read(lock: RwLock, lwp: Lwp, who: type[TakesRwLock]) -> Proc:
    """Take *lock* for reading; *who* is the procedure that takes it, for *lwp*."""
    while True:
        owner = yield load(lock.rw_owner, 0, who.rw_enter_owner)
        if not _no_writer(owner):
            yield wait(lock.rw_owner, 0, _no_writer, RwVectorEnter.spin)
            continue
        if (yield rmw(lock.rw_owner, 0, compare_and_swap, (owner, owner + READ_INCR), who.rw_enter_cas)) == owner:
            lock.holders.append(lwp)
            return


def rw_enter_write(lock: RwLock, lwp: Lwp, who: type[TakesRwLock]) -> Proc:
    """Take *lock* for writing, asking new readers to stay out meanwhile."""
    while True:
        owner = yield load(lock.rw_owner, 0, who.rw_enter_owner)
        new = WRITE_LOCKED if _nobody(owner) else owner | WRITE_WANTED
        if new != owner and (yield rmw(lock.rw_owner, 0, compare_and_swap, (owner, new), who.rw_enter_cas)) != owner:
            continue
        if new == WRITE_LOCKED:
            lock.holders.append(lwp)
            return
        yield wait(lock.rw_owner, 0, _nobody, RwVectorEnter.spin)


def rw_exit(lock: RwLock, lwp: Lwp, who: type[TakesRwLock]) -> Proc:
    """Let go of *lock*, held either way."""
    while True:
        owner = yield load(lock.rw_owner, 0, who.rw_exit_owner)
        kassert(bool(owner & WRITE_LOCKED) or owner >= READ_INCR, "rw_exit: the lock is held")
        new = owner & ~WRITE_LOCKED if owner & WRITE_LOCKED else owner - READ_INCR
        if (yield rmw(lock.rw_owner, 0, compare_and_swap, (owner, new), who.rw_exit_cas)) == owner:
            kassert(lwp in lock.holders, "rw_exit: the LWP holds the lock")
            lock.holders.remove(lwp)
            return
