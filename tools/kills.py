"""Ends commands at random moments, by signals and by killing the process whose workers are at work, and looks around.

``python tools/kills.py --moments 10`` (about an hour on one processor).  Each time the exit status must be right, one
line at most be said, no process be left a few seconds later, and no file but what the command says it keeps: what a
killed one leaves half-written goes with the next command that writes there.  The exit status is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
PARTIAL = ".partial-"
WHOLE = ("summary.json", "validation.json", ".cache", "cells")  # what says that a result is one, or can go on
PATIENCE_S = 120
ENDS = (0, 3)  # undisturbed; ``check`` comes to the end of its budget
COMMANDS = {
    "run": ["run", "calls.txt", "--repeat", "3", "--out", "OUT"],
    "check": ["check", "two-shootdowns-three-cpus", "shootdown-three-cpus", "--jobs", "2", "--budget", "60", "--out",
              "OUT"],
    "sweep": ["sweep", "grid.toml", "--jobs", "2", "--out", "OUT"],
    "validate": ["validate", "--curve", "getppid", "--curve", "nehalem", "--jobs", "2", "--out", "OUT"],
    "report": ["report", "result", "--out", "OUT"],
}  # fmt: skip
GRID = 'scenarios = ["null-syscall"]\nprofiles = ["pti", "svs-netbsd9"]\n[set]\n"group.0.iterations" = [200, 300]\n'
CALLS = "".join(
    f" a-7 [000] ..... 1.{2 * n:06d}: sys_enter: NR 39 (0, 0, 0, 0, 0, 0)\n"
    f" a-7 [000] ..... 1.{2 * n + 1:06d}: sys_exit: NR 39 = 7\n"
    for n in range(1000)
)


def start(words: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start a command in *folder*, in a session of its own; its processes are marked with the folder's name."""
    environment = {**os.environ, "SVS_KILLS": folder.name, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "sim", *words, "--quiet"], cwd=folder, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=heeding,
    )  # fmt: skip


def heeding() -> None:
    """Undo what shells in the background and nohup do for a command: to ignore signals, which its children inherit."""
    for number in SIGNALS[:-1]:
        signal.signal(number, signal.SIG_DFL)


def loading() -> float:
    """Seconds until the program is there that heeds signals; before, they are Python's own to handle."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", "import sim.cli"], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    return time.monotonic() - begun


def processes(folder: Path) -> list[int]:
    """The living processes that are marked."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            dead = (place / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if f"SVS_KILLS={folder.name}\0".encode() in (place / "environ").read_bytes() and not dead:
                found.append(int(place.name))
    return found


def left(folder: Path) -> list[str]:
    """Files that nobody wants: half-written ones, and a result that is neither whole nor goes on where it was."""
    out = folder / "OUT"
    found = [str(place.relative_to(folder)) for place in folder.rglob(f"*{PARTIAL}*")]
    if out.is_dir() and not any((out / name).exists() for name in WHOLE):
        found += [str(place.relative_to(folder)) for place in out.rglob("*")] or ["OUT"]
    return found


def end(command: str, number: signal.Signals, after: float, folder: Path) -> Iterator[str]:
    """End a command so many seconds after its start; yield what is wrong, or that it had ended before."""
    process = start(COMMANDS[command], folder)
    time.sleep(after)
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        yield "does not end"
        return
    if process.returncode in ENDS:
        yield "ended before"
    elif process.returncode not in (128 + number, -number):
        yield f"status {process.returncode}: {err.strip()[-200:]}"
    if process.returncode == 128 + number and (err.count("\n") != 1 or "interrupted" not in err or out):
        yield f"said {out + err!r}"
    until = time.monotonic() + 20
    while processes(folder) and time.monotonic() < until:
        time.sleep(0.1)
    if processes(folder):
        yield f"left the processes {processes(folder)}"
    if number == signal.SIGKILL:  # it could not put anything away: the next command does
        again = start(COMMANDS[command], folder)
        _, err = again.communicate()
        if again.returncode not in ENDS:
            yield f"again: status {again.returncode}: {err.strip()[-200:]}"
    if left(folder):
        yield f"left {left(folder)}"


def prepared(folder: Path, result: Path) -> Path:
    """A folder with what commands need."""
    folder.mkdir()
    (folder / "grid.toml").write_text(GRID)
    (folder / "calls.txt").write_text(CALLS)
    if result.exists():
        shutil.copytree(result, folder / "result")
    return folder


def main() -> int:
    """Measure each command once, then end it at random moments of that time; print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--moments", type=int, default=10, metavar="N", help="for each command and signal (default: 10)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--command", choices=COMMANDS, action="append", help="only this one (can be repeated)")
    args = parser.parse_args()
    rng, wrong, loaded = random.Random(args.seed), 0, loading()
    with tempfile.TemporaryDirectory(prefix="svs-kills-") as scratch:
        place, result = Path(scratch), Path(scratch) / "whole-run" / "OUT"
        for command in dict.fromkeys(("run", *(args.command or COMMANDS))):
            begun = time.monotonic()
            _, err = start(COMMANDS[command], prepared(place / f"whole-{command}", result)).communicate()
            takes = time.monotonic() - begun
            assert (err, left(place / f"whole-{command}")) == ("", []), err
            for number in SIGNALS if command in (args.command or COMMANDS) else ():
                early = 0
                for moment in range(args.moments):
                    folder = prepared(place / f"{command}-{number.name}-{moment}", result)
                    after = rng.uniform(min(loaded, takes), takes)
                    for what in end(command, number, after, folder):
                        early += what == "ended before"
                        if what != "ended before":
                            wrong += 1
                            print(f"{command} {number.name} after {after:.2f} s: {what}", flush=True)
                    shutil.rmtree(folder)
                print(
                    f"{command} {number.name}: {args.moments} moments of {takes:.1f} s, {early} after its end",
                    flush=True,
                )
    print(f"{wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
