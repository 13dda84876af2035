"""What the short ways of the fast engine are made of, for one CPU."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sim.hardware.paging import PhysMem
from sim.hardware.sites import Site
from sim.timed.clock import Clock
from sim.timed.core import Core
from sim.timed.debts import Debts
from sim.timed.quick_account import QuickAccount
from sim.timed.quick_steps import QuickSteps


class Pay(Protocol):
    """Charges a step's cycles to its site's cause; *after*: cycles of the step that are charged already."""

    def __call__(self, site: Site, cycles: int, after: int = 0, /) -> int: ...


class Parts(NamedTuple):
    """What the handlers of one CPU need."""

    steps: QuickSteps
    core: Core
    clock: Clock
    account: QuickAccount
    debts: Debts
    mem: PhysMem
