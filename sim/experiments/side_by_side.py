"""Baseline and profile at the same time, in two processes: the same integers as one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from multiprocessing import Pipe, parent_process
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from sim.experiments.passed_on import Received, Sent
from sim.timed.paired import PairedResult, RunResult, check_pair, run_once
from sim.workers import Workers

if TYPE_CHECKING:
    from scenarios.scenario import Scenario

Progress = Callable[[str, float], None]
SECONDS = 0.1  # between two looks at how far the other process is
STEPS = 100  # so many times it says so, which a pipe holds if nobody looks
LEAST_SIZE = 10_000  # less is run sooner than a process has started

_passed: tuple[Callable[[], Scenario], Connection, Connection | None] | None = None


def worth_a_process(scenario: Scenario, jobs: int) -> bool:
    """Whether the scenario is long enough for a second process, if *jobs* allows one and this is not one already."""
    return jobs > 1 and scenario.size >= LEAST_SIZE and parent_process() is None


def run_side_by_side(
    scenario: Scenario, options: Mapping[str, Any], *, window: tuple[int, int] | None = None,
    progress: Progress | None = None, meanwhile: Callable[[], None] = lambda: None,
) -> PairedResult:  # fmt: skip
    """Run the pair with the *options* of :func:`sim.timed.paired.run_paired`; the profile's run is the other process.

    *meanwhile* is called when the baseline has ended and the profile's run, the longer one mostly, goes on.  A failure
    of the baseline is raised before one of the profile, as if they ran one after the other.
    """
    check_pair(options["profile"], options["baseline"], options["cpus"])
    theirs, mine = Pipe(duplex=False)
    heard, said = Pipe(duplex=False)
    end = said if progress is not None else None
    with mine, heard, Workers(1, _begin, scenario.reopen, theirs, end) as workers:
        future = workers.submit(_run_profile, dict(options), window)
        theirs.close()
        said.close()
        shown = _Shown(progress, heard)
        payments = Sent(mine)
        baseline = run_once(
            scenario.source(), options["baseline"], **_shared(options), deductions=payments, progress=shown.report,
            window=window,
        )  # fmt: skip
        payments.end()
        shown.report(1.0)
        meanwhile()
        shown.wait_for(future)
        return PairedResult(baseline, future.result())


def _shared(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that both runs have."""
    return {name: options[name] for name in ("pcid", "cpus", "costs", "engine")}


class _Shown:
    """How far both runs are, for whoever wants to know."""

    def __init__(self, progress: Progress | None, heard: Connection) -> None:
        self._progress = progress
        self._heard = heard

    def report(self, fraction: float) -> None:
        """The baseline's run is so far; pass on what the other one has said, too."""
        if self._progress is not None:
            self._progress("baseline", fraction)
            self._pass_on()

    def _pass_on(self) -> None:
        assert self._progress is not None
        with suppress(EOFError):
            while self._heard.poll():
                self._progress("profile", self._heard.recv())

    def wait_for(self, future: Future[RunResult]) -> None:
        """Wait for the profile's run."""
        if self._progress is None:
            return
        while not wait([future], timeout=SECONDS).done:
            self._pass_on()
        self._progress("profile", 1.0)


def _begin(reopen: Callable[[], Scenario], payments: Connection, said: Connection | None) -> None:
    """The other process gets what can only be passed to it at its start."""
    global _passed  # noqa: PLW0603 - what a process knows besides its arguments
    _passed = reopen, payments, said


def _run_profile(options: dict[str, Any], window: tuple[int, int] | None) -> RunResult:
    """The profile's run, in the other process."""
    assert _passed is not None
    reopen, connection, said = _passed
    steps = 0

    def report(fraction: float) -> None:
        nonlocal steps
        if said is not None and fraction * STEPS >= steps + 1:
            steps = int(fraction * STEPS)
            said.send(fraction)

    with connection:
        return run_once(
            reopen().source(), options["profile"], **_shared(options), replay=Received(connection), progress=report,
            window=window,
        )  # fmt: skip
