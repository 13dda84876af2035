"""How far a litmus program has come in one execution."""

from __future__ import annotations

from sim.explore.litmus import Litmus
from sim.hardware.memory import Words
from sim.kernel.lwp import Lwp, Process
from sim.kernel.pmap import Pmap
from sim.kernel.vm_page import VmPage

ENTERING = frozenset({"enter", "enter_read", "replace"})  # verbs that map a page


class LitmusState:
    """What the operations of a litmus program share.

    Attributes:
        pmaps, lwps, shared: by the names that the program gives them.
        processes: those that are there from the start, by the names of their pmaps.
        done: names of the LWPs that have made all their operations.
        outcomes: observations that belong to the final outcome.
        first: pages that there have been when exploration begins: pa and birth.
        unpromised: pages removed whose shootdown is still queued, by LWP: pmap, address, pa.
        vmspaces: references to the vmspaces that other processes enter pages into, by pmap.
        ended: whether LWPs that others await have come to their end, by name.
        asked: how often devices have asked for what their handlers have not begun yet, by operation.
        never: the word that a parked LWP waits for.
    """

    def __init__(self, litmus: Litmus) -> None:
        self.litmus = litmus
        self.pmaps: dict[str, Pmap] = {}
        self.lwps: dict[str, Lwp] = {}
        self.shared: dict[str, VmPage] = {}
        self.processes: dict[str, Process] = {}
        self.done: set[str] = set()
        self.outcomes: list[str] = []
        self.first: frozenset[tuple[int, int]] = frozenset()
        self.unpromised: dict[str, list[tuple[Pmap, int, int]]] = {}
        held = {op.pmap for lwp in litmus.lwps for op in lwp.ops if op.pmap and op.verb in ENTERING}
        self.vmspaces = {name: Words(f"{name}.vm_refcnt", 1, 1) for name in sorted(held)}
        awaited = {op.name for lwp in litmus.lwps for op in lwp.ops if op.verb == "await"}
        self.ended = {name: Words(f"{name} ended") for name in sorted(awaited)}
        handled = [op.name.split()[1:] for lwp in litmus.lwps for op in lwp.ops if op.verb == "device"]
        self.asked = {" ".join(what): 0 for what in handled if len(what) == 2}
        self.never = Words("never")
