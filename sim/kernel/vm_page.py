"""Pages that more than one map entry can lead to: vm_page with its owner and its pv list (uvm_page.h, pmap_pv.h).

To any other page only one entry of one map leads: it needs neither.
"""

from __future__ import annotations

from sim.hardware.cpu import IPL_VM
from sim.hardware.lock import Mutex

PvEntry = tuple[int, int]  # a pmap's number, and the address at which it maps the page


class VmPage:
    """A page of an object.

    Attributes:
        pa: where it is; 0: not in memory, so that the next fault brings it in.
        lock: its owner's (vmobjlock): who changes its mappings or frees it holds it.
        pp_lock: the page's own (NetBSD 10), over the pv list.
        pv: its mappings.
        refs: map entries that lead to it (uo_refs).
    """

    __slots__ = ("lock", "name", "pa", "pp_lock", "pv", "refs")

    def __init__(self, name: str, pa: int) -> None:
        self.name = name
        self.pa = pa
        self.lock = Mutex(f"{name}.vmobjlock", "vmobjlock")
        self.pp_lock = Mutex(f"{name}.pp_lock", "pp_lock", IPL_VM)
        self.pv: list[PvEntry] = []
        self.refs = 0

    def __repr__(self) -> str:
        return f"<page {self.name}>"
