"""From a step's label to the ledger's cause."""

from __future__ import annotations

from sim.hardware.steps import Op

CAUSES = (
    "user work",
    "kernel work",
    "entry/exit hardware",
    "entry/exit CR3",
    "entry/exit SVS",
    "user TLB refill",
    "kernel TLB refill",
    "svs_lwp_switch",
    "svs_pdir_switch copy",
    "ci_svs_mtx wait",
    "svs_pmap_sync",
    "pm_lock wait",
    "lock wait",
    "shootdown local flush",
    "shootdown IPI send",
    "shootdown mailbox wait",
    "shootdown ack wait",
    "shootdown receiver",
    "pmap",
    "context switch",
    "scheduler",
    "interrupt",
    "cache-line transfer",
    "SVS disable",
    "idle",
)

_ENTRY = ("syscall_entry", "trap_entry", "leave", "altstack_entry", "altstack_leave", "nmi_entry", "nmi_leave")

_BY_PROCEDURE = {
    "segment_fault": "entry/exit SVS",
    "svs_lwp_switch": "svs_lwp_switch",
    "svs_pdir_switch": "svs_pdir_switch copy",
    "pti_switch": "svs_pdir_switch copy",
    "svs_pmap_sync": "svs_pmap_sync",
    "pti_set_user_pgd": "svs_pmap_sync",
    "pmap_tlb_processpacket": "shootdown IPI send",
    "pmap_tlb_intr": "shootdown receiver",
    "pmap_load": "context switch",
    "cpu_load_pmap": "context switch",
    "pmap_activate": "context switch",
    "pmap_deactivate": "context switch",
    "pmap_reactivate": "context switch",
    "mi_switch": "context switch",
    "cpu_switchto": "context switch",
    "cpu_need_resched": "scheduler",
    "sched_enqueue": "scheduler",
    "sched_catchlwp": "scheduler",
    "sched_idle": "scheduler",
    "spc_dlock": "scheduler",
    "sched_pstats": "scheduler",
    "sched_tick": "scheduler",
    "sleepq_block": "scheduler",
    "wakeup": "scheduler",
    "idle_loop": "scheduler",
    "kpause": "scheduler",
    "interrupt": "interrupt",
    "hardclock": "interrupt",
    "device": "interrupt",
    "reschedule": "interrupt",
    "nmi": "interrupt",
    "svs_disable_cpu": "SVS disable",
    "svs_disable": "SVS disable",
    "sysctl_lock": "SVS disable",
    "sysctl_unlock": "SVS disable",
    "xc_thread": "SVS disable",
    "sysctl_machdep_svs_enabled": "SVS disable",
    "rw_vector_enter": "lock wait",
    "user": "user work",
    "syscall": "kernel work",
    "trap": "kernel work",
    "userret": "kernel work",
    "fork1": "kernel work",
    "execve": "kernel work",
    "exit1": "kernel work",
}

_SHOOTNOW = {
    "spin for mailbox": "shootdown mailbox wait",
    "wait for ack": "shootdown ack wait",
    "invlpg": "shootdown local flush",
    "invpcid user": "shootdown local flush",
    "tlbflush": "shootdown local flush",
    "tlbflushg": "shootdown local flush",
}

LOCK_WAIT = {"ci_svs_mtx": "ci_svs_mtx wait", "pm_lock": "pm_lock wait"}


def cause_of(op: Op, label: str) -> str:
    """Return the ledger cause of a step."""
    procedure, _, what = label.partition(":")
    if procedure in _ENTRY:
        if op is Op.CR3:
            return "entry/exit CR3"
        if op in (Op.CLI, Op.STI) or op is Op.COST and what not in {"copy frame", "read cr3", "save cr3"}:
            return "entry/exit hardware"
        return "entry/exit SVS"
    if procedure == "pmap_tlb_shootnow":
        return _SHOOTNOW.get(what, "shootdown IPI send")
    cause = _BY_PROCEDURE.get(procedure)
    if cause is None:
        cause = "pmap" if procedure.startswith("pmap_") else "kernel work"
    return cause
