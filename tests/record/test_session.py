"""Recordings from beginning to end: on a tracefs of plain files, and on this machine's where that is possible."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from sim.cli import main
from sim.errors import InputError
from sim.record import Plan, record
from sim.record.tracefs import PREFIX, tracefs
from tests.record.ring import make_tracefs
from tests.test_workers import heeding

# A command that plays the kernel: it fills its own buffer with what it claims to have done.
PLAYER = """
import os, sys, time
sys.path.insert(0, {root!r})
from tests.record.ring import enter, leave, page
pid = os.getpid()
now = time.monotonic_ns()
with open({pipe!r}, "wb") as file:
    begin = [(0, enter(pid, 59)), (500, leave(pid, 59, 0))]
    file.write(page(now, [*begin, (1000, enter(pid, 1, 2)), (250, leave(pid, 1, 2))]))
    file.write(page(now + 10_000, [(0, enter(pid, 231))], lost=17))
sys.exit(3)
"""  # fmt: skip
ROOT = Path(__file__).parents[2]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tracefs of plain files, taken for the machine's."""
    root = make_tracefs(tmp_path, monkeypatch)
    proc = tmp_path / "proc/self"
    proc.mkdir(parents=True)
    (proc / "mounts").write_text(f"none /other ext4 rw 0 0\nnone {root} tracefs rw 0 0\n")
    monkeypatch.setattr("sim.record.session.tracefs", lambda: tracefs(tmp_path / "proc"))
    return root


def player(root: Path) -> list[str]:
    pipe = root / f"instances/{PREFIX}{os.getpid()}-calls/per_cpu/cpu0/trace_pipe_raw"
    return [sys.executable, "-c", PLAYER.format(root=str(ROOT), pipe=str(pipe))]


def test_a_recording_holds_the_header_and_the_events_and_the_instances_are_gone(fake: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.ftrace.gz"
    steps: list[str] = []
    outcome = record(Plan(player(fake), out, untraced=0), steps.append)
    assert (outcome.path, outcome.status, outcome.lost, outcome.interrupted) == (out, 3, 17, False)
    text = gzip.decompress(out.read_bytes()).decode()
    header = dict(re.findall(r"^# svs-sim: (\w+) = (.*)$", text, re.MULTILINE))
    assert header["events"] == "sys_enter:3,sys_exit:2"
    assert header["lost_events"] == "17"
    assert header["exit_status"] == "3"
    assert "untraced_elapsed_s" not in header
    events = [line for line in text.splitlines() if not line.startswith("#")]
    assert [re.sub(r".*: (?=NR)", "", line) for line in events] == [
        "NR 59 (0, 0, 0, 0, 0, 0)", "NR 59 = 0", "NR 1 (2, 0, 0, 0, 0, 0)", "NR 1 = 2", "CPU:0 [LOST 17 EVENTS]",
        "NR 231 (0, 0, 0, 0, 0, 0)",
    ]  # fmt: skip
    assert all(f"-{header['pid']} " in line for line in events if "NR" in line)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    assert list((fake / "instances").iterdir()) == []
    assert steps == ["recording", "writing"]


def test_what_is_asked_of_the_kernel(fake: Path, tmp_path: Path) -> None:
    outcome = record(Plan(player(fake), tmp_path / "x.ftrace", untraced=0))
    removed = {name: tmp_path / "removed" / f"{PREFIX}{os.getpid()}-{name}" for name in ("machine", "calls")}
    assert (removed["calls"] / "set_event_pid").read_text() == f"{outcome.header['pid']}\n"
    assert (removed["calls"] / "options/event-fork").read_text() == "1\n"
    assert not (removed["machine"] / "set_event_pid").exists()
    enabled = {name: sorted(str(file.parent.relative_to(path / "events")) for file in path.rglob("enable"))
               for name, path in removed.items()}  # fmt: skip
    assert enabled["calls"] == ["exceptions/page_fault_user", "raw_syscalls/sys_enter", "raw_syscalls/sys_exit"]
    assert enabled["machine"] == ["sched/sched_process_exec", "sched/sched_process_fork", "sched/sched_switch"]
    for path in removed.values():
        assert (path / "tracing_on").read_text() == "0\n"
        assert (path / "trace_clock").read_text() == "mono\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-command"], "'no-such-command': not found in PATH"),
        (["/etc/no-such-file"], "'/etc/no-such-file': there is no such file"),
        (["true"], "no system call of 'true' was recorded"),
    ],
)
def test_what_cannot_be_recorded_leaves_nothing(words: list[str], message: str, fake: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=message):
        record(Plan(words, tmp_path / "x.ftrace", untraced=0))
    left = sorted(path for path in tmp_path.iterdir() if path.name != "removed")
    assert left == before
    assert list((fake / "instances").iterdir()) == []


def test_a_file_that_is_no_program_is_refused(fake: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("what?")
    script.chmod(0o755)
    with pytest.raises(InputError, match=f"cannot run '{script}': Exec format error"):
        record(Plan([str(script)], tmp_path / "x.ftrace", untraced=0))


def test_instances_of_killed_recorders_go(fake: Path, tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = fake / f"instances/{PREFIX}{int(ended.stdout)}-machine"
    alive = fake / f"instances/{PREFIX}{os.getppid()}-machine"
    other = fake / "instances/somebody-elses"
    for path in (dead, alive, other):
        path.mkdir()
    record(Plan(player(fake), tmp_path / "x.ftrace", untraced=0))
    assert sorted((fake / "instances").iterdir()) == sorted([alive, other])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["record"], "no command to record"),
        (["record", "--"], "no command to record"),
        (["record", "--otu", "x", "--", "true"], "unknown argument '--otu'; did you mean '--out'"),
        (["record", "--out", ".", "--", "true"], "this is a folder"),
        (["record", "--out", "no/such/x", "--", "true"], "there is no folder 'no/such'"),
        (["record", "--out", "x.toml", "--", "true"], "another name"),
        (["record", "--untraced", "-1", "--", "true"], "0 or more"),
    ],
)
def test_bad_usage(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# --- on the machine itself ------------------------------------------------------------------------------------------


def why_not() -> str:
    """Why this machine or user cannot record; empty if it can."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "recordings are made on Linux on x86-64"
    if os.geteuid() != 0:
        return "recording needs root"
    try:
        with tracefs() as root:
            probe = root / "instances" / f"{PREFIX}{os.getpid()}-probe"
            probe.mkdir()
            probe.rmdir()
    except (InputError, OSError) as error:
        return f"tracefs cannot be used: {error}"
    return ""


REASON = why_not()
real = pytest.mark.skipif(bool(REASON), reason=REASON or "-")


def instances() -> set[str]:
    """The tracing instances that are there; only those of this process's children matter."""
    with tracefs() as root:
        return {path.name for path in (root / "instances").iterdir()}


@real
def test_dd_is_recorded_with_every_call_and_can_be_run(tmp_path: Path) -> None:
    out = tmp_path / "dd.ftrace.gz"
    words = ["dd", "if=/dev/zero", "of=/dev/null", "bs=512", "count=300", "status=none"]
    assert main(["record", "--quiet", "--untraced", "2", "--out", str(out), "--", *words]) == 0
    text = gzip.decompress(out.read_bytes()).decode()
    header = dict(re.findall(r"^# svs-sim: (\w+) = (.*)$", text, re.MULTILINE))
    counted = Counter(re.findall(r"^[^#].*\d\.\d{9}: (\w+):", text, re.MULTILINE))
    assert header["events"] == ",".join(f"{name}:{count}" for name, count in sorted(counted.items()))
    assert len(header["untraced_elapsed_s"].split(",")) == 2
    assert (header["comm"], header["command"], header["exit_status"]) == ("dd", " ".join(words), "0")
    own = re.findall(rf"^ *(\S+)-{header['pid']} .*: sys_enter: NR ([01]) \(", text, re.MULTILINE)
    assert Counter(number for comm, number in own if comm == "dd")["1"] == 300
    assert Counter(number for comm, number in own if comm == "dd")["0"] >= 300
    callers = {int(tid) for tid in re.findall(r"-(\d+) .*: sys_(?:enter|exit): ", text)}
    assert callers == {int(header["pid"])}  # it has no children, and nobody else's calls are in it
    assert main(["run", str(out), "--quiet", "--out", str(tmp_path / "result")]) == 0


@real
def test_calls_of_children_are_recorded_and_the_exit_status_is_the_commands(tmp_path: Path) -> None:
    out = tmp_path / "sh.ftrace"
    assert main(["record", "--quiet", "--untraced", "0", "--out", str(out), "--", "sh", "-c", "ls /; exit 5"]) == 5
    text = out.read_text()
    (child,) = re.findall(r"sched_process_fork: comm=sh .*child_pid=(\d+)", text)[:1]
    assert re.search(rf"ls-{child} .*: sys_enter: NR 231 \(", text)


@real
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 143), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_keeps_what_was_recorded(number: int, status: int, tmp_path: Path) -> None:
    """Only the recorder gets the signal, so it is the recorder that ends the command, with SIGTERM."""
    out = tmp_path / "x.ftrace"
    words = [sys.executable, "-m", "sim", "record", "--untraced", "0", "--out", str(out), "--"]
    told = subprocess.Popen([*words, "sleep", "60"], cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heeding)
    assert told.stderr is not None
    while "recording" not in told.stderr.readline():
        pass
    with tracefs() as root:
        mine = root / f"instances/{PREFIX}{told.pid}-calls/set_event_pid"
        while not (mine.is_file() and mine.read_text().strip()):
            time.sleep(0.01)
    time.sleep(0.3)
    told.send_signal(number)
    assert told.wait() == status
    assert "interrupted" in told.stderr.read()
    text = out.read_text()
    assert "# svs-sim: interrupted = yes" in text
    assert "sys_enter: NR 59" in text
    assert not [name for name in instances() if str(told.pid) in name]


@real
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(tmp_path)], check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        words = [sys.executable, "-m", "sim", "record", "--quiet", "--untraced", "0", "--out", str(tmp_path / "x.gz")]
        command = ["--", "dd", "if=/dev/zero", "of=/dev/null", "bs=512", "count=5000", "status=none"]
        done = subprocess.run([*words, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
        assert done.stderr == f"svs-sim: error: cannot write '{tmp_path / 'x.gz'}': No space left on device\n"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
