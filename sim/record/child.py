"""The command that is recorded: held back before its first instruction, and measured from there on."""

from __future__ import annotations

import mmap
import os
import resource
import select
import shutil
import signal
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from sim.errors import InputError

NOT_RUN = 127
BY_ITSELF_S, ASKED_S = 2.0, 5.0  # waited for a command to end after a Ctrl-C, and after SIGTERM
_STARTED = struct.Struct("<qddi")  # clock in ns, user and system seconds until then, error number of exec


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run of the command took: seconds of wall clock, user and system time, and its exit status.

    CPU times are those of the command and of all its descendants that were waited for.
    """

    elapsed_s: float
    user_s: float
    system_s: float
    status: int


def find_command(words: Sequence[str]) -> str:
    """Return the file of the command.  Raises InputError if there is none that can be run."""
    path = shutil.which(words[0])
    if path is None:
        where = "there is no such file, or it cannot be run" if os.sep in words[0] else "not found in PATH"
        raise InputError(f"command '{words[0]}': {where}")
    return path


class Child:
    """A process that has been forked and waits to be let go; then it becomes the command.

    Attributes:
        pid: its process number.
        pidfd: becomes readable when it ends.
    """

    def __init__(self, words: Sequence[str], *, stdout: int | None = None) -> None:
        self._note = mmap.mmap(-1, mmap.PAGESIZE)  # shared: what the child knows when it becomes the command
        self._path = find_command(words)
        held, self._gate = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._become(words, held, stdout)
        os.close(held)
        self.pidfd = os.pidfd_open(self.pid)
        self._status: int | None = None

    def _become(self, words: Sequence[str], held: int, stdout: int | None) -> None:
        """In the child: wait, note the time, exec.  Never returns."""
        error = 0
        try:
            os.close(self._gate)
            for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec would hand that on
                signal.signal(number, signal.SIG_DFL)
            if stdout is not None:
                os.dup2(stdout, 1)
            path, argv = os.fsencode(self._path), [os.fsencode(word) for word in words]
            environment = dict(os.environb)
            if os.read(held, 1):
                used = resource.getrusage(resource.RUSAGE_SELF)
                _STARTED.pack_into(self._note, 0, time.monotonic_ns(), used.ru_utime, used.ru_stime, 0)
                os.execve(path, argv, environment)
        except OSError as problem:
            error = problem.errno or NOT_RUN
        finally:
            _STARTED.pack_into(self._note, 0, 0, 0.0, 0.0, error)
            os._exit(NOT_RUN)

    def let_go(self) -> None:
        """Let it become the command."""
        os.write(self._gate, b"!")

    @property
    def started_ns(self) -> int:
        """When it became the command, on the monotonic clock; 0 before."""
        return int(_STARTED.unpack_from(self._note)[0])

    def wait(self) -> Usage:
        """Wait for its end.  Raises InputError if the command could not be run at all."""
        _, status, used = os.wait4(self.pid, 0)
        ended = time.monotonic_ns()
        self._status = os.waitstatus_to_exitcode(status)
        started, user, system, error = _STARTED.unpack_from(self._note)
        if error:
            raise InputError(f"cannot run '{self._path}': {os.strerror(error)}")
        code = self._status if self._status >= 0 else 128 - self._status
        return Usage((ended - started) / 1e9, used.ru_utime - user, used.ru_stime - system, code)

    def stop(self, *, at_once: bool = False) -> None:
        """End it: unless *at_once*, let it end by itself first, as after a Ctrl-C; then ask it; then kill it."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        steps = [(signal.SIGTERM, ASKED_S), (signal.SIGKILL, 0.0)]
        if not at_once and poll.poll(BY_ITSELF_S * 1000):
            return
        for number, grace in steps:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)
            if poll.poll(grace * 1000):
                return

    def close(self) -> None:
        """Let go of everything; a command that still runs is ended first."""
        if self._status is None:
            os.close(self._gate)
            self._gate = -1
            self.stop(at_once=True)
            with suppress(ChildProcessError):
                os.wait4(self.pid, 0)
        if self._gate >= 0:
            os.close(self._gate)
        os.close(self.pidfd)
        self._note.close()


def run_untraced(words: Sequence[str], *, stdout: int | None = None) -> Usage:
    """Run the command once without tracing."""
    child = Child(words, stdout=stdout)
    try:
        child.let_go()
        return child.wait()
    finally:
        child.close()
