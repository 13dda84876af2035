"""The kernel's tracefs: where it is mounted, and tracing instances of our own in it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sim.errors import InputError

USUAL = Path("/sys/kernel/tracing")
PREFIX = "svs-sim-"
# A ring buffer has so many KiB a CPU, if all of them together take no more than this share of the free memory.
BUFFER_KB = 32 * 1024
SMALLEST_KB = 1024
MEMORY_SHARE = 8
_LOST = re.compile(r"^(?:overrun|commit overrun|dropped events): (\d+)$", re.MULTILINE)


@contextmanager
def tracefs(proc: Path = Path("/proc")) -> Iterator[Path]:
    """Yield where tracefs is; mounts it if necessary, and unmounts it again.  Raises InputError."""
    root = _mounted(proc)
    if root is not None:
        yield root
        return
    if "tracefs" not in (proc / "filesystems").read_text(encoding="utf-8"):
        raise InputError("this kernel has no tracefs (CONFIG_TRACING); recordings need it")
    done = subprocess.run(["mount", "-t", "tracefs", "nodev", str(USUAL)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"tracefs is not mounted and cannot be mounted on {USUAL}: {done.stderr.strip()}")
    try:
        yield USUAL
    finally:
        subprocess.run(["umount", str(USUAL)], capture_output=True, check=False)


def _mounted(proc: Path) -> Path | None:
    """The first mount of tracefs."""
    for line in (proc / "self/mounts").read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split()
        if kind == "tracefs":
            return Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), place))  # "\\040" is a space
    return None


def buffer_kb(cpus: int, buffers: int, meminfo: Path = Path("/proc/meminfo")) -> int:
    """Return how many KiB each CPU's part of each of the *buffers* should have on this machine."""
    match = re.search(r"MemAvailable:\s*(\d+)", meminfo.read_text(encoding="utf-8"))
    free = int(match[1]) if match else 0
    return max(SMALLEST_KB, min(BUFFER_KB, free // MEMORY_SHARE // (cpus * buffers)))


def remove_leftovers(root: Path) -> None:
    """Remove the instances of recorders that were killed."""
    with suppress(OSError):  # whoever may not look there may not record, and making an instance says so
        for path in (root / "instances").glob(f"{PREFIX}*"):
            owner = path.name.removeprefix(PREFIX).partition("-")[0]
            if owner.isdigit() and not Path(f"/proc/{owner}").exists():
                with suppress(OSError):
                    path.rmdir()


class Instance:
    """A tracing instance: buffers and switches of its own, nobody else's tracing is touched.

    Attributes:
        path: its folder.
        pipes: file descriptors of its raw buffers by CPU, to be read without blocking.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.path = root / "instances" / f"{PREFIX}{os.getpid()}-{name}"
        self.pipes: dict[int, int] = {}
        try:
            os.mkdir(self.path)
        except OSError as error:
            raise InputError(f"cannot make a tracing instance below {root}: {_why(error)}") from None

    def write(self, name: str, value: object) -> None:
        """Write a value into one of the instance's files.  Raises InputError."""
        try:
            (self.path / name).write_text(f"{value}\n", encoding="ascii")
        except OSError as error:
            raise InputError(f"cannot write '{value}' to {self.path / name}: {_why(error)}") from None

    def set_up(self, events: Iterable[str], *, size_kb: int) -> None:
        """Prepare the events and the buffers, tracing still off."""
        self.write("tracing_on", 0)
        self.write("trace_clock", "mono")
        self.write("buffer_size_kb", size_kb)
        self.write("options/record-tgid", 1)
        for event in events:
            self.write(f"events/{event}/enable", 1)

    def open_pipes(self) -> None:
        """Open the raw buffers."""
        for folder in sorted((self.path / "per_cpu").iterdir()):
            cpu = int(folder.name.removeprefix("cpu"))
            self.pipes[cpu] = os.open(folder / "trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK)

    def only(self, pid: int) -> None:
        """From now on take events only of this process, and of those that it makes."""
        self.write("options/event-fork", 1)
        self.write("set_event_pid", pid)

    def switch(self, *, on: bool) -> None:
        """Switch tracing on or off."""
        self.write("tracing_on", int(on))

    def lost(self) -> int:
        """Return how many events found no room or were overwritten before they were read."""
        stats = ((folder / "stats").read_text(encoding="ascii") for folder in (self.path / "per_cpu").iterdir())
        return sum(int(count) for text in stats for count in _LOST.findall(text))

    def remove(self) -> None:
        """Switch off, close and remove the instance."""
        with suppress(InputError):
            self.switch(on=False)
        for pipe in self.pipes.values():
            os.close(pipe)
        self.pipes.clear()
        os.rmdir(self.path)


def _why(error: OSError) -> str:
    """An error in words; the kernel's lockdown looks like a missing permission even to root."""
    if error.errno in (1, 13):
        return f"{error.strerror} (it needs root, and a kernel that is not locked down)"
    return str(error.strerror)
