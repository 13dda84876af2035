"""What published experiments vary within a design: named changes, written after a profile as ``pti+no-global``.

A variation sets attributes of a fresh design and nothing else; the design's own procedures look at them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from sim.kernel.contexts import Contexts
from sim.kernel.shootdown2018 import Shootdown2018
from sim.kernel.shootdown2020 import Shootdown2020
from sim.kernel.shootdown_queues import ShootdownQueues

if TYPE_CHECKING:
    from sim.kernel.designs.base import Design

_MAX_PAGES = re.compile(r"max-pages-([1-9][0-9]{0,3})")


class Variation(NamedTuple):
    """A named change: what it says, and how it is made; *only* is the design it is for, or empty for any."""

    says: str
    only: str
    apply: Callable[[Design], None]


def _no_global(design: Design) -> None:
    design.pge = False


def _text_global(design: Design) -> None:
    design.text_global = True  # type: ignore[attr-defined]


def _defer_user_flush(design: Design) -> None:
    design.defer_user_flush = True  # type: ignore[attr-defined]


def _copy_at_return(design: Design) -> None:
    design.copy_at_return = True  # type: ignore[attr-defined]


def _one_context(design: Design) -> None:
    design.contexts = Contexts(pcid=design.pcid, user_half=design.isolates, asids=1)


def _local_first(design: Design) -> None:
    design.shootdown = Shootdown2018(local_first=True)


def _early_ack(design: Design) -> None:
    design.shootdown = Shootdown2020()


def _call_queues(design: Design) -> None:
    design.shootdown = ShootdownQueues()
    _count_changes(design)


def _serial_call_queues(design: Design) -> None:
    design.shootdown = ShootdownQueues(local_first=True)
    _count_changes(design)


def _count_changes(design: Design) -> None:
    """Linux counts changes of an address space whether isolation is on or not; SVS's directories are a CPU's."""
    if design.contexts is None and not design.per_cpu:
        design.contexts = Contexts(pcid=design.pcid, user_half=design.isolates)


VARIATIONS = {
    "no-global": Variation("CR4.PGE off: no page is global", "", _no_global),
    "text-global": Variation("the kernel's text keeps G, besides the entry areas", "pti", _text_global),
    "defer-user-flush": Variation(
        "with PCID, single pages of the user half are flushed by the next CR3 load", "pti", _defer_user_flush
    ),
    "copy-at-return": Variation(
        "the user slots are copied at each return to user mode, as in Xen", "svs-2018-02", _copy_at_return
    ),
    "one-context": Variation(
        "with PCID, a CPU remembers only the process that it has loaded, as Linux 4.4 and 4.9", "pti", _one_context
    ),
    "local-first": Variation("a shootdown flushes this CPU before it sends IPIs, not meanwhile", "", _local_first),
    "call-queues": Variation("shootdown as in Linux: a queue of calls for each CPU", "", _call_queues),
    "serial-call-queues": Variation(
        "as in Linux before 5.13: the same, and this CPU flushes before it sends", "", _serial_call_queues
    ),
    "early-ack": Variation("shootdown as in svs-netbsd10: receivers acknowledge before they flush", "", _early_ack),
}


def vary(design: Design, names: Iterable[str]) -> None:
    """Make the variations *names* in a fresh design.  Raises ValueError, with the reason, for one it cannot have."""
    most = 0
    for name in names:
        pages = _MAX_PAGES.fullmatch(name)
        if pages is not None:
            most = int(pages[1])
            continue
        variation = VARIATIONS.get(name)
        if variation is None:
            raise ValueError(f"unknown variation '{name}'; there are {', '.join(VARIATIONS)} and max-pages-N")
        if variation.only not in ("", design.name):
            raise ValueError(f"the variation '{name}' is for the profile {variation.only}, not for {design.name}")
        variation.apply(design)
    if most:  # last, because other variations replace the protocol
        design.shootdown.maxva = most
