"""Baseline and profile in two processes: the same integers, and every failure as in one."""

from __future__ import annotations

import os
import signal
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn

import pytest

from scenarios.open import open_scenario
from scenarios.scenario import Scenario
from sim.errors import InputError, Standstill
from sim.experiments import side_by_side
from sim.experiments.passed_on import BATCH, LOOK, Received, Sent
from sim.experiments.side_by_side import run_side_by_side, worth_a_process
from sim.timed.paired import run_paired
from tests.recordings.traces import Event, call, ftrace, switch, write

A, B = ("alpha", 10), ("beta", 11)


def busy(rounds: int) -> list[Event]:
    """Two tasks in turn on one CPU, with so many calls that their payments fill several messages."""
    events = []
    for at in range(0, 400 * rounds, 400):
        for start, who, other in ((at, A, B), (at + 200, B, A)):
            events += [event for n in range(9) for event in call(start + 20 * n, start + 20 * n + 9, 0, *who, 39)]
            events.append(switch(start + 190, 0, who, "R", other))
    return events


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    return open_scenario(write(tmp_path / "t", ftrace(busy(60))))


def options(scenario: Scenario) -> dict[str, Any]:
    return {"profile": "svs-netbsd9", "baseline": "none", "pcid": False, "cpus": 2, "costs": scenario.costs, "seed": 0,
            "engine": "fast"}  # fmt: skip


def test_the_pair_is_the_same_in_two_processes(scenario: Scenario) -> None:
    shown: list[tuple[str, float]] = []
    called = []
    window = (100_000, 400_000)
    found = run_side_by_side(
        scenario, options(scenario), window=window, progress=lambda *seen: shown.append(seen),
        meanwhile=lambda: called.append(1),
    )  # fmt: skip
    assert found == run_paired(scenario.source, **options(scenario), window=window)
    assert found.profile.assumptions["cycles_deducted"] > 0
    assert called == [1]
    assert {stage for stage, fraction in shown if fraction == 1.0} == {"baseline", "profile"}


def test_a_behaviour_is_read_again_in_the_other_process() -> None:
    scenario = open_scenario("mixed-server", overrides={"group.0.iterations": 20})
    assert run_side_by_side(scenario, options(scenario)) == run_paired(scenario.source, **options(scenario))


def test_what_is_too_short_or_may_not_have_two_processes_has_one(scenario: Scenario) -> None:
    long = replace(scenario, size=side_by_side.LEAST_SIZE)
    assert worth_a_process(long, 2)
    assert not worth_a_process(long, 1)
    assert not worth_a_process(replace(long, size=side_by_side.LEAST_SIZE - 1), 2)


def test_the_size_of_a_behaviour_grows_with_all_that_it_does() -> None:
    def size(**changed: Any) -> int:
        return open_scenario("mmap-storm", overrides={f"group.0.{key}": value for key, value in changed.items()}).size

    assert size(iterations=20) == 2 * size(iterations=10)
    assert size(lwps=6) == 3 * size(lwps=2)
    assert size(pages_per_burst=4) > size(pages_per_burst=0)
    forks = open_scenario("fork-exec")
    assert forks.size > open_scenario("fork-exec", overrides={"group.0.iterations": 1}).size > 0


# --- failures -----------------------------------------------------------------------------------------------------


def fails(error: Exception) -> NoReturn:
    """Fail in the profile's process, as a run in it might."""
    raise error


def is_killed() -> NoReturn:
    """End the profile's process as the system does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize(
    "error", [Standstill("all wait"), InputError("bad"), MemoryError("full"), OSError(28, "No space")]
)
def test_a_failure_of_the_profile_is_raised_here(scenario: Scenario, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error.args[-1])):
        run_side_by_side(replace(scenario, reopen=partial(fails, error)), options(scenario))


def test_a_failure_of_the_baseline_comes_first(scenario: Scenario) -> None:
    both = replace(
        scenario, source=partial(fails, Standstill("baseline")), reopen=partial(fails, InputError("profile"))
    )
    with pytest.raises(Standstill, match="baseline"):
        run_side_by_side(both, options(scenario))


def test_a_process_that_is_killed_ends_the_run(scenario: Scenario) -> None:
    with pytest.raises(BrokenProcessPool):
        run_side_by_side(replace(scenario, reopen=is_killed), options(scenario))


# --- payments on their way ------------------------------------------------------------------------------------------


def test_payments_arrive_in_order_whoever_is_ahead() -> None:
    """One key's lie far behind another's: what is not asked for yet goes to a file, and the writer is never stuck."""
    reader, writer = Pipe(duplex=False)
    sent, received = Sent(writer), Received(reader)
    many = 100 * BATCH  # more than a pipe holds

    def pay() -> None:
        for n in range(many):
            sent.append("a" if n % 4 else "b", n)
        sent.close("a")
        sent.append("c", 5)
        sent.unpaid = 7
        sent.end()

    thread = Thread(target=pay)
    thread.start()
    ours = [n for n in range(many) if n % 4]
    assert [received.next("a") for _ in ours[:LOOK]] == ours[:LOOK]
    assert [received.next("b") for _ in range(many // 4)] == list(range(0, many, 4))
    assert [received.next("a") for _ in ours[LOOK:]] == ours[LOOK:]
    assert [received.next("a"), received.next("c"), received.next("c"), received.next("d")] == [0, 5, 0, 0]
    assert (received.total, received.unpaid) == (sum(range(many)) + 5, 7)
    thread.join()


def test_an_lwp_that_has_exited_is_not_waited_for() -> None:
    reader, writer = Pipe(duplex=False)
    sent, received = Sent(writer), Received(reader)
    sent.append("a", 3)
    sent.close("a")
    sent.finish()
    assert [received.next("a"), received.next("a")] == [3, 0]


def test_a_writer_goes_on_when_nobody_reads() -> None:
    reader, writer = Pipe(duplex=False)
    sent = Sent(writer)
    reader.close()
    for n in range(3 * BATCH):
        sent.append("a", n)
    sent.end()
    assert sent.total == sum(range(3 * BATCH))


def test_nothing_is_sent_where_nothing_is_paid() -> None:
    """A behaviour's reader does not look before its end: many exits of LWPs must not fill the pipe."""
    reader, writer = Pipe(duplex=False)
    sent = Sent(writer)
    for n in range(20 * BATCH):
        sent.close(str(n))
    assert not reader.poll()
    sent.end()
    assert Received(reader).total == 0
