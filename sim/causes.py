"""The causes of the ledger: one table for the kernel's sites, the timed driver, and whatever reads results."""

from __future__ import annotations

from typing import NamedTuple

from sim.errors import ModelError, closest

WORK, KERNEL, CROSSING, REFILL, OTHER = (
    "user work", "kernel work", "entry and exit", "TLB refill", "switches, locks, shootdowns"
)  # fmt: skip


class Cause(NamedTuple):
    """What cycles are charged to.

    Attributes:
        name: as it stands in frames and summaries.
        group: under which the overview shows it, one of the names above.
        debt: a duration recorded on real hardware contains such time already, so the replay takes it out of there.
        phase: of which event it is a part, whose frame says how much fell into each: ``switch``; the four parts of a
            shootdown at its sender; ``receiver``.
        lock: class of the locks for which the cause is waiting.
    """

    name: str
    group: str = OTHER
    debt: bool = True
    phase: str = ""
    lock: str = ""


CAUSES = (
    Cause("user work", WORK, debt=False),
    Cause("kernel work", KERNEL, debt=False),
    Cause("entry/exit hardware", CROSSING),
    Cause("entry/exit CR3", CROSSING),
    Cause("entry/exit SVS", CROSSING),
    Cause("user TLB refill", REFILL),
    Cause("kernel TLB refill", REFILL),
    Cause("svs_lwp_switch", phase="switch"),
    Cause("svs_pdir_switch copy", phase="switch"),
    Cause("ci_svs_mtx wait", phase="switch", lock="ci_svs_mtx"),
    Cause("svs_pmap_sync"),
    Cause("switch_mm", phase="switch"),
    Cause("pti_set_user_pgd"),
    Cause("pm_lock wait", lock="pm_lock"),
    Cause("lock wait"),
    Cause("shootdown local flush", phase="local"),
    Cause("shootdown IPI send", phase="send"),
    Cause("shootdown mailbox wait", phase="mailbox"),
    Cause("shootdown ack wait", phase="ack"),
    Cause("shootdown receiver", debt=False, phase="receiver"),
    Cause("pmap", KERNEL),
    Cause("context switch", KERNEL, phase="switch"),
    Cause("scheduler", KERNEL),
    Cause("interrupt", KERNEL, debt=False),
    Cause("cache-line transfer"),
    Cause("SVS disable"),
    Cause("idle", debt=False),
)

NAMES = tuple(cause.name for cause in CAUSES)
BY_NAME = {cause.name: cause for cause in CAUSES}
GROUPS = (WORK, KERNEL, CROSSING, REFILL, OTHER)
LOCK_WAIT = {cause.lock: cause.name for cause in CAUSES if cause.lock}


def cause_named(name: str) -> Cause:
    """Return the cause *name*; ModelError if there is none."""
    if name not in BY_NAME:
        raise ModelError(f"no cause '{name}' in the ledger{closest(name, BY_NAME)}")
    return BY_NAME[name]


def of_phases(*phases: str) -> tuple[str, ...]:
    """Names of the causes of these phases, phase by phase."""
    return tuple(cause.name for phase in phases for cause in CAUSES if cause.phase == phase)


def of_group(group: str) -> tuple[str, ...]:
    """Names of the causes of a group."""
    return tuple(cause.name for cause in CAUSES if cause.group == group)
