"""Recordings of real programs: ftrace text to programs of LWPs (docs/recordings.rst states the rules)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scenarios.recordings.convert import TextOf
from scenarios.recordings.lines import LineReader
from scenarios.recordings.notes import notes
from scenarios.recordings.programs import initial
from scenarios.recordings.replay import Replay
from scenarios.recordings.survey import Survey, make_survey
from scenarios.recordings.whose import EVERYBODY, Whose
from sim.errors import InputError
from sim.kernel.program import Workload

MAX_CPUS = 256  # as many as a run can have
LONGEST_TIMER_NS = 1_000_000  # of the tick's ten; a longer one did not compute: the machine's host took the CPU
FAULT_SHARE = 4  # the fault handler's time is the lower quartile of what follows a fault


def looks_like_recording(path: Path) -> bool:
    """Whether a file is to be read as a recording: everything that is not TOML."""
    return path.suffix != ".toml"


def _median(values: list[int]) -> int:
    return sorted(values)[len(values) // 2]


def _quartile(values: list[int]) -> int:
    return sorted(values)[len(values) // FAULT_SHARE] if values else 0


def open_recording(path: Path, frequency_hz: int, seed: int = 0, whose: Whose = EVERYBODY) -> Callable[[], Workload]:
    """Read a recording once to validate it; return a source of fresh workloads of it.

    Raises InputError if the file is no recording; then nothing has been run yet.
    """
    text = TextOf(path)
    try:
        survey = make_survey(text.path, whose=whose)
    except InputError as error:
        raise InputError(str(error).replace(str(text.path), str(path))) from None
    survey.text = text
    if not survey.users and (survey.calls_show or not survey.perhaps_users):
        raise InputError(
            f"{path}: no user task in its events, only idle CPUs and kernel threads; there is nothing to isolate"
        )
    if not survey.chosen.tasks:
        raise InputError(f"{path}: {whose.nobody()}")

    def source() -> Workload:
        return _workload(survey, frequency_hz, seed)

    return source


def _workload(survey: Survey, hz: int, seed: int) -> Workload:
    """One workload: a fresh reader and fresh programs."""
    replay = Replay(survey, hz, _quartile(survey.fault_gaps))
    replay.assumptions.update(survey.tolerated)
    for name, n in sorted(survey.unknown.items()):
        replay.assumptions[f"unknown_event_{name}"] = n
    if survey.idle_devices:
        replay.assumptions["device_interrupts_while_idle_dropped"] = survey.idle_devices
    cut = sum(span > LONGEST_TIMER_NS for span in survey.timer)
    if cut:
        replay.assumptions["timer_interrupts_cut"] = cut
    timer = sum(min(span, LONGEST_TIMER_NS) for span in survey.timer)
    elapsed = replay.cycles(survey.last - survey.gap_ns)
    return Workload(
        name=survey.path.name,
        cpus=min(len(survey.cpus), MAX_CPUS),
        lwps=initial(replay),
        seed=seed,
        assumptions=replay.assumptions,
        recorded={
            "elapsed_cycles": elapsed,
            "context_switches": survey.switches + survey.switches_lost,
            "context_switches_printed": survey.switches,
            "cpus": len(survey.cpus),
        },
        timer_work=timer * hz // (len(survey.timer) * 1_000_000_000) if survey.timer else None,
        notes=notes(survey),
        idle_exit=_median(survey.idle_exit) * hz // 1_000_000_000 if survey.idle_exit else None,
    )


__all__ = ["LineReader", "looks_like_recording", "open_recording"]
