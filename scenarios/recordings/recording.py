"""A recording that has been read, and what runs of it need, on whatever machine and with whatever seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from scenarios.recordings.convert import TextOf
from scenarios.recordings.learned import Survey
from scenarios.recordings.parts import Parts
from scenarios.recordings.survey import make_survey
from scenarios.recordings.tracer import make_tracer
from scenarios.recordings.whose import EVERYBODY, Whose
from scenarios.recordings.windows import Sample
from scenarios.recordings.workload import Prepared, prepare, prepare_sample
from sim.errors import InputError
from sim.kernel.program import Workload

Report = Callable[[float], None]
FIRST = 0.4  # of the time that both passes take


class Recording:
    """The first pass over a recording, which validates it, and the second passes that were asked for.

    The second turns times into cycles, so there is one for each clock, and of samples one for each set of windows.  All
    lie in temporary files, as long as this object, or what it gave, lives.  The path may be another file's by then.
    """

    def __init__(
        self, path: Path, whose: Whose = EVERYBODY, untraced_cpu_s: float | None = None, report: Report | None = None
    ) -> None:
        """Read the file at *path*.

        *whose* cost the result is about; *untraced_cpu_s*: what that program takes without a tracer (CPU seconds).
        *report* is told what share of both passes is done.  Raises InputError if the file is no recording; then nothing
        has been run yet.
        """
        self._survey = _survey(path, whose, None if report is None else lambda share: report(FIRST * share))
        if report is not None:
            self._survey.lines.report = lambda share: report(FIRST + (1 - FIRST) * share)
        self._tracer = make_tracer(self._survey, untraced_cpu_s)
        self._wholes: dict[int, Prepared] = {}
        self._parts: dict[tuple[Sample, int, int], Parts] = {}

    def source(self, hz: int, seed: int = 0) -> Callable[[], Workload]:
        """A source of fresh workloads for a clock of *hz*, for processes that are started later, too."""
        if hz not in self._wholes:
            self._wholes[hz] = prepare(self._survey, self._tracer, hz)
        return partial(self._wholes[hz].source, seed)

    def parts(self, sample: Sample, hz: int, seed: int = 0) -> Parts:
        """The same, of a sample.  Raises InputError if the recording is too short for that."""
        key = sample, hz, seed
        if key not in self._parts:
            self._parts[key] = prepare_sample(self._survey, self._tracer, hz, seed, sample)
        return self._parts[key]


def _survey(path: Path, whose: Whose, report: Report | None) -> Survey:
    """What a first pass over the file learns.  Raises InputError if it is no recording of anybody asked for."""
    text = TextOf(path)
    try:
        survey = make_survey(text.path, whose=whose, report=report)
    except InputError as error:
        raise type(error)(str(error).replace(str(text.path), str(path))) from None
    if not survey.users and (survey.calls_show or not survey.perhaps_users):
        raise InputError(
            f"{path}: no user task in its events, only idle CPUs and kernel threads; there is nothing to isolate"
        )
    if not survey.chosen.tasks:
        raise InputError(f"{path}: {survey.whose.nobody()}")
    return survey
