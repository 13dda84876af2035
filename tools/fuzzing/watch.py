"""Runs one case as a command is run, with its time and memory watched, and judges how it ended."""

from __future__ import annotations

import io
import resource
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import NamedTuple

from analysis.files import PARTIAL
from sim.cli import _guarded
from sim.cli._say import LONGEST as LONGEST_MESSAGE
from sim.signals import ENDING

LONGEST_S = 60  # of a processor, which others may want at the same time
PATIENCE_S = 900  # by the clock, for what waits
MOST_MIB = 1024
LIMIT_MIB = 8192  # of address space: beyond it memory is at its end, before the machine's is
SIGNALLED = frozenset(128 + number for number in ENDING)


class Case(NamedTuple):
    """One input: a file's bytes and the ending of its name; what is done with it, and which exit statuses are right.

    *run* gets the file's path, in a folder of its own, and returns an exit status.
    """

    data: bytes
    ending: str
    run: Callable[[Path], int]
    good: frozenset[int] = frozenset({0, 2})


class End(NamedTuple):
    """How a case ended: what is wrong (empty: nothing), exit status, CPU seconds, and MiB it needed at most."""

    wrong: str
    status: int
    seconds: float
    mib: int


class TooLong(BaseException):
    """Out of time; nothing of what is watched may catch this."""


def _too_long(_number: int, _frame: object) -> None:
    raise TooLong


def run(case: Case) -> End:
    """Run a case in a folder that is removed afterwards."""
    out, err = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory(prefix="svs-fuzz-") as folder:
        path = Path(folder) / f"case{case.ending}"
        path.write_bytes(case.data)
        _forget_peak()
        begun, status, wrong = time.process_time(), -1, ""
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, _too_long)
        signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
        signal.alarm(PATIENCE_S)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                status = _guarded(lambda: case.run(path))
            if status in SIGNALLED:  # not the case, but the fuzzer is meant
                raise KeyboardInterrupt
        except TooLong:
            wrong = f"took longer than {LONGEST_S} s"
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
        seconds, mib = time.process_time() - begun, _peak_mib()
        left = [found.name for found in Path(folder).rglob(f"*{PARTIAL}*")]
    wrong = wrong or _wrong(case, status, err.getvalue())
    if not wrong and left:
        wrong = f"left {left}"
    if not wrong and mib > MOST_MIB:
        wrong = f"needed {mib} MiB"
    return End(wrong, status, seconds, mib)


def _wrong(case: Case, status: int, said: str) -> str:
    """What is wrong with an exit status and with what was said on standard error."""
    lines = said.split("\n")[:-1]
    if status not in case.good:
        traceback = [line for line in lines if line.startswith("  File")]
        where = f"{traceback[-1].split('/')[-1].partition(', in')[0]}: " if traceback else ""
        return f"exit {status}: {where}{lines[-2 if traceback else -1] if lines else ''}"
    if status == 2 and (len(lines) != 1 or not said.startswith("svs-sim: error: ")):
        return f"{len(lines)} lines for one error: {said[:200]!r}"
    for line in lines:
        if not line.isprintable() or len(line) > LONGEST_MESSAGE + 20:
            return f"a line not fit to be printed: {line[:200]!r}"
    return ""


def limit_memory() -> None:
    """Let memory end before the machine's does: what asks for too much ends with status 70 and is found."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_MIB << 20, hard))


def _forget_peak() -> None:
    """Begin to measure the largest memory anew (Linux; elsewhere it is that of all cases so far)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> int:
    """The largest memory since then, in MiB."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
