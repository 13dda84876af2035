"""From what the first pass learned to workloads: programs, the recorded machine's own times and numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from scenarios.recordings.followed import FollowedReplay
from scenarios.recordings.items import Items
from scenarios.recordings.learned import Survey
from scenarios.recordings.lines import NS
from scenarios.recordings.notes import notes
from scenarios.recordings.parts import Divider, Parts
from scenarios.recordings.programs import Start, lwp, starts
from scenarios.recordings.replay import Replay
from scenarios.recordings.tracer import Tracer
from scenarios.recordings.windows import Sample, plan
from sim.errors import InputError
from sim.kernel.program import Workload

MAX_CPUS = 256  # as many as a run can have
LONGEST_TIMER_NS = 1_000_000  # of the tick's ten; a longer one did not compute: the machine's host took the CPU
COARSE_NS = 1_000  # as ftrace prints stamps, if it is not asked for more
FAULT_SHARE = 4  # the fault handler's time is the lower quartile of what follows a fault


def _part(values: list[int], share: int) -> int:
    """The lowest *share*-th of the values ends here: 2 is the median, 4 the lower quartile; 0 of none."""
    return sorted(values)[len(values) // share] if values else 0


def _typical(calls: list[int]) -> int:
    """What a call took: the median.

    Where stamps are no finer than a microsecond, and that is no more than two, it is only a matter of rounding; the
    mean is not, with the longest twentieth taken as long as the shortest of them.
    """
    median = _part(calls, 2)
    if not calls or median > 2 * COARSE_NS or any(took % COARSE_NS for took in calls):
        return median
    longest = sorted(calls)[len(calls) * 19 // 20]
    return sum(min(took, longest) for took in calls) // len(calls)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A recording as any number of runs need it: the items of its programs, and a workload without them.

    Attributes:
        items, starts: what the tasks do, and those that are there from the start.
        workload: all the rest, with the counts of all rules.
    """

    items: Items
    starts: list[Start]
    workload: Workload

    def source(self, seed: int) -> Workload:
        """One workload, with fresh programs."""
        lwps = [lwp(self.items, start) for start in self.starts]
        return replace(self.workload, lwps=lwps, seed=seed, interrupts=iter(()),
                       assumptions=dict(self.workload.assumptions))  # fmt: skip


def prepare(survey: Survey, tracer: Tracer, hz: int) -> Prepared:
    """Read the events for the second time."""
    replay = Replay(survey, hz, _part(survey.fault_gaps, FAULT_SHARE), tracer)
    first = starts(replay)
    while not replay.finished:
        replay.advance()
    return Prepared(replay.items, first, _workload(survey, tracer, hz, replay.assumptions))


def prepare_sample(survey: Survey, tracer: Tracer, hz: int, seed: int, sample: Sample) -> Parts:
    """The same, of a sample.  Raises InputError if the recording is too short for it."""
    end = survey.everybody.cpu_ns
    windows = plan(sample, survey.events, end, seed)
    divider = Divider()
    replay = FollowedReplay(survey, hz, _part(survey.fault_gaps, FAULT_SHARE), tracer, divider)
    parts = divider.divide(replay, windows, end)
    if not parts:
        raise InputError(f"sample {sample}: no user task is there in any window; run it whole")
    workload = replace(_workload(survey, tracer, hz, replay.assumptions), seed=seed)
    return Parts(workload, parts)


def _workload(survey: Survey, tracer: Tracer, hz: int, counted: dict[str, int]) -> Workload:
    """What is known of a recording besides its programs; *counted*: the rules that the second pass used."""
    timer = sum(min(span, LONGEST_TIMER_NS) for span in survey.timer)
    return Workload(
        name=survey.path.name,
        cpus=min(len(survey.cpus), MAX_CPUS),
        lwps=[],
        seed=0,
        assumptions=dict(Counter(counted) + Counter(_tolerated(survey))),
        recorded=_recorded(survey, tracer, hz),
        timer_work=timer * hz // (len(survey.timer) * NS) if survey.timer else None,
        whose=_whose(survey),
        notes=[*tracer.notes(), *notes(survey)],
        idle_exits=[span * hz // NS for span in survey.idle_exit],
        idle_exit=_part(survey.idle_exit, 2) * hz // NS if survey.idle_exit else None,
    )


def _tolerated(survey: Survey) -> dict[str, int]:
    """The rules that the first pass used."""
    found = survey.tolerated | {f"unknown_event_{name}": n for name, n in survey.unknown.items()}
    if survey.idle_devices:
        found["device_interrupts_while_idle_dropped"] = survey.idle_devices
    cut = sum(span > LONGEST_TIMER_NS for span in survey.timer)
    return found | {"timer_interrupts_cut": cut} if cut else found


def _whose(survey: Survey) -> str:
    """How a result calls those asked for, by name where the recorder wrote down what it ran."""
    label, comm = survey.whose.label(), survey.header.values.get("comm")
    return f"{comm} ({label})" if comm and survey.whose.pid == survey.header.pid is not None else label


def _recorded(survey: Survey, tracer: Tracer, hz: int) -> dict[str, int]:
    """The recording's own numbers, those asked for under ``chosen_…``; times in cycles of *hz*."""
    seen = survey.evidence.seen
    numbers = {
        "elapsed_cycles": survey.without_gaps(survey.first, survey.last) * hz // NS,
        "chosen_elapsed_cycles": survey.without_gaps(survey.chosen.began, survey.chosen.ended) * hz // NS,
        "cpu_cycles": survey.everybody.cpu_ns * hz // NS,
        "chosen_cpu_cycles": survey.chosen.cpu_ns * hz // NS,
        "chosen_syscalls": survey.chosen.calls,
        "chosen_switches": survey.chosen.switches,
        "chosen_lines": survey.chosen.lines,
        "call_cycles": _typical(survey.calls) * hz // NS,
        "context_switches": survey.switches + survey.switches_lost,
        "context_switches_printed": survey.switches,
        "syscalls": seen.get("calls", 0),
        "faults": seen.get("faults", 0),
        "forks": seen.get("forks", 0),
        "cpus": len(survey.cpus),
        "events": survey.events,
    }
    if tracer.densest_ns is not None:
        numbers["densest_cycles"] = tracer.densest_ns * hz // NS
    if tracer.untraced_ns is not None:
        numbers["untraced_cpu_cycles"] = tracer.untraced_ns * hz // NS
    elapsed = survey.header.untraced_elapsed_s
    if elapsed is not None:
        numbers["untraced_elapsed_cycles"] = round(elapsed * hz)
    return numbers
