"""Signals, and the death of a parent, at the moments that count: status right, no process and no file left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.files import PARTIAL, clear_stale, partial_folder, whole_file
from analysis.folder import result_folder
from analysis.results import KIND
from sim.signals import Ended, ending_signals
from tests.test_workers import heeding

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "run": ["run", "cc-build", "--jobs", "2"],
    "check": ["check", "two-shootdowns-three-cpus", "shootdown-three-cpus", "--jobs", "2", "--budget", "1000000"],
    "sweep": ["sweep", "syscall-rate", "--jobs", "2"],
    "validate": ["validate", "--jobs", "2"],
}


def processes(marker: str) -> list[int]:
    """The living processes in whose environment *marker* stands."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            dead = (place / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if marker.encode() in (place / "environ").read_bytes() and not dead:
                found.append(int(place.name))
    return found


@pytest.fixture
def started(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command at work, its workers started where it has some, and what marks its processes."""
    marker = f"SVS_TEST={tmp_path.name}"
    words = COMMANDS[request.param]
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", *words, "--out", str(tmp_path / "out"), "--quiet"],
        cwd=ROOT, env={"PATH": os.environ["PATH"], "SVS_TEST": tmp_path.name}, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heeding,
    )  # fmt: skip
    # With one or two workers, and the tracker of their semaphores.
    wanted = 3 if request.param == "run" else 4
    until = time.monotonic() + 60
    while len(processes(marker)) < wanted or not list(tmp_path.iterdir()):
        assert time.monotonic() < until, process.communicate()
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    yield process, marker
    for left in processes(marker):
        with contextlib.suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)
    process.wait()


def gone(marker: str) -> bool:
    """Whether all processes end soon."""
    until = time.monotonic() + 20
    while processes(marker) and time.monotonic() < until:
        time.sleep(0.05)
    return not processes(marker)


@pytest.mark.parametrize(
    ("started", "number"),
    [
        ("run", signal.SIGTERM),
        ("check", signal.SIGTERM),
        ("sweep", signal.SIGHUP),
        ("validate", signal.SIGINT),
    ],
    indirect=["started"],
)
def test_a_signal_ends_everything(
    started: tuple[subprocess.Popen[str], str], number: signal.Signals, tmp_path: Path
) -> None:
    process, marker = started
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + number, "")
    assert err.count("\n") == 1
    assert err.startswith("svs-sim: interrupted")
    assert gone(marker)
    left = [str(place.relative_to(tmp_path)) for place in tmp_path.rglob("*") if PARTIAL in place.name]
    assert left == []


@pytest.mark.parametrize("started", ["run", "check", "validate"], indirect=True)
def test_workers_end_with_their_parent(started: tuple[subprocess.Popen[str], str]) -> None:
    process, marker = started
    process.kill()
    process.wait()
    assert gone(marker)


def test_what_a_killed_process_left_is_removed_and_the_work_of_a_living_one_is_not(tmp_path: Path) -> None:
    (tmp_path / f".r{PARTIAL}1" / "result").mkdir(parents=True)
    (tmp_path / f".f{PARTIAL}2").write_text("half")
    with partial_folder(tmp_path, "r") as mine:
        assert not (tmp_path / f".r{PARTIAL}1").exists()
        clear_stale(tmp_path, "r")
        assert mine.is_dir()
        with result_folder(tmp_path / "r", KIND) as stage:
            (stage / "summary.json").write_text("{}")
        assert mine.is_dir()
    with whole_file(tmp_path / "f") as stream:
        stream.write(b"whole")
    assert sorted(place.name for place in tmp_path.iterdir()) == ["f", "r"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / "f").symlink_to("other")
    with whole_file(tmp_path / "f") as stream:
        stream.write(b"new")
    assert (tmp_path / "other").read_text() == "mine"
    assert not (tmp_path / "f").is_symlink()


class Finalized:
    """Something that a signal hits just when nobody needs it any more."""

    def __init__(self, number: int, times: list[int]) -> None:
        self.number, self.times = number, times

    def __del__(self) -> None:
        self.times.append(self.number)
        signal.raise_signal(self.number)


@pytest.mark.parametrize("wait", [0, 10])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_something_is_finalized_is_not_lost(
    number: signal.Signals, wait: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python drops exceptions there; a run drops a generator for each LWP."""
    times: list[int] = []

    @ending_signals()
    def command() -> None:
        for _ in range(3):  # an impatient user's
            Finalized(number, times)
        time.sleep(wait)

    inherited = signal.signal(number, signal.SIG_DFL)  # a command in the background ignores SIGINT
    try:
        with pytest.raises(Ended) as ended:
            command()
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, inherited)
    assert times == [number] * 3
    assert ended.value.status == 128 + number
    assert capsys.readouterr().err == ""


def test_other_exceptions_of_finalizers_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("mine")

    told: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda what: told.append(what.exc_value)
    try:
        with ending_signals():
            Broken()
    finally:
        sys.unraisablehook = before
    assert [str(error) for error in told] == ["mine"]
    assert capsys.readouterr().err == ""
