"""mutex(9): spin mutexes raise the priority level, adaptive ones spin while their owner runs.

No modelled path sleeps or is preempted while it holds an adaptive mutex (the kernel is not preempted here and
``pmap_map_ptes`` forbids context switches), so its owner is always running and the turnstile is never needed; the
assertion below judges that.  Source: sys/kern/kern_mutex.c, mutex_vector_enter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import kassert
from sim.hardware.lock import Mutex
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Proc, acquire, release, spl

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo


class TakesMutex(Procedure):
    """A procedure that takes a mutex."""

    mutex_splraise = site("mutex_enter splraise")
    mutex_enter = site("mutex_enter")
    mutex_exit = site("mutex_exit")
    mutex_splx = site("mutex_exit splx")


def mutex_enter(ci: CpuInfo, mutex: Mutex, who: type[TakesMutex]) -> Proc:
    """Take *mutex* for the current LWP; *who* is the procedure that takes it."""
    if mutex.ipl:
        previous = yield spl(max(mutex.ipl, ci.cpu.ipl), who.mutex_splraise)
        yield acquire(mutex, who.mutex_enter)
        ci.ci_data[mutex.name] = previous
        kassert(mutex.owner is ci.cpu, f"{mutex.name} is owned by this CPU after mutex_enter")
        return
    kassert(not ci.ci_curlwp.cpu_intr_p, f"{mutex.name} is adaptive: no interrupt handler takes it")
    yield acquire(mutex, who.mutex_enter)
    kassert(mutex.owner is ci.cpu, f"{mutex.name} is owned by this CPU after mutex_enter")


def mutex_exit(ci: CpuInfo, mutex: Mutex, who: type[TakesMutex]) -> Proc:
    """Release *mutex*: a plain store, then (spin mutex) the level goes back."""
    kassert(mutex.owner is ci.cpu, f"{mutex.name} is owned at mutex_exit")
    yield release(mutex, who.mutex_exit)
    if mutex.ipl:
        yield spl(ci.ci_data.pop(mutex.name), who.mutex_splx)
