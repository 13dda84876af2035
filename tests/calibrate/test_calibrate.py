"""``svs-sim calibrate``: a table from invented samples, so that each figure can be worked out; the real probe once."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path

import pytest

from sim.cli import main
from sim.errors import InputError
from sim.experiments.calibrate import Calibration, Machine, Samples, calibrate, look_at_machine, model
from sim.experiments.calibrate.machine import parse_list
from sim.experiments.calibrate.probe import COMPILERS, measure, parse_samples
from sim.timed.costs import load_costs, parse_costs

# At 2 GHz a nanosecond is two cycles.
SAMPLES = {
    "cpus_count": 4, "clock_hz": 2e9, "locked_rmw": 9, "pause": 20, "null_call": 100, "page_fault": 600,
    "pipe_round_trip": 4000, "load_16k": 2, "load_128k": 7, "load_4m": 20, "load_256m": 90, "translate_16": 0,
    "translate_256": 3.5, "translate_4096": 9, "translate_16384": 12, "translate_65536": 20, "line_0_1": 10,
    "line_0_2": 40, "line_0_3": 30, "unmap_alone": 2000, "unmap_beside_thread": 4000,
}  # fmt: skip
DISTANCES = {(0, 1): "same_core", (0, 2): "cluster", (0, 3): "cluster"}
needs_compiler = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64") or not any(map(shutil.which, COMPILERS)),
    reason="needs x86-64 Linux and a C compiler",
)


def samples(**changed: float) -> Samples:
    return Samples({name: [float(value)] * 3 for name, value in {**SAMPLES, **changed}.items()})


def machine(*, hypervisor: bool = False, pti: bool | None = False) -> Machine:
    return Machine("a CPU", "Linux 6", hypervisor, pti, DISTANCES)


@pytest.fixture(scope="module")
def made() -> Calibration:
    """The table of the invented samples."""
    return calibrate(samples(), machine(), load_costs())


def test_measured_figures(made: Calibration) -> None:
    """Nanoseconds become cycles of the measured clock; the nearest pair of each distance counts."""
    table = parse_costs(made.text, "made")
    cycles = table.cycles()
    assert table.frequency_hz == 2_000_000_000
    assert (cycles["locked_rmw"], cycles["pause"], cycles["stlb_hit_data"]) == (18, 40, 7)
    assert cycles["walk_base"] + cycles["walk_load"] == 24
    assert (cycles["line_same_core"], cycles["line_cluster"]) == (20, 60)
    assert {table.figures[name]["sure"] for name in ("locked_rmw", "walk_load", "line_cluster")} == {"MEASURED"}
    assert table.figures["cr3_write"]["source"] == load_costs().figures["cr3_write"]["source"]
    assert any(line.startswith("line_socket") for line in made.unmeasured)


def test_fits_meet_what_was_measured(made: Calibration) -> None:
    """The model, run with the table, takes as long as the samples say."""
    table = parse_costs(made.text, "made")
    assert model.null_call(table) == pytest.approx(200, abs=1)
    assert model.page_fault(table) == pytest.approx(1200, rel=0.01)
    assert model.pipe_round_trip(table) == pytest.approx(8000, rel=0.01)
    assert model.shootdown(table) == pytest.approx(4000, rel=0.01)
    assert table.figures["syscall_dispatch"]["sure"] == "FITTED"


def test_what_cannot_be_met_is_said() -> None:
    made = calibrate(samples(null_call=10), machine(), load_costs())
    assert made.figures["syscall_dispatch"][0] == 0
    assert any("a null call: the model takes" in line for line in made.unmeasured)


def test_isolation_and_virtual_machines_are_said() -> None:
    """With PTI on nothing that crosses is fitted: the machine's own crossings hold CR3 writes."""
    made = calibrate(samples(), machine(hypervisor=True, pti=True), load_costs())
    assert not {"syscall_dispatch", "fault_work", "mi_switch_work", "ipi_latency_cluster"} & made.figures.keys()
    assert any("PTI is on" in line for line in made.unmeasured)
    assert any("virtual machine" in line for line in made.unmeasured)
    assert "two-dimensional" in made.figures["walk_load"][1]


def test_one_cpu_measures_no_ipi() -> None:
    one = Samples({name: v for name, v in samples().by_name.items() if not name.startswith(("line_", "unmap"))})
    made = calibrate(one, machine(), load_costs())
    assert "IPIs: one CPU only" in made.unmeasured
    assert "ipi_latency_socket" not in made.figures


def test_disturbed_samples_do_not_count() -> None:
    """Slow samples do not move the lower quartile, slow clocks not the upper one."""
    found = parse_samples("clock_hz 1e9\nclock_hz 3e9\nclock_hz 3e9\nx 5\nx 5\nx 99\n")
    assert (found.value("clock_hz"), found.value("x")) == (3e9, 5)
    assert found.spread("x") == (5, 52)


def test_garbled_probe() -> None:
    with pytest.raises(InputError, match="printed 'nonsense'"):
        parse_samples("nonsense\n")


def test_machine(tmp_path: Path) -> None:
    """Facts from a tree like /proc and /sys; nothing there is nothing known."""
    cpu = tmp_path / "sys/devices/system/cpu"
    for name, text in {
        "cpu0/topology/thread_siblings_list": "0,4", "cpu0/cache/index3/shared_cpu_list": "0-1,4-5",
        "cpu0/topology/core_siblings_list": "0-7", "vulnerabilities/meltdown": "Mitigation: PTI",
    }.items():  # fmt: skip
        (cpu / name).parent.mkdir(parents=True, exist_ok=True)
        (cpu / name).write_text(text + "\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("model name\t: A B\nflags\t: fpu hypervisor\n\nmodel name\t: other\n")
    found = look_at_machine([(0, 4), (0, 5), (0, 7), (0, 9)], tmp_path)
    assert (found.model, found.hypervisor, found.pti) == ("A B", True, True)
    assert list(found.distances.values()) == ["same_core", "cluster", "socket", "remote"]
    bare = look_at_machine([], tmp_path / "absent")
    assert (bare.hypervisor, bare.pti) == (False, None)
    assert parse_list("0-2,8") == {0, 1, 2, 8}


@needs_compiler
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real probe, once: its table is read back and drives a run."""
    out = tmp_path / "mine.toml"
    assert main(["calibrate", "--out", str(out), "--repeats", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["frequency_hz"] == load_costs(out).frequency_hz > 100_000_000
    assert said["samples"]["null_call"]["value"] > 0
    assert main(["run", "null-syscall", "--costs", str(out), "--out", str(tmp_path / "run"), "--quiet"]) == 0


def test_without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="a C compiler is needed"):
        measure(1)


def test_other_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(InputError, match="measures x86-64 Linux machines"):
        measure(1)
