"""Pages that more than one map entry can lead to: vm_page with its owner and its pv list (uvm_page.h, pmap_pv.h).

To any other page only one entry of one map leads: it needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping

from sim.hardware.cpu import IPL_VM
from sim.hardware.lock import Mutex

PvEntry = tuple[int, int]  # a pmap's number, and the address at which it maps the page


class VmPage:
    """A page of an object, or an anon: anonymous memory that processes share copy-on-write since a fork (vm_anon).

    Attributes:
        anon: an anon, so that who writes it while others refer to it gets a copy.
        pa: where it is; 0: not in memory, so that the next fault brings it in.
        lock: its owner's (vmobjlock, am_lock; an anon's copies have the same): who changes its mappings or frees it
            holds it.
        pp_lock: the page's own (NetBSD 10), over the pv list.
        pv: its mappings.
        refs: map entries that lead to it (uo_refs, an_ref).
    """

    __slots__ = ("anon", "lock", "name", "pa", "pp_lock", "pv", "refs")

    def __init__(self, name: str, pa: int, *, anon: bool = False, lock: Mutex | None = None) -> None:
        self.name = name
        self.pa = pa
        self.anon = anon
        self.lock = lock or Mutex(f"{name}.am_lock" if anon else f"{name}.vmobjlock", "page owner")
        self.pp_lock = Mutex(f"{name}.pp_lock", "pp_lock", IPL_VM)
        self.pv: tuple[PvEntry, ...] = ()
        self.refs = 0

    def needs_copy(self, pages: Mapping[int, VmPage]) -> bool:
        """Whether who has these pages in his map has to copy this one before he writes it: others have it, too."""
        return self.anon and self.refs > sum(page is self for page in pages.values())

    def __repr__(self) -> str:
        return f"<page {self.name}>"
