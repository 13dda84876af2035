"""Recordings of real programs: ftrace text to programs of LWPs (docs/recordings.rst states the rules)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scenarios.recordings.convert import TextOf
from scenarios.recordings.learned import Survey
from scenarios.recordings.lines import LineReader
from scenarios.recordings.parts import Parts
from scenarios.recordings.survey import make_survey
from scenarios.recordings.tracer import make_tracer
from scenarios.recordings.whose import EVERYBODY, Whose
from scenarios.recordings.windows import Sample
from scenarios.recordings.workload import prepare, prepare_sample
from sim.errors import InputError
from sim.kernel.program import Workload


def looks_like_recording(path: Path) -> bool:
    """Whether a file is to be read as a recording: everything that is not TOML."""
    return path.suffix != ".toml"


def open_recording(
    path: Path, frequency_hz: int, seed: int = 0, whose: Whose = EVERYBODY, untraced_cpu_s: float | None = None
) -> Callable[[], Workload]:
    """Read a recording once to validate it; return a source of fresh workloads of it, for processes started later, too.

    *whose* cost the result is about; *untraced_cpu_s*: what that program takes without a tracer (CPU seconds).
    Raises InputError if the file is no recording; then nothing has been run yet.
    """
    survey = _survey(path, whose)
    return prepare(survey, make_tracer(survey, untraced_cpu_s), frequency_hz, seed).source


def open_sample(
    path: Path, sample: Sample, frequency_hz: int, seed: int = 0, whose: Whose = EVERYBODY,
    untraced_cpu_s: float | None = None,
) -> Parts:  # fmt: skip
    """The same, of a sample of the recording.  Raises InputError, also if it is too short for that."""
    survey = _survey(path, whose)
    return prepare_sample(survey, make_tracer(survey, untraced_cpu_s), frequency_hz, seed, sample)


def _survey(path: Path, whose: Whose) -> Survey:
    """What a first pass over the file learns.  Raises InputError if it is no recording of anybody asked for."""
    text = TextOf(path)
    try:
        survey = make_survey(text.path, whose=whose)
    except InputError as error:
        raise InputError(str(error).replace(str(text.path), str(path))) from None
    if not survey.users and (survey.calls_show or not survey.perhaps_users):
        raise InputError(
            f"{path}: no user task in its events, only idle CPUs and kernel threads; there is nothing to isolate"
        )
    if not survey.chosen.tasks:
        raise InputError(f"{path}: {survey.whose.nobody()}")
    return survey


__all__ = ["LineReader", "looks_like_recording", "open_recording", "open_sample"]
