"""Sweeps of samples: the numbers of ``run --sample``, each with its interval, and nothing that windows cannot carry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.charts import available, draw, open_result
from analysis.charts.overhead import df_overhead
from analysis.charts.style import df_intervals
from analysis.report import make_report
from analysis.sampling import samples_text
from scenarios.open import open_scenario
from scenarios.recordings import recording
from scenarios.recordings.survey import make_survey
from scenarios.recordings.windows import Sample, read_sample
from scenarios.recordings.workload import prepare, prepare_sample
from sim.cli import main
from sim.errors import InputError
from sim.experiments.sampled import run_sample
from sim.experiments.sweep import load_sweep, run_sweep
from sim.experiments.sweep import point as point_module
from sim.experiments.sweep.contents import file_hash
from sim.experiments.sweep.point import Job, run_job, run_sent
from sim.scratch import NoRoomError
from sim.version import version
from tools.equality import beginning

GRID = """
title = "a compiler and a server"
scenarios = ["cc-build.ftrace", "redis.ftrace"]
profiles = ["svs-netbsd9", "pti"]
cpus = 2
sample = "0.3:2"
"""
WHOLE_ONLY = ("elapsed", "shootdown_", "shootdowns", "steady", "warmup", ": idle")  # in columns' names


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two short recordings that lie beside it."""
    folder = tmp_path_factory.mktemp("sampled")
    for name in ("cc-build", "redis"):
        beginning(name, 1500, folder)
    path = folder / "sampled.toml"
    path.write_text(GRID)
    return path


@pytest.fixture(scope="module")
def out(file: Path) -> Path:
    """Its result."""
    assert not run_sweep(load_sweep(file), file.parent / "out").failures
    return file.parent / "out"


def other(file: Path, old: str, new: str) -> Path:
    """The same sweep, with a change."""
    path = file.with_name("other.toml")
    path.write_text(GRID.replace(old, new, 1))
    return path


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passes over recordings from now on: the file's name for the first, and what the second is for."""
    found: list[str] = []

    def first(path: Path, **options: Any) -> Any:
        found.append(path.name)
        return make_survey(path, **options)

    def whole(survey: Any, tracer: Any, hz: int) -> Any:
        found.append(f"{hz / 1e9:g} GHz")
        return prepare(survey, tracer, hz)

    def sampled(survey: Any, tracer: Any, hz: int, seed: int, sample: Sample) -> Any:
        found.append(f"{sample} at {hz / 1e9:g} GHz")
        return prepare_sample(survey, tracer, hz, seed, sample)

    monkeypatch.setattr(recording, "make_survey", first)
    monkeypatch.setattr(recording, "prepare", whole)
    monkeypatch.setattr(recording, "prepare_sample", sampled)
    point_module.forget()
    return found


def test_a_point_has_the_numbers_of_a_run_with_the_same_sample(file: Path, out: Path) -> None:
    points = open_result(out).frame("points")
    assert points["sample"].tolist() == ["0.3:2"] * 4
    for row in points.to_dict("records")[:2]:
        scenario = open_scenario(file.parent / "cc-build.ftrace", seed=row["seed"], sample=read_sample("0.3:2"))
        options = {"profile": row["profile"], "baseline": "none", "pcid": None, "cpus": 2, "costs": scenario.costs,
                   "seed": row["seed"]}  # fmt: skip
        pair, sample = run_sample(scenario, options, jobs=1)
        assert row["profile_busy_cycles"] == pair.profile.busy_cycles
        assert row["profile: pmap"] == pair.profile.ledger["pmap"][1]
        assert row["syscalls"] == pair.profile.counters["syscalls"]
        assert (row["windows"], row["lines"], row["of_lines"]) == (2, sample["lines"], sample["of_lines"])
        assert row["enough_windows"] == sample["enough_windows"]
        busy = [row[f"overhead_percent{end}"] for end in ("", "_low", "_high")]
        assert busy == [sample["busy"][end] for end in ("mean", "low", "high")]
        for cause in sample["causes"]:
            found = [row[f"adds_percent: {cause['cause']}{end}"] for end in ("", "_low", "_high")]
            assert found == [cause[end] for end in ("mean", "low", "high")]


def test_what_windows_cannot_carry_is_left_out(out: Path) -> None:
    columns = open_result(out).frame("points").columns
    assert not [column for column in columns if any(part in column for part in WHOLE_ONLY)]


def test_a_recording_is_read_once_for_points_that_follow_one_another(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reads(monkeypatch)
    frame = run_sweep(load_sweep(other(file, "cpus = 2", "cpus = [1, 2]")), tmp_path / "out").frame
    assert read == ["cc-build.ftrace", "0.3:2 at 3.5 GHz", "redis.ftrace", "0.3:2 at 3.5 GHz"]
    assert frame["cpus"].tolist() == [1, 1, 2, 2] * 2
    busy = frame["baseline_busy_cycles"].tolist()
    assert len({busy[0], busy[2]}) == 2  # one CPU is not two
    assert busy[0] == busy[1]


@pytest.mark.parametrize(("change", "second"), [("", ["0.3:2 at {} GHz"]), ("replications = 2", ["{} GHz"])])
def test_machines_and_replications_share_the_first_pass_and_those_of_one_clock_the_second(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, second: list[str]
) -> None:
    """And each point has the numbers that it would have alone."""
    costs = '["haswell", "haswell@3GHz", "skylake-client"]'
    path = other(file, ', "redis.ftrace"', "")
    text = path.read_text() if not change else path.read_text().replace('sample = "0.3:2"', change)
    path.write_text(f"{text}costs = {costs}\n")
    read = reads(monkeypatch)
    frame = run_sweep(load_sweep(path), tmp_path / "out").frame
    assert sorted(read[1:]) == sorted(second[0].format(clock) for clock in ("3", "3.5"))
    assert read[0] == "cc-build.ftrace"
    assert point_module._kept.recordings == {}
    path.write_text(f'{text}costs = "haswell@3GHz"\n')
    alone = run_sweep(load_sweep(path), tmp_path / "alone").frame
    mine = frame[frame["costs"] == alone["costs"][0]].reset_index(drop=True)
    assert len(mine) == len(alone)
    assert mine.to_dict("records") == alone.to_dict("records")


@pytest.mark.parametrize("jobs", [1, 2])
def test_lines_are_kept_no_longer_than_somebody_wants_them(file: Path, jobs: int) -> None:
    """With one machine the temporary file of the first pass goes once the second has been made."""
    sweep = load_sweep(file)
    point = sweep.points[0]
    paths = {name: str(sweep.files[name]) for name in point.files}
    hashes = {name: file_hash(Path(path)) for name, path in paths.items()}
    run_job(Job(point, paths, hashes, version(), again=jobs > 1))
    assert len(point_module._kept.recordings) == jobs - 1
    point_module.forget()


def test_a_recording_that_cannot_be_read_is_not_read_for_each_point(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (file.parent / "cc-build.ftrace").read_text().splitlines()
    (file.parent / "broken.ftrace").write_text("\n".join([*lines[:1000], "\0" * 10, *lines[1000:]]))
    read = reads(monkeypatch)
    outcome = run_sweep(load_sweep(other(file, '["cc-build.ftrace"', '["broken.ftrace"')), tmp_path / "out")
    assert read == ["broken.ftrace", "redis.ftrace", "0.3:2 at 3.5 GHz"]
    assert [failure.reason for failure in outcome.failures] == [
        "broken.ftrace:1001: binary data; a recording is ftrace text, plain or gzipped"
    ] * 2
    assert outcome.computed == 2


def test_no_room_for_temporary_files_is_no_fault_of_the_recording(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be room again for the next point."""
    tried: list[Path] = []

    def full(path: Path, **options: Any) -> Any:
        tried.append(path)
        if len(tried) == 1:
            raise NoRoomError("cannot write temporary files")
        return make_survey(path, **options)

    monkeypatch.setattr(recording, "make_survey", full)
    outcome = run_sweep(load_sweep(other(file, ', "redis.ftrace"', "")), tmp_path / "out")
    assert (len(tried), outcome.computed, len(outcome.failures)) == (2, 1, 1)


def test_files_that_were_sent_are_known_by_their_contents(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a cluster, where each point's lie in a folder of their own, for as long as it runs."""
    sweep, read = load_sweep(file), reads(monkeypatch)
    rows = []
    for point in sweep.points[:2]:
        paths = {name: str(sweep.files[name]) for name in point.files}
        job = Job(point, paths, {name: file_hash(Path(path)) for name, path in paths.items()}, version())
        contents = [Path(path).read_bytes() for path in paths.values()]
        rows += [run_sent(job, *contents).row, run_job(job).row]
    assert read == ["cc-build.ftrace", "0.3:2 at 3.5 GHz"]
    assert rows[0] == rows[1] != rows[2] == rows[3]


def test_what_was_read_of_a_changed_file_is_not_used_again(file: Path) -> None:
    sweep = load_sweep(file)
    point = sweep.points[0]
    paths = {name: str(sweep.files[name]) for name in point.files}
    done = run_job(Job(point, paths, dict.fromkeys(paths, "another hash"), version()))
    assert "was changed while the sweep ran" in done.failure
    assert point_module._kept.read == point_module._kept.recordings == {}


def test_processes_and_the_order_of_points_change_nothing(file: Path, out: Path, tmp_path: Path) -> None:
    run_sweep(load_sweep(file), tmp_path / "out", jobs=2)
    for name in ("points.parquet", "summary.json"):
        assert (tmp_path / "out" / name).read_bytes() == (out / name).read_bytes()


def test_another_sample_is_another_point(file: Path, out: Path) -> None:
    again = run_sweep(load_sweep(file), out)
    assert (again.computed, again.cached) == (0, 4)
    # A share may be written without quotes; it has as many windows as suit the length: here none.
    outcome = run_sweep(load_sweep(other(file, '"0.3:2"', "0.3")), out.with_name("another"))
    assert {failure.parameters["sample"] for failure in outcome.failures} == {"0.3"}
    reasons = {failure.reason.partition("; ")[2] for failure in outcome.failures}
    assert reasons == {"4 windows of 100 lines fit at most, as in 0.3:4"}


def test_the_command_says_first_that_these_are_samples(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", str(other(file, ', "redis.ftrace"', "")), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("Samples (0.3:2) of the recordings: ")
    assert "2 points: 2 computed, 0 cached, 0 damaged, 0 failed" in said
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sample"] == "0.3:2"
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["sample"] == "0.3:2"
    assert "windows" in summary["intervals"]


def test_charts_show_the_intervals_of_the_windows(out: Path) -> None:
    opened = open_result(out)
    points = opened.frame("points")
    frame = df_overhead(points, "scenario")
    assert frame["windows"].tolist() == [2] * 4
    assert sorted(frame["high"]) == sorted(points["overhead_percent_high"])
    assert (frame["low"] < frame["mean"]).all()
    added = df_intervals(points, ["profile", "scenario"], "adds_percent: entry/exit CR3")
    assert (added["low"] < added["high"]).all()
    assert "replications" in df_intervals(points, ["profile", "scenario"], "baseline_busy_cycles").columns
    assert [chart.name for chart in available(opened)] == ["overhead-parameter", "ledger"]
    figure = draw(opened, "overhead-parameter")
    assert "sampled" in figure.get_suptitle()
    assert "samples (0.3:2) of" in figure.get_supxlabel()
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "estimate, 95 % t interval"
    for name, what in (("overhead-syscalls", "elapsed time"), ("shootdowns", "single shootdowns")):
        with pytest.raises(InputError, match=f"chart '{name}' is not drawn from samples, which have no {what}"):
            draw(opened, name)


def test_a_report_says_what_it_stands_on(out: Path) -> None:
    report = make_report(out)
    question, setup = report.sections[:2]
    said = samples_text("0.3:2", open_result(out).frame("points"))
    assert said in [getattr(block, "text", "") for block in question.blocks]
    assert ("sample", "0.3:2") in getattr(setup.blocks[0], "rows", ())
    sections = {section.name: section.blocks for section in report.sections}
    assert getattr(sections["points"][0], "columns", ())[-2:] == ("95 % interval", "windows")
    frame = open_result(out).frame("points")
    frame = frame[frame["profile"] == "pti"]
    widest = (frame["overhead_percent_high"] - frame["overhead_percent"]).max()
    rows = {row[0]: row for row in getattr(sections["headline"][1], "rows", ())}
    assert rows["pti PCID"][4] == f"{widest:.2f} %"


def test_one_window_has_no_interval(file: Path, tmp_path: Path) -> None:
    frame = run_sweep(load_sweep(other(file, '"0.3:2"', '"1:1"')), tmp_path / "out").frame
    assert frame["overhead_percent_low"].dtype == float
    assert frame["overhead_percent_low"].isna().all()
    (points,) = (section for section in make_report(tmp_path / "out").sections if section.name == "points")
    assert {row[3] for row in getattr(points.blocks[0], "rows", ())} == {"-"}
    assert "from one window, which has no interval" in samples_text("1:1", frame)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"0.3:2"', '"0.3:1"', "sample: '0.3:1': the number of windows must be from 2 to 1000"),
        ('"0.3:2"', '"30 %"', "sample: '30 %': give a share"),
        ('"0.3:2"', "1.5", "sample: 1.5: give a share"),
        ('"0.3:2"', "nan", "sample: nan must be a share"),
        ('"0.3:2"', "[0.1, 0.2]", "sample: a list of 2 must be a share"),
        ("cpus = 2", "replications = 3", "replications: a sample's interval is from its windows"),
        ("cpus = 2", 'warmup = "1 ms"', "warmup: each window of a sample has a warm-up of its own"),
        ('"redis.ftrace"', '"null-syscall"', "sample: 'null-syscall' is a behaviour"),
    ],
)
def test_where_there_can_be_no_sample(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    assert main(["sweep", str(other(file, old, new)), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
