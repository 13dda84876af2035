"""Processes that share out work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROGRAM = """
import time
from sim.workers import Workers

try:
    with Workers(2) as pool:
        pool.submit(time.sleep, 60)
        pool.submit(time.sleep, 60)
        print("started", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""


def heeding() -> None:
    """Undo what shells in the background and nohup do for a command: to ignore signals, which its children inherit."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def test_an_interrupt_while_processes_start_is_their_parents_alone() -> None:
    """As from a terminal: the whole group gets it, when the processes exist but have not finished their imports."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heeding,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "interrupted\n", "")
