"""struct cpu_info: what the kernel keeps for each CPU (x86 cpu.h; fields carry NetBSD's names)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.hardware.cpu import IPL_VM, Cpu
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words

if TYPE_CHECKING:
    from sim.kernel.lwp import Lwp
    from sim.kernel.sched import RunQueue
    from sim.kernel.shootdown import Packet

TLBSTATE_VALID, TLBSTATE_LAZY, TLBSTATE_STALE = 0, 1, 2

GLDT_SEL = 0  # the LDT of all who have none of their own

UTLS_KPDIRPA, UTLS_SCRATCH, UTLS_RSP0 = 0, 1, 2


class CpuInfo:
    """Per-CPU kernel data.

    Words that only this CPU and its interrupt handlers touch are marked unshared, except ``ci_tlbstate`` and
    ``ci_pmap``: the shootdown handler reads them, so their order against it matters.

    Attributes:
        ci_svs_updir: the user L4 page of this CPU; to be touched only under ``ci_svs_mtx``.
        ci_svs_utls: the words of the UTLS page (index ``UTLS_KPDIRPA``, ``UTLS_SCRATCH``, ``UTLS_RSP0``).
        ci_svs_rsp0_pte: (table, index) of the L1 entry of the second rsp0 page in the user tables.
        ci_svs_rsp0, ci_svs_ursp0, ci_svs_krsp0: VAs in bytes.
        ci_onproc: the LWP that mi_switch has chosen last, under ``spc_mutex``; ``ci_curlwp`` follows with its stack.
        cpu_tlbstate: the contexts that this CPU remembers (:mod:`sim.kernel.contexts`), in designs that have them.
    """

    __slots__ = (
        "ci_curldt",
        "ci_curlwp",
        "ci_curlwp_word",
        "ci_data",
        "ci_idlelwp",
        "ci_index",
        "ci_nmi_stack",
        "ci_online",
        "ci_onproc",
        "ci_pmap",
        "ci_pmap_data",
        "ci_prevlwp",
        "ci_runqueue",
        "ci_svs_krsp0",
        "ci_svs_kpdirpa",
        "ci_svs_mtx",
        "ci_svs_rsp0",
        "ci_svs_rsp0_pte",
        "ci_svs_updir",
        "ci_svs_updirpa",
        "ci_svs_ursp0",
        "ci_svs_utls",
        "ci_tlbstate",
        "ci_want_pmapload",
        "ci_want_resched",
        "cpu",
        "cpu_tlbstate",
    )

    def __init__(self, cpu: Cpu[Any]) -> None:
        index = cpu.index
        self.cpu = cpu
        self.ci_index = index
        self.ci_online = True
        self.ci_curldt = GLDT_SEL
        self.ci_curlwp: Lwp
        self.ci_onproc: Lwp
        self.ci_curlwp_word = Words(f"cpu{index}.ci_curlwp")
        self.ci_idlelwp: Lwp
        self.ci_prevlwp: Lwp
        self.ci_runqueue: RunQueue
        self.ci_pmap_data: Packet
        self.ci_data: dict[str, int] = {}
        self.ci_pmap = Words(f"cpu{index}.ci_pmap")
        self.ci_tlbstate = Words(f"cpu{index}.ci_tlbstate", 1, TLBSTATE_STALE)
        self.ci_want_pmapload = Words(f"cpu{index}.ci_want_pmapload", shared=False)
        self.ci_want_resched = Words(f"cpu{index}.ci_want_resched")
        self.cpu_tlbstate: Words
        self.ci_svs_mtx = Mutex(f"cpu{index}.ci_svs_mtx", "ci_svs_mtx", IPL_VM)
        self.ci_svs_updirpa = 0
        self.ci_svs_updir: Words
        self.ci_svs_kpdirpa = 0
        self.ci_svs_utls: Words
        self.ci_svs_rsp0_pte: tuple[Words, int]
        self.ci_svs_rsp0 = 0
        self.ci_svs_ursp0 = 0
        self.ci_svs_krsp0 = 0
        self.ci_nmi_stack = Words(f"cpu{index}.nmi stack", 8, shared=False)

    def __repr__(self) -> str:
        return f"<cpu{self.ci_index}>"
