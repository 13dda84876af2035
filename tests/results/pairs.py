"""A small, made-up pair of runs."""

from __future__ import annotations

from sim.timed.paired import PairedResult, RunResult

HZ = 2_000_000_000
Frame = dict[str, list[object]]
RECORDED = {
    "elapsed_cycles": 990, "cpu_cycles": 1000, "chosen_cpu_cycles": 1000, "call_cycles": 9, "bare_call_cycles": 3,
    "context_switches": 4, "context_switches_printed": 4, "syscalls": 2, "faults": 1, "forks": 0, "cpus": 2,
}  # fmt: skip


def sums() -> dict[str, Frame]:
    """The frames of sums: by time and CPU, by task, by call."""
    return {
        "ledger": {
            "time_cycles": [0, 0], "cpu": [0, 1], "cause": ["user work", "idle"], "count": [3, 1],
            "cycles": [1000, 1000],
        },
        "counters": {"time_cycles": [0], "cpu": [0], "name": ["syscalls"], "value": [2]},
        "tasks": {
            "comm": ["prog", "(idle)"], "pid": [7, 0], "tid": [8, 0], "chosen": [True, False],
            "cause": ["user work", "idle"], "count": [3, 1], "cycles": [1000, 1000],
        },
        "calls": {
            "comm": ["prog"], "pid": [7], "chosen": [True], "name": ["read"], "number": [0], "calls": [2],
            "cause": ["entry/exit CR3"], "count": [4], "cycles": [10],
        },
    }  # fmt: skip


def events() -> dict[str, Frame]:
    """The frames of single events; there was no switch."""
    return {
        "shootdowns": {
            "time_cycles": [7], "cpu": [1], "targets": [1], "broadcast": [False], "pages": [-1], "why": ["REMOVE_PTE"],
            "mailbox_cycles": [0], "send_cycles": [5], "local_cycles": [6], "ack_cycles": [70], "total_cycles": [81],
            "receiver_cycles": [40],
        },
        "switches": {
            "time_cycles": [], "cpu": [], "from_lwp": [], "to_lwp": [], "kind": [], "svs_lwp_switch_cycles": [],
            "svs_pdir_switch_cycles": [], "total_cycles": [],
        },
        "locks": {
            "time_cycles": [0], "cpu": [0], "lock": ["pm_lock"], "instance": ["a"], "wait_cycles": [0],
            "hold_cycles": [30], "count": [2],
        },
    }  # fmt: skip


def window() -> dict[str, Frame]:
    """The frame of a window."""
    return {
        "timeline": {
            "time_cycles": [1], "end_cycles": [2], "cpu": [0], "track": ["mode"], "name": ["user"], "value": [0],
            "flow": [0],
        },
    }  # fmt: skip


def make_run(profile: str, *, extra: int = 0, timeline: bool = False) -> RunResult:
    """One run of two CPUs; *extra* cycles are added to the CR3 writes."""
    return RunResult(
        profile=profile,
        pcid=False,
        cpus=2,
        frequency_hz=HZ,
        elapsed_cycles=1000 + extra,
        busy_cycles=1000 + extra,
        conserved=True,
        ledger={"user work": (3, 1000), "entry/exit CR3": (4, extra), "idle": (1, 1000 + extra)},
        counters={"syscalls": 2, "faults": 1, "interrupts": 0, "context_switches": 5},
        frames=sums() | events() | (window() if timeline else {}),
        assumptions={"lost_events": 3},
        recorded=dict(RECORDED),
    )


def make_pair(extra: int = 250, *, timeline: bool = False) -> PairedResult:
    """A baseline and a profile that takes *extra* cycles more."""
    return PairedResult(make_run("none"), make_run("svs-netbsd10", extra=extra, timeline=timeline))
