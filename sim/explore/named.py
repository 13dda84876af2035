"""Values for people: sets of CPUs, states, page-table entries and addresses by their names."""

from __future__ import annotations

from typing import Any

from sim.explore.cached import BornMem
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, NX, PS, A, D, G, P, U, W
from sim.kernel.cpuinfo import TLBSTATE_LAZY, TLBSTATE_STALE, TLBSTATE_VALID
from sim.kernel.kernel import Kernel
from sim.kernel.shootdown import EVERYTHING, Request

_SETS = ("pm_cpus", "pm_kernel_cpus")
_TLBSTATES = {TLBSTATE_VALID: "VALID", TLBSTATE_LAZY: "LAZY", TLBSTATE_STALE: "STALE"}
_FLAGS = ((P, "P"), (W, "W"), (U, "U"), (A, "A"), (D, "D"), (PS, "PS"), (G, "G"), (NX, "NX"))


def cpu_set(mask: int) -> str:
    """A set of CPUs: ``{0,1}``."""
    return "{" + ",".join(str(cpu) for cpu in range(mask.bit_length()) if mask >> cpu & 1) + "}"


class Named:
    """Names of what words of a kernel hold."""

    def __init__(self, kernel: Kernel, mem: BornMem) -> None:
        self.kernel = kernel
        self.mem = mem

    def word(self, words: Words, value: Any) -> str:
        """What a value of a word means."""
        if isinstance(value, Request):
            return self._packet(value)
        if not isinstance(value, int):
            packet = getattr(value, "tp_store", None)  # on a stack
            return str(value) if packet is None else str(packet.name)
        field = words.name.rpartition(".")[2]
        if field in _SETS:
            return cpu_set(value)
        if field == "ci_tlbstate":
            return _TLBSTATES.get(value, str(value))
        if field == "ci_pmap":
            return self.kernel.pmaps[value].name if value in self.kernel.pmaps else str(value)
        if field == "ci_curlwp":
            return self._lwp(value)
        if id(words) in self.mem.table_of:
            return self.entry(value)
        return f"{value:#x}" if value > 9 else str(value)

    def entry(self, value: int) -> str:
        """A page-table entry: what it leads to, and its flags."""
        if not value & FRAME:
            return f"{value:#x}" if value else "0"
        flags = " ".join(name for flag, name in _FLAGS if value & flag)
        return f"{self.page(value & FRAME)} ({flags})"

    def _packet(self, packet: Request) -> str:
        """What a shootdown packet asks for, of whom, and by whom."""
        pages = "everything" if packet.pages == EVERYTHING else ", ".join(map(hex, packet.vas))
        of = f" of {self.kernel.pmaps[packet.pmap].name}" if packet.pmap in self.kernel.pmaps else ""
        return f"{{{pages}{of}{', global' if packet.global_pages else ''}, from cpu{packet.initiator}}}"

    def page(self, pa: int) -> str:
        """A page by what it was allocated as; pages of one name are told apart by their addresses."""
        name = self.mem.name(pa)
        if name == "free" and pa in self.mem.table_of.values():
            return f"freed {self.mem.former(pa)}"
        return f"{name} {pa:#x}" if name == "free" or name.endswith(" page") else name

    def _lwp(self, number: int) -> str:
        for ci in self.kernel.cpus:
            for lwp in (ci.ci_onproc, ci.ci_curlwp, ci.ci_idlelwp):
                if lwp.number == number:
                    return lwp.l_name
        return str(number)
