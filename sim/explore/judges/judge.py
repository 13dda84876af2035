"""All judges of one execution."""

from __future__ import annotations

from sim.explore.judges.at_rest import AtRest
from sim.explore.judges.contexts import Remembered
from sim.explore.judges.entry_code import EntryCode
from sim.explore.judges.guards import Guards
from sim.explore.judges.lifetimes import Lifetimes
from sim.explore.judges.locks import Locks
from sim.explore.judges.modified import Modified
from sim.explore.judges.protected import Protected
from sim.explore.judges.tally import Tally
from sim.explore.judges.user_mode import UserMode
from sim.explore.judges.uses import Uses
from sim.explore.judges.view import View
from sim.explore.litmus_state import LitmusState
from sim.explore.machine import Machine


class Judge:
    """The judges by what they look at; the drivers tell each what concerns it.  *tally*: what they share."""

    def __init__(self, machine: Machine, state: LitmusState, tally: Tally) -> None:
        self.view = view = View(machine)
        self.tally = tally
        self.protected = Protected(view, tally, machine.touched)
        self.guards = Guards(view, tally, state.unpromised)
        self.modified = Modified(view, tally, machine.touched)
        self.lifetimes = Lifetimes(view, tally, machine.touched, self.guards, self.protected, self.modified)
        machine.kernel.hooks = self.lifetimes
        litmus = state.litmus
        kernel_vas = tuple(machine.kernel.kmem.va(page) for page in range(litmus.kernel_pages))
        self.uses = Uses(view, tally, machine.touched, self.lifetimes, self.protected, self.modified, litmus.user_vas,
                         kernel_vas)  # fmt: skip
        self.lifetimes.entered, self.lifetimes.left = self.uses.promise_entered, self.uses.promise_left
        machine.mem.page_freed = self.uses.freed
        self.remembered = Remembered(view, tally, machine.touched, self.uses)
        self.locks = Locks(view, tally)
        self.guards.replaces, self.lifetimes.sent = self.locks.replaces, self.locks.sent
        self.entry_code = EntryCode(view, tally)
        self.user_mode = UserMode(view, tally)
        self.at_rest = AtRest(view, tally, state, self.user_mode, self.uses, self.locks)

    def begin(self) -> None:
        """Exploration begins here."""
        self.tally.armed = True
        if self.view.kernel.design.per_cpu:
            self.locks.guard_updirs()
            self.at_rest.began_per_cpu = True
        self.uses.learn()
        self.modified.begin(self.uses.followed, self.uses.user_vas)
