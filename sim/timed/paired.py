"""Runs and pairs of runs: the same workload and seed under a baseline and under a profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sim.causes import NAMES
from sim.errors import InputError, closest
from sim.kernel.designs import PROFILES, make_design
from sim.kernel.program import Workload
from sim.timed.amounts import Amounts
from sim.timed.machine import TimedMachine
from sim.timed.part import PartRecorder

if TYPE_CHECKING:
    from sim.timed.costs import CostTable
    from sim.timed.debts import PaymentReader, Payments
    from sim.timed.recorder import Frame

MAX_CPUS = 256
PART_FRAMES = ("tasks", "calls")  # what a part has: frames of events and times would hold more
Progress = Callable[[str, float], None]


@dataclass(slots=True)
class RunResult:
    """One run.

    Cycles are those of ``frequency_hz``; ``ledger`` maps a cause to (count, cycles) over all CPUs; ``whose`` says whom
    the run was asked about (empty: everybody), ``chosen_elapsed_cycles`` how long it took those, and
    ``chosen_switches`` how often one of them came to a CPU or left it.
    """

    profile: str
    pcid: bool
    cpus: int
    frequency_hz: int
    elapsed_cycles: int
    busy_cycles: int
    conserved: bool
    ledger: dict[str, tuple[int, int]]
    counters: dict[str, int]
    frames: dict[str, Frame]
    assumptions: dict[str, int]
    recorded: dict[str, int]
    whose: str = ""
    chosen_elapsed_cycles: int = 0
    chosen_switches: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class PairedResult:
    """Baseline and profile of the same workload and seed."""

    baseline: RunResult
    profile: RunResult


def check_profile(name: str) -> str:
    """Return *name* if it is a profile, perhaps with variations (``pti+no-global``); InputError otherwise."""
    base = name.split("+")[0]
    if base not in PROFILES:
        raise InputError(f"unknown profile '{base}'; profiles are {', '.join(PROFILES)}{closest(base, PROFILES)}")
    try:
        make_design(name)
    except ValueError as error:
        raise InputError(f"profile '{name}': {error}") from None
    return name


def run_once(
    workload: Workload,
    profile: str,
    *,
    pcid: bool | None,
    cpus: int,
    costs: CostTable,
    deductions: Payments | None = None,
    replay: PaymentReader | None = None,
    engine: str = "fast",
    progress: Callable[[float], None] | None = None,
    window: tuple[int, int] | None = None,
) -> RunResult:
    """Run one workload under one profile.

    What its stretches pay goes into *deductions*, if anybody wants to read it; with *replay*, the payments of a
    baseline's run are taken out instead.
    *window*: the stretch, [start, end) in cycles, of which a timeline is kept.
    """
    design = make_design(check_profile(profile), pcid)
    deductions = deductions or Amounts()
    machine = TimedMachine(workload, design, costs, cpus, deductions, fast=engine == "fast", window=window)
    machine.recorder.debts.replay = replay
    expected = workload.recorded.get("elapsed_cycles", 0)
    if progress is not None and expected:
        machine.on_tick = lambda now: progress(min(now / expected, 0.99))
    elapsed = machine.run()
    if replay is None:
        deductions.finish()
        debts = machine.recorder.debts
        deductions.unpaid = debts.unpaid + sum(cell[0] for cell in debts.owed.values())
    return _result(machine, profile, design.pcid, elapsed)


def _result(machine: TimedMachine, profile: str, pcid: bool, elapsed: int) -> RunResult:
    """Gather what a finished machine knows."""
    accounts, debts = machine.accounts, machine.recorder.debts
    paid = debts.replay or debts.deductions
    ledger = {c: (sum(a.counts[c] for a in accounts), sum(a.cycles[c] for a in accounts)) for c in NAMES}
    counters = dict(sorted(machine.recorder.counters.items()))
    for name in ("syscalls", "faults", "interrupts", "context_switches"):
        counters.setdefault(name, 0)
    frames, tallies = machine.frames(), machine.recorder.tallies
    assumptions = dict(sorted(machine.workload.assumptions.items()))
    own = {
        "cycles_deducted": paid.total,
        "cycles_not_deductible": paid.unpaid,
        "resident_pages": machine.recorder.resident,
        "blocked_at_end": machine.blocked_at_end,
    }
    if machine.workload.recorded:
        assumptions.update(own)
    elif machine.blocked_at_end:
        assumptions["blocked_at_end"] = machine.blocked_at_end
    result = RunResult(
        profile=profile,
        pcid=pcid,
        cpus=len(accounts),
        frequency_hz=machine.costs.frequency_hz,
        elapsed_cycles=elapsed,
        chosen_elapsed_cycles=tallies.ended - tallies.began,
        chosen_switches=tallies.switches,
        busy_cycles=sum(cycles for cause, (_, cycles) in ledger.items() if cause != "idle"),
        conserved=all(account.total == elapsed for account in accounts),
        ledger=ledger,
        counters=counters,
        frames=frames,
        assumptions=assumptions,
        recorded=_recorded(machine),
        whose=machine.workload.whose,
        notes=list(machine.workload.notes),
    )
    return _part(result, machine.recorder) if isinstance(machine.recorder, PartRecorder) else result


def _part(result: RunResult, recorder: PartRecorder) -> RunResult:
    """What was measured of a run of which only a part is: of the frames those that are of LWPs, no idle time."""
    frames = {name: result.frames[name] for name in PART_FRAMES}
    ledger = {cause: (0, 0) for cause in NAMES if cause != "idle"}
    tasks: dict[str, list[Any]] = frames["tasks"]
    for cause, count, cycles in zip(tasks["cause"], tasks["count"], tasks["cycles"], strict=True):
        if cause in ledger:
            ledger[cause] = ledger[cause][0] + count, ledger[cause][1] + cycles
    return replace(
        result, elapsed_cycles=recorder.elapsed(result.elapsed_cycles), chosen_elapsed_cycles=0, chosen_switches=0,
        busy_cycles=sum(cycles for _, cycles in ledger.values()), counters=recorder.counted(result.counters),
        ledger=ledger, frames=frames,
    )  # fmt: skip


def _recorded(machine: TimedMachine) -> dict[str, int]:
    """The recording's own numbers, and what a bare call would have taken it on the machine of the cost table."""
    recorded = dict(machine.workload.recorded)
    if recorded:
        recorded["bare_call_cycles"] = machine.costs.bare_call()
    return recorded


def check_pair(profile: str, baseline: str, cpus: int | None) -> None:
    """Raise InputError unless there are such designs, and machines with so many CPUs."""
    check_profile(profile)
    check_profile(baseline)
    if cpus is not None and not 1 <= cpus <= MAX_CPUS:
        raise InputError(f"cpus = {cpus}: the number of simulated CPUs must be between 1 and {MAX_CPUS}")


def run_paired(
    source: Callable[[], Workload],
    *,
    profile: str,
    baseline: str,
    pcid: bool | None,
    cpus: int | None,
    costs: CostTable,
    seed: int,
    engine: str = "fast",
    progress: Progress | None = None,
    window: tuple[int, int] | None = None,
) -> PairedResult:
    """Run the workload under *baseline*, then under *profile* with the same deductions.

    *window*: the stretch, [start, end) in cycles, of which each run keeps a timeline.
    """
    check_pair(profile, baseline, cpus)
    deductions = Amounts()
    results = []
    for stage, name in (("baseline", baseline), ("profile", profile)):
        workload = source()

        def report(fraction: float, stage: str = stage) -> None:
            if progress is not None:
                progress(stage, fraction)

        results.append(
            run_once(
                workload, name, pcid=pcid, cpus=cpus or workload.cpus, costs=costs, deductions=deductions,
                replay=deductions.reader() if stage == "profile" else None, engine=engine, progress=report,
                window=window,
            )
        )  # fmt: skip
        report(1.0)
    return PairedResult(*results)
