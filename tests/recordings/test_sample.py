"""Samples: windows that come to the whole if there is nothing between them, and do the same under every design."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest

from analysis.overview import headline, interval_text
from analysis.results import read_result
from analysis.sampling import enough, points, ratio
from scenarios.open import open_scenario
from scenarios.recordings import windows as windows_module
from scenarios.recordings.followed import FollowedReplay
from scenarios.recordings.life import Life
from scenarios.recordings.parts import Divider
from scenarios.recordings.survey import make_survey
from scenarios.recordings.tasks import Space
from scenarios.recordings.tracer import make_tracer
from scenarios.recordings.windows import COOL_LINES, WARM_LINES, Sample, Window, plan, read_sample
from scenarios.scenario import Scenario
from sim.cli import main
from sim.errors import InputError
from sim.experiments.sampled import run_sample
from sim.hardware.steps import Access
from sim.kernel.program import Mark, Sleep, Syscall, Work
from sim.timed.paired import PairedResult, RunResult, run_paired
from tests.recordings.traces import HZ, IDLE, A, B, Event, call, enter, fault, ftrace, leave, switch, wakeup, write
from tools.equality import beginning
from tools.fuzzing.recordings import text

COUNTED = ("syscalls", "faults", "forks", "execs", "exits", "mmap")
Open = Callable[..., Scenario]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """The beginning of a shipped recording, perhaps a sample of it."""
    folder = tmp_path_factory.mktemp("beginnings")

    def make(name: str, lines: int, sample: str | None = None) -> Scenario:
        path = beginning(name, lines, folder)
        return open_scenario(path, sample=None if sample is None else read_sample(sample))

    return make


def options(scenario: Scenario, **other: Any) -> dict[str, Any]:
    return {"profile": "svs-netbsd9", "baseline": "none", "pcid": None, "cpus": 2, "costs": scenario.costs,
            "seed": 0} | other  # fmt: skip


def sampled(scenario: Scenario, **other: Any) -> PairedResult:
    return run_sample(scenario, options(scenario, **other), jobs=1)[0]


def whole(scenario: Scenario) -> PairedResult:
    return run_paired(scenario.source, **options(scenario))


def both(pair: PairedResult) -> tuple[RunResult, RunResult]:
    return pair.baseline, pair.profile


# --- windows and the whole ------------------------------------------------------------------------------------------


def test_one_window_of_everything_is_the_whole(opened: Open) -> None:
    scenario, entire = opened("cc-build", 1500, "1:1"), opened("cc-build", 1500)
    found, wanted = sampled(scenario), whole(entire)
    assert scenario.parts is not None
    assert scenario.parts.parts[0].lines == found.baseline.recorded["events"]
    for one, other in zip(both(found), both(wanted), strict=True):
        assert one.ledger == {cause: charged for cause, charged in other.ledger.items() if cause != "idle"}
        assert (one.counters, one.busy_cycles, one.elapsed_cycles) == (
            other.counters, other.busy_cycles, other.elapsed_cycles
        )  # fmt: skip
        assert (one.frames["tasks"], one.frames["calls"]) == (other.frames["tasks"], other.frames["calls"])


@pytest.mark.parametrize(("name", "lines"), [("cc-build", 2500), ("munmap-storm", 1500), ("redis", 1500)])
def test_windows_without_gaps_come_to_the_whole(name: str, lines: int, opened: Open) -> None:
    """What a program does lies in exactly one window; only where tasks meet is anything else than in one run."""
    scenario, entire = opened(name, lines, "1:3"), opened(name, lines, "1:1")
    assert scenario.parts is not None
    assert entire.parts is not None
    assert sum(part.work for part in scenario.parts.parts) == entire.parts.parts[0].work
    found, wanted = sampled(scenario), whole(opened(name, lines))
    for one, other in zip(both(found), both(wanted), strict=True):
        assert [one.counters.get(n) for n in COUNTED] == [other.counters.get(n) for n in COUNTED]
        assert one.busy_cycles == pytest.approx(other.busy_cycles, rel=0.01)


def test_both_runs_of_a_pair_do_the_same_in_each_window(opened: Open) -> None:
    pair = sampled(opened("cc-build", 2500, "0.3:3"))
    base, profile = (run.frames["windows"] for run in both(pair))
    for column in ("window", "time_cycles", "lines", "work_cycles"):
        assert base[column] == profile[column]
    assert len(set(base["work_cycles"])) == 3
    for name in ("syscalls", "forks", "execs", "exits"):
        assert pair.baseline.counters.get(name) == pair.profile.counters.get(name)
    assert pair.baseline.busy_cycles < pair.profile.busy_cycles
    assert pair.baseline.conserved
    assert pair.profile.conserved


def test_both_engines_and_any_number_of_processes_say_the_same(opened: Open) -> None:
    scenario = opened("munmap-storm", 1500, "0.3:2")
    fast = run_sample(scenario, options(scenario), jobs=1)
    assert fast == run_sample(scenario, options(scenario, engine="plain"), jobs=1)
    assert fast == run_sample(scenario, options(scenario), jobs=2)


PAGES = (0x400000, 0x401000, 0x402000, 0x403000)


def state_events() -> list[Event]:
    """A task maps and unmaps pages, and sleeps in a call from 60 to 90 us; another computes, and wakes it."""
    return [
        *(fault(10 + n, 0, *A, page, 4 if n == 2 else 6) for n, page in enumerate(PAGES)),
        *call(20, 22, 0, *A, 11, f"{PAGES[1]:x}, 1000, 0, 0, 0, 0"),
        *call(25, 27, 0, *A, 10, f"{PAGES[0]:x}, 1000, 1, 0, 0, 0"),
        *call(30, 31, 1, *B, 39), enter(50, 0, *A, 0), switch(60, 0, A, "S", IDLE), *call(70, 75, 1, *B, 39),
        wakeup(80, 1, IDLE, A, flags="dNh2."), switch(90, 0, IDLE, "R", A), leave(95, 0, *A, 0),
        *call(97, 98, 0, *A, 39), *call(99, 100, 1, *B, 39),
    ]  # fmt: skip


def test_a_window_begins_where_the_lines_before_have_led_to(tmp_path: Path) -> None:
    """Its pages, with what may be done to them, its sleepers with what is left of their sleep, and its open calls."""
    events = sorted(state_events(), key=lambda event: event.at)
    survey = make_survey(write(tmp_path / "state.txt", ftrace(events)))
    divider = Divider()
    replay = FollowedReplay(survey, HZ, 0, make_tracer(survey, None), divider)
    before = 1_000 * (60 - 10 + 72 - 30)  # by 72 us: one ran from 10 to 60 us, the other from 30 us on
    window = Window(0, before, before + 2_000, before + 20_000, before + 21_000)
    (part,) = divider.divide(replay, [window], 1_000_000)
    alpha, beta = sorted(part.specs(), key=lambda spec: spec.name)
    assert dict(part.pages(alpha.group)) == {PAGES[0]: False, PAGES[2]: False, PAGES[3]: True}
    assert dict(part.pages(beta.group)) == {}
    asleep, *_ = alpha.program
    assert isinstance(asleep, Syscall)
    assert list(asleep.body)[:3] == [Mark(0, end=False, asleep=True), Sleep(8_000), Mark(0, end=False)]
    inside, *_ = beta.program
    assert isinstance(inside, Syscall)
    assert list(inside.body) == [Work(2_000), Mark(0, end=False), Work(1_000)]


class Entered(dict[int, bool]):
    """Pages in a process's tables, and how often one was written down."""

    written = 0

    def __setitem__(self, page: int, write: bool) -> None:
        self.written += 1
        super().__setitem__(page, write)


@pytest.mark.parametrize("resident", [True, False])
def test_touched_pages_are_entered_once_and_once_more_to_be_written(tmp_path: Path, resident: bool) -> None:
    """A stretch touches up to 16 pages, nearly always those of the stretch before."""
    survey = make_survey(write(tmp_path / "t", ftrace(call(10, 20, 0, *A, 39))))
    replay = FollowedReplay(survey, HZ, 0, make_tracer(survey, None), Divider())
    task = replay.add(Life(99, 99, "t"), Space(resident=resident), system=False)
    entered = task.space.entered = Entered()
    reads, writes = (tuple(page | access for page in PAGES[:2]) for access in (Access.READ, Access.WRITE))
    for _ in range(3):
        task.put(("u", 100, tuple(reads)))
        task.put(("c", "getpid", False, 39, 5))
    assert (entered, entered.written) == (dict.fromkeys(PAGES[:2], resident), 2)
    for touches in (writes, reads):
        task.put(("u", 100, touches))
    assert (entered, entered.written) == (dict.fromkeys(PAGES[:2], True), 2 if resident else 4)


@pytest.mark.parametrize("seed", [26, 51, 78, 137])
def test_odd_recordings_can_be_sampled(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made up by the fuzzer: windows with kernel threads alone, or with processes that do nothing in them."""
    for name, lines in {"SHORTEST": 3, "WARM_LINES": 15, "COOL_LINES": 8}.items():
        monkeypatch.setattr(windows_module, name, lines)
    path = tmp_path / "odd.txt"
    path.write_text(text(Random(seed)), encoding="utf-8")
    scenario = open_scenario(path, sample=Sample(Fraction(3, 10), 3))
    found = sampled(scenario)
    assert 0 < len(found.baseline.frames["windows"]["window"]) <= 3
    for name in ("syscalls", "forks", "execs"):
        assert found.baseline.counters.get(name) == found.profile.counters.get(name)


# --- the plan -------------------------------------------------------------------------------------------------------


def test_windows_are_spread_evenly_from_a_place_that_the_seed_draws() -> None:
    windows = plan(read_sample("0.1:20"), 1_000_000, 50_000_000, 3)
    assert [window.end - window.begin for window in windows] == [250_000] * 20
    assert {b.begin - a.begin for a, b in zip(windows, windows[1:], strict=False)} == {2_500_000}
    assert all(window.begin - window.warm == 50 * WARM_LINES for window in windows[1:])
    assert all(window.cool - window.end == 50 * COOL_LINES for window in windows[:-1])
    assert windows == plan(read_sample("0.1:20"), 1_000_000, 50_000_000, 3)
    assert windows[0].begin != plan(read_sample("0.1:20"), 1_000_000, 50_000_000, 4)[0].begin


def test_windows_hold_equally_much_work(opened: Open) -> None:
    """Their places lie within stretches, on either CPU."""
    parts = opened("redis", 1500, "0.4:3").parts
    entire = opened("redis", 1500, "1:1").parts
    assert parts is not None
    assert entire is not None
    share = 0.4 * entire.parts[0].work / 3
    assert [part.work for part in parts.parts] == [pytest.approx(share, rel=0.06)] * 3  # interrupts are nobody's


def test_there_are_as_many_windows_as_suit_the_length() -> None:
    lengths = (40_000, 100_000, 10_000_000)
    assert [len(plan(read_sample("0.1"), lines, 10**9, 0)) for lines in lengths] == [2, 5, 30]


@pytest.mark.parametrize("text", ["", "0", "0.0", "2", "1.5", "-0.1", "10%", "0.1:", "0.1:1", "0.1:1001", "x", "0.1:x"])
def test_bad_samples(text: str) -> None:
    with pytest.raises(InputError, match="number of windows"):
        read_sample(text)


def test_a_recording_that_is_too_short_is_refused_with_what_would_do() -> None:
    with pytest.raises(InputError, match=r"has 5,000 lines; 5 windows of 100 lines fit at most, as in 0\.1:5"):
        plan(read_sample("0.1"), 5_000, 10**9, 0)
    with pytest.raises(InputError, match="long enough"):
        plan(read_sample("0.1"), 100_000, 20, 0)
    with pytest.raises(InputError, match="run it whole"):
        plan(read_sample("0.1"), 900, 10**9, 0)


# --- estimates ------------------------------------------------------------------------------------------------------


def test_an_estimate_is_the_ratio_of_the_sums_with_students_interval() -> None:
    """Checked by hand: ratio 0.11, residuals -1, 1, 0, t for two degrees of freedom 4.3027."""
    found = ratio([(100, 110), (100, 112), (100, 111)])
    assert found == {"mean": 11.0, "low": pytest.approx(11 - 2.484138), "high": pytest.approx(11 + 2.484138)}
    assert points([(0, 3), (0, 3)], [100, 100]) == {"mean": 3.0, "low": 3.0, "high": 3.0}
    assert ratio([(100, 110)]) == {"mean": 10.0, "low": None, "high": None}
    assert ratio([(0, 0), (0, 0)])["mean"] is None
    assert ratio([(100, 110), (0, 0), (0, 0)]) == {"mean": 10.0, "low": None, "high": None}  # one window shows it


def test_windows_enough_for_a_tenth() -> None:
    assert enough({"mean": 10.0, "low": 8.0, "high": 12.0}, 10) == 40
    assert enough({"mean": 10.0, "low": None, "high": None}, 1) is None
    assert enough({"mean": 0.0, "low": -1.0, "high": 1.0}, 10) is None


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_says_that_it_is_a_sample(tmp_path: Path, opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    path = opened("cc-build", 2500).path
    assert main(["run", str(path), "--sample", "0.2:2", "--out", str(tmp_path / "out"), "--jobs", "1"]) == 0
    shown = capsys.readouterr().out
    assert "cc-build, sampled:" in shown
    assert "A sample of 491 of 2,489 lines, in 2 windows" in " ".join(shown.split())
    assert shown.count("95 % interval") >= 2
    assert shown.count("in the sample") == 3
    result = read_result(tmp_path / "out")
    assert result.frames() == ["calls", "tasks", "windows"]
    sample = result.summary["sample"]
    assert sample["busy"]["low"] < sample["busy"]["mean"] < sample["busy"]["high"]
    assert sample["busy"]["mean"] == result.summary["overhead_percent"]
    assert sum(row["mean"] for row in sample["causes"]) == pytest.approx(sample["busy"]["mean"], abs=1e-4)
    with pytest.raises(InputError, match="without --sample"):
        result.frame("switches")
    for words in (["report", str(tmp_path / "out")], ["chart", str(tmp_path / "out")]):
        assert main([*words, "--quiet"]) == 0
    assert main(["run", str(path), "--out", str(tmp_path / "all"), "--jobs", "1", "--quiet"]) == 0
    assert main(["compare", str(tmp_path / "out"), str(tmp_path / "all"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"what": "sample", "a": "491 of 2,489 lines in 2 windows", "b": None} in found["set_up"]
    assert found["counters"] == []
    repeated = read_result(tmp_path / "all").summary["repeats"]["busy"]
    for name, busy in (("a", sample["busy"]), ("b", repeated)):
        assert found["intervals"][name] == {"low": busy["low"], "high": busy["high"]}
    elapsed = [found["answer"][f"{run}_elapsed_s"] for run in ("baseline", "profile")]
    assert [one["a"] for one in elapsed] == [one["difference"] for one in elapsed] == [None, None]
    assert all(one["b"] > 0 for one in elapsed)
    assert main(["compare", str(tmp_path / "out"), str(tmp_path / "all")]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("95 % interval"))
    assert line.split()[3:] == [*interval_text(sample["busy"]).split(), *interval_text(repeated).split()]


def test_a_sample_can_be_about_some_tasks(tmp_path: Path, opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    path = opened("redis", 1500).path
    words = ["run", str(path), "--sample", "0.3:2", "--comm", "redis-server", "--jobs", "1", "--json"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    summary = json.loads(capsys.readouterr().out)
    whose, sample = summary["whose"], summary["sample"]
    assert 0 < whose["busy_cycles"]["baseline"] < summary["busy_cycles"]["baseline"]
    assert whose["overhead_percent"] == sample["busy"]["mean"] != summary["overhead_percent"]
    assert "elapsed_cycles" not in whose
    assert summary["repeats"] is None
    assert main(["export", str(tmp_path / "out"), "--perfetto"]) == 2
    assert "without --sample" in capsys.readouterr().err


def test_whom_no_window_shows() -> None:
    """The program may well have been busy between the windows."""
    whose = {"overhead_percent": None, "label": "command 'sh'"}
    summary = {"scenario": "dd-512", "whose": whose, "sample": {"windows": 2}}
    assert headline(summary) == "dd-512, command 'sh', sampled: on no CPU in 2 windows; more windows may show it"
    assert headline(summary | {"sample": None}) == "dd-512, command 'sh': no CPU was busy"


def test_too_short_a_recording_is_named(tmp_path: Path, opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    path = opened("redis", 1500).path
    assert main(["run", str(path), "--sample", "0.2:50", "--out", str(tmp_path / "out")]) == 2
    assert f"error: {path}: sample 0.2:50: the recording is too short" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["null-syscall", "--sample", "0.1"], "--sample is for recordings"),
        (["redis", "--sample", "10%"], "--sample 10%: give a share"),
        (["redis", "--sample", "0.1", "--window", "1ms:2ms"], "--sample and --window"),
        (["redis", "--sample", "0.1", "--repeat", "3"], "--sample and --repeat"),
    ],
)
def test_where_there_can_be_no_sample(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *words, "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert says in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "out").exists()
