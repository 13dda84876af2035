"""Every kind of chart, from the folders that it suits."""

from __future__ import annotations

import errno
import inspect
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import analysis.charts
from analysis.charts import CHARTS, OpenedResult, available, draw, events, exploration, ledger, overhead, timeline
from analysis.charts.style import PALETTE, in_order, own_colours, profile_colours
from analysis.pictures import figure_bytes
from sim.cli import main

MODULES = [
    module
    for name, module in inspect.getmembers(analysis.charts, inspect.ismodule)
    if name not in ("opened_result", "style")
]
EACH = [(chart.name, kind) for chart in CHARTS for kind in chart.needs]


@pytest.mark.parametrize(("name", "kind"), EACH)
def test_axes_have_names_with_units_and_the_caption_has_sources_and_seed(
    opened_results: dict[str, OpenedResult], name: str, kind: str
) -> None:
    opened = opened_results[kind]
    figure = draw(opened, name)
    (axes,) = figure.axes
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    # An axis of numbers says its unit in brackets; the other one names things.
    assert "(" in axes.get_xlabel() or "(" in axes.get_ylabel()
    caption = figure.get_supxlabel()
    assert "seed" in caption
    assert ("costs" in caption) == (kind != "check")
    assert figure_bytes(figure, "svg") == figure_bytes(draw(opened, name), "svg")


def test_the_data_of_the_folders_allow_every_kind(opened_results: dict[str, OpenedResult]) -> None:
    assert {chart.name for m in opened_results.values() for chart in available(m)} == {chart.name for chart in CHARTS}


@pytest.mark.parametrize("module", MODULES)
def test_frames_and_pictures_come_in_pairs_and_columns_are_documented(module: object) -> None:
    functions = dict(inspect.getmembers(module, inspect.isfunction))
    own = {n: f for n, f in functions.items() if f.__module__ == module.__name__}  # type: ignore[attr-defined]
    frames = {name.removeprefix("df_") for name in own if name.startswith("df_")}
    assert frames == {name.removeprefix("plot_") for name in own if name.startswith("plot_")}
    assert frames
    for name in frames:
        assert "Columns:" in (own[f"df_{name}"].__doc__ or "")


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, kind in EACH if any(hasattr(module, f"df_{name}") for module in MODULES)]
)
def test_each_column_is_named_in_the_docstring(opened_results: dict[str, OpenedResult], name: str, kind: str) -> None:
    function = next(getattr(module, f"df_{name}") for module in MODULES if hasattr(module, f"df_{name}"))
    frame = function(opened_results[kind])
    assert len(frame)
    for column in frame.columns:
        assert column in function.__doc__


def test_the_ledger_of_a_run_adds_up(opened_results: dict[str, OpenedResult]) -> None:
    frame = ledger.df_ledger(opened_results["run"])
    assert frame["percent"].sum() == pytest.approx(opened_results["run"].summary["overhead_percent"], abs=1e-5)


def test_shootdown_parts_are_those_of_the_frame_and_of_the_ledger(opened_results: dict[str, OpenedResult]) -> None:
    opened = opened_results["run"]
    rows = opened.frame("shootdowns")
    assert rows["receiver_cycles"].sum() == sum(
        entry[f"{run}_cycles"]
        for entry in opened.summary["ledger"]
        for run in ("baseline", "profile")
        if entry["cause"] == "shootdown receiver"
    )
    frame = events.df_shootdowns(opened)
    remote = rows[(rows["targets"] == 2) & (rows["run"] == "profile")]
    (row,) = frame[(frame["series"] == "svs-netbsd9") & (frame["x"] == 3)].to_dict("records")
    assert row["count"] == len(remote)
    scale = 1e9 / opened.frequency_hz
    assert row["receiver_ns"] == pytest.approx(remote["receiver_cycles"].sum() / remote["targets"].sum() * scale)
    parts = sum(row[f"{part}_ns"] for part in ("mailbox", "send", "local", "ack"))
    assert 0 < parts <= row["total_ns"] + 1e-6


def test_values_with_units_become_numbers_in_order(opened_results: dict[str, OpenedResult]) -> None:
    points = opened_results["sweep"].frame("points")
    frame = overhead.df_overhead(points, "set.group.0.burst")
    own = frame[frame["series"] == frame["series"].iloc[0]]
    assert own["x"].tolist() == [0.5, 2.0, 100.0]
    assert set(frame["unit"]) == {"µs"}
    assert overhead.label_of("set.group.0.burst", frame) == "burst (µs)"
    sizes = points.assign(
        **{"set.group.0.burst": points["set.group.0.burst"].map({"2 us": "1 MiB"}.get).fillna("64 KiB")}
    )
    assert sorted(set(overhead.df_overhead(sizes, "set.group.0.burst")["x"])) == [64.0, 1024.0]
    mixed = points.assign(**{"set.group.0.burst": points["set.group.0.burst"].replace("2 us", "often")})
    assert list(dict.fromkeys(overhead.df_overhead(mixed, "set.group.0.burst")["x"])) == ["often", "500 ns", "100 us"]


def test_intervals_are_over_replications(opened_results: dict[str, OpenedResult]) -> None:
    frame = overhead.df_overhead(opened_results["sweep"].frame("points"), "cpus")
    assert set(frame["replications"]) == {2}
    assert (frame["low"] <= frame["mean"]).all()
    assert (frame["mean"] <= frame["high"]).all()


def test_switches_count_every_row_once(opened_results: dict[str, OpenedResult]) -> None:
    opened = opened_results["run"]
    frame = events.df_switches(opened)
    assert frame["count"].sum() == len(opened.frame("switches"))
    assert set(frame["kind"]) <= {"user-user", "user-kernel", "kernel-user", "kernel-kernel", "same-pmap"}


def test_tlb_counts_are_the_counters_totals(opened_results: dict[str, OpenedResult]) -> None:
    opened = opened_results["run"]
    frame = events.df_tlb(opened).set_index("name")
    assert len(frame) > 5
    for name, row in frame.iterrows():
        assert row["profile"] == opened.summary["counters"].get(name, 0)
        assert row["baseline"] == opened.summary["baseline_counters"].get(name, 0)


def test_the_timeline_stays_in_its_window_and_tells_both_runs_apart(opened_results: dict[str, OpenedResult]) -> None:
    frame = timeline.df_timeline(opened_results["run"])
    assert frame["start_us"].min() >= 300
    assert frame["end_us"].max() <= 315
    assert set(frame["cpu"]) == {0, 1, 2}
    assert {"mode", "lwp", "cr3", "lock"} <= set(frame["track"])
    assert any(name.startswith("user tables") for name in frame["name"])
    base = timeline.df_timeline(opened_results["run"], "baseline")
    assert not any(name.startswith("user tables") for name in base["name"])


def test_what_was_not_explored_says_why() -> None:
    rows = [("a", "holds", 0, 0), ("b", "crashed", 0, 0), ("c", "holds", 1, 20)]
    frame = pd.DataFrame(rows, columns=["name", "verdict", "executions", "steps"])
    (axes,) = exploration.plot_exploration(frame, "caption").axes
    assert [text.get_text().strip() for text in axes.texts] == [
        "holds, not explored: follows from another memory model", "0 executions, 0 steps", "1 execution, 20 steps",
    ]  # fmt: skip
    assert [text.get_position()[0] for text in axes.texts] == [axes.get_xlim()[0]] * 2 + [1]


def test_premises_sum_up_the_explorations(opened_results: dict[str, OpenedResult]) -> None:
    frame = exploration.df_premises(opened_results["check"])
    results = opened_results["check"].summary["results"]
    assert frame["judged"].sum() == sum(sum(result["premises"].values()) for result in results)


def test_colours_are_of_the_palette_for_the_colour_blind() -> None:
    assert set(own_colours().values()) <= set(PALETTE)
    assert len(set(own_colours().values())) == len(own_colours())


# --- the command ----------------------------------------------------------------------------------------------------


def test_a_bare_command_draws_all_that_the_data_allow(folders: dict[str, Path], tmp_path: Path) -> None:
    assert main(["chart", str(folders["run"]), "--out", str(tmp_path), "--quiet"]) == 0
    kinds = {chart.name for chart in CHARTS if "run" in chart.needs}
    assert {"ledger", "shootdowns", "switches", "locks", "tlb", "timeline"} <= kinds
    assert {path.name for path in tmp_path.iterdir()} == {f"{kind}.{form}" for kind in kinds for form in ("png", "svg")}


def test_list_names_the_kinds(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chart", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [chart.name for chart in CHARTS]
    assert main(["chart", str(folders["check"]), "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["exploration", "premises"]


def copy_without(folder: Path, to: Path, frame: str, column: str) -> Path:
    """A copy of a result whose frame lacks a column."""
    shutil.copytree(folder, to)
    file = to / f"{frame}.parquet"
    pd.read_parquet(file).drop(columns=column).to_parquet(file)
    return to


def complaint(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says on its way out with status 2."""
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


def test_a_missing_column_is_named_and_nothing_is_written(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_without(folders["run"], tmp_path / "r", "shootdowns", "ack_cycles")
    assert "has no column 'ack_cycles'" in complaint(["chart", str(folder)], capsys)
    assert not (folder / "charts").exists()
    points = copy_without(folders["sweep"], tmp_path / "s", "points", "overhead_percent")
    assert "has no column 'overhead_percent'" in complaint(["chart", str(points), "--kind", "overhead-cpus"], capsys)


def test_bad_words_and_folders_are_refused(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(folders["run"])
    assert "did you mean 'shootdowns'" in complaint(["chart", run, "--kind", "shotdowns"], capsys)
    assert "'svs-sim sweep'" in complaint(["chart", run, "--kind", "overhead-cpus"], capsys)
    assert "there is no folder" in complaint(["chart", str(tmp_path / "none")], capsys)
    assert "holds no result" in complaint(["chart", str(tmp_path)], capsys)
    assert "needs DIR" in complaint(["chart"], capsys)
    assert "no parameter 'brst'" in complaint(["chart", str(folders["sweep"]), "--x", "brst"], capsys)
    (tmp_path / "file").write_text("")
    assert "cannot write" in complaint(["chart", run, "--kind", "tlb", "--out", str(tmp_path / "file")], capsys)


def test_a_parameter_of_ones_own(folders: dict[str, Path], tmp_path: Path) -> None:
    words = ["chart", str(folders["sweep"]), "--x", "group.0.burst", "--out", str(tmp_path), "--quiet"]
    assert main(words) == 0
    assert (tmp_path / "overhead-group.0.burst.png").stat().st_size > 5000


def test_a_full_disk_leaves_no_picture(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = Path.write_bytes, []

    def write(path: Path, data: bytes) -> int:
        calls.append(path)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    for out in (tmp_path, tmp_path / "new"):
        calls.clear()
        assert "No space left" in complaint(["chart", str(folders["run"]), "--out", str(out)], capsys)
    assert len(calls) == 3
    assert not list(tmp_path.iterdir())


def test_series_say_what_their_numbers_are(opened_results: dict[str, OpenedResult]) -> None:
    points = opened_results["sweep"].frame("points")
    lines = {f"{profile}, cpus {cpus}" for profile in ("svs-netbsd8", "svs-netbsd9") for cpus in (2, 3)}
    assert set(overhead.series_names(points, "set.group.0.burst")) == lines
    # The rate of system calls follows from the values of the scenario: they make no lines of their own.
    assert set(overhead.series_names(points, overhead.RATE)) == lines
    assert len(set(overhead.series_names(points, "cpus"))) == 6
    assert overhead.value_text('{"dist": "exponential", "mean": "3 us"}') == "exponential 3 us"
    assert overhead.value_text("3 us") == "3 us"


def test_profiles_stand_in_the_order_of_their_years_and_have_colours_of_their_own() -> None:
    names = ["pti", "svs-netbsd10", "svs-netbsd9 PCID", "pti+no-global", "none", "svs-netbsd8"]
    assert in_order(names) == ["none", "svs-netbsd8", "svs-netbsd9 PCID", "svs-netbsd10", "pti", "pti+no-global"]
    colours = profile_colours([*names, "pti+early-ack"])
    assert len(set(colours.values())) == len(colours) == 7


def test_of_many_cpus_the_busiest_are_drawn(opened_results: dict[str, OpenedResult]) -> None:
    frame = timeline.df_timeline(opened_results["run"])
    many = pd.concat([frame.assign(cpu=frame["cpu"] + 3 * place) for place in range(20)], ignore_index=True)
    (axes,) = timeline.plot_timeline(many, "").axes
    cpus = {label.get_text().split()[1] for label in axes.get_yticklabels()}
    assert len(cpus) == timeline.MOST_CPUS
    assert "12 of 60 CPUs" in axes.get_ylabel()


def test_a_sweep_without_a_finished_point_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cold.toml").write_text(
        'scenarios = ["null-syscall"]\nprofiles = ["svs-netbsd9"]\nwarmup = "9 s"\n[set]\n"group.0.iterations" = 1\n'
    )
    assert main(["sweep", str(tmp_path / "cold.toml"), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    capsys.readouterr()
    assert "has no finished point" in complaint(["chart", str(tmp_path / "out")], capsys)


def test_a_summary_without_a_key_is_told(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "r"
    shutil.copytree(folders["run"], folder)
    summary = json.loads((folder / "summary.json").read_text())
    del summary["frequency_hz"]
    (folder / "summary.json").write_text(json.dumps(summary))
    assert "has no key 'frequency_hz'" in complaint(["chart", str(folder)], capsys)


def test_recordings_or_cost_tables_are_an_axis_of_names(opened_results: dict[str, OpenedResult]) -> None:
    points = opened_results["sweep"].frame("points")
    points = points[points["set.group.0.burst"] == "2 us"]
    assert overhead.parameters(points) == []
    two = pd.concat([points, points.assign(scenario="redis")], ignore_index=True)
    assert overhead.parameters(two) == ["scenario"]
    frame = overhead.df_overhead(two, "scenario")
    assert list(dict.fromkeys(frame["x"])) == ["mmap-storm", "redis"]
    (axes,) = overhead.plot_overhead(frame, "scenario", "").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["mmap-storm", "redis"]
    # Nothing is drawn from one name to the next: the one line is that of zero.
    assert [line.get_linestyle() for line in axes.get_lines() if line.get_linestyle() != "None"] == ["-"]
    assert axes.get_xlabel() == "scenario (as named in the sweep)"
