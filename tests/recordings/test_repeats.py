"""How sure a difference is: runs with what a recording cannot know drawn anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.overview import headline, interval_text, not_seen
from scenarios.open import open_scenario
from sim.cli import main
from sim.experiments.repeats import USUAL, run_repeats, sureness, usual_repeats
from sim.timed.phases import Phases
from tests.recordings.traces import IDLE, A, B, Event, call, ftrace, switch, wakeup, write

OPTIONS = {"profile": "svs-netbsd9", "baseline": "none", "pcid": None, "engine": "fast"}


def sleepers() -> list[Event]:
    """Two tasks that sleep and are woken in turn, so that CPUs leave the idle state often."""
    events = []
    for at in range(0, 40_000, 2_000):
        for cpu, who in enumerate((A, B)):
            events += [*call(at + 7 * cpu, at + 7 * cpu + 5, cpu, *who, 0), switch(at + 500, cpu, who, "S", IDLE),
                       wakeup(at + 1_500, cpu, IDLE, who, flags="dNh2.", target=cpu),
                       switch(at + 1_503 + at % 7, cpu, IDLE, "R", who)]  # fmt: skip
    return sorted(events, key=lambda e: e.at)


def run(path: Path, out: str, *options: str) -> dict[str, Any]:
    """The summary, but for the command line, which names the folder."""
    folder = path.parent / out
    assert main(["run", str(path), "--out", str(folder), "--quiet", *options]) == 0
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return {key: value for key, value in summary.items() if key != "command"}


def test_draws_differ_and_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "t", ftrace(sleepers()))
    first = run(path, "a", "--repeat", "3")
    percents = first["repeats"]["busy"]["percents"]
    assert len(set(percents)) == 3
    assert percents[0] == first["overhead_percent"]
    assert run(path, "b", "--repeat", "3") == first
    assert run(path, "c", "--repeat", "3", "--seed", "7")["repeats"] != first["repeats"]


def test_processes_of_their_own_give_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = open_scenario(write(tmp_path / "t", ftrace(sleepers())))
    options = {**OPTIONS, "cpus": 2, "costs": scenario.costs, "seed": 0}
    here = run_repeats(scenario, 3, options, 2)
    monkeypatch.setattr("sim.experiments.repeats.IN_PROCESS_EVENTS", 0)
    assert run_repeats(scenario, 3, options, 2) == here


def test_a_recording_is_repeated_as_its_length_allows_and_a_behaviour_run_once(tmp_path: Path) -> None:
    assert [usual_repeats(n) for n in (0, 10, 20_000, 10**7)] == [1, USUAL, 2, 1]
    path = write(tmp_path / "t", ftrace(sleepers()))
    found = run(path, "a")
    assert found["repeats"]["runs"] == USUAL
    assert f"{USUAL} runs)" in headline(found)
    assert headline(run(path, "a", "--repeat", "1")).endswith("(1 run)")


@pytest.mark.parametrize("n", ["0", "1001", "many"])
def test_a_number_of_repeats_that_is_none(tmp_path: Path, n: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "t", ftrace(sleepers()))
    assert main(["run", str(path), "--out", str(tmp_path / "o"), "--repeat", n]) == 2
    assert "--repeat" in capsys.readouterr().err


def test_an_interval_that_contains_zero_is_no_difference() -> None:
    """Means and intervals by hand: of 1, 2 and 3 the 95 % interval is 2 ± 4.303 / sqrt(3)."""
    pairs = [{"busy": (100, 100 + n), "elapsed": (100, 102)} for n in (2, 1, 3)]
    found = sureness(pairs[0], pairs[1:])  # type: ignore[arg-type]
    assert found["runs"] == 3
    assert found["busy"]["mean"] == 2.0
    assert found["busy"]["low"] == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-5)
    assert not_seen(found["busy"])
    assert (found["elapsed"]["low"], found["elapsed"]["high"], not_seen(found["elapsed"])) == (2.0, 2.0, False)
    assert interval_text(found["busy"]) == "-0.5 to +4.5 %"
    summary = {"scenario": "x", "profile": "pti", "baseline": "none", "overhead_percent": 2.0, "repeats": found}
    assert headline(summary) == "x: no difference in CPU time seen between pti and none (-0.5 to +4.5 %, 3 runs)"


def test_draw_0_is_as_written_and_others_differ() -> None:
    usual, drawn = Phases(0, 1, 4, 1000), Phases(1, 1, 4, 1000)
    assert [usual.first_tick(cpu) for cpu in range(4)] == [250, 500, 750, 1000]
    assert [usual.first_cpu(n) for n in range(5)] == [0, 1, 2, 3, 0]
    assert next(usual.idle_exits(0, 77, [1, 2, 3])) == 77
    assert all(1 <= drawn.first_tick(cpu) <= 1000 for cpu in range(4))
    assert len({drawn.first_tick(cpu) for cpu in range(4)}) > 1
    exits = drawn.idle_exits(0, 77, [1, 2, 3])
    assert {next(exits) for _ in range(50)} == {1, 2, 3}
    assert next(drawn.idle_exits(0, 77, [])) == 77
