"""Compiling and running the C probe, and its samples."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np

from sim.errors import InputError

REPEATS = 15
COMPILERS = ("cc", "gcc", "clang")


class Samples:
    """All samples of each quantity: nanoseconds, or as the name's ending says.

    Whatever disturbs a measurement makes it longer, never shorter.  So the value taken is the lower quartile (of the
    clock rate the upper one), and the spread goes from there to the other quartile.
    """

    def __init__(self, by_name: dict[str, list[float]]) -> None:
        self.by_name = by_name

    def value(self, name: str) -> float:
        """The value of a quantity."""
        return float(np.quantile(self.by_name[name], 0.75 if name.endswith("_hz") else 0.25))

    def spread(self, name: str) -> tuple[float, float]:
        """Lower and upper quartile."""
        low, high = np.quantile(self.by_name[name], (0.25, 0.75))
        return float(low), float(high)

    def lines(self) -> list[tuple[int, int]]:
        """Pairs of CPUs between which a line was transferred."""
        return [(int(name.split("_")[1]), int(name.split("_")[2])) for name in self.by_name if name.startswith("line_")]


def parse_samples(text: str) -> Samples:
    """The probe's output: lines of a name and a number.  Raises InputError for anything else."""
    by_name: dict[str, list[float]] = {}
    for line in text.splitlines():
        name, _, number = line.partition(" ")
        try:
            by_name.setdefault(name, []).append(float(number))
        except ValueError:
            raise InputError(f"calibrate: the probe printed '{line[:80]}' where a name and a number belong") from None
    return Samples(by_name)


def _compile(folder: Path) -> Path:
    """Compile the probe into *folder*."""
    compiler = next((path for path in map(shutil.which, COMPILERS) if path), None)
    if compiler is None:
        raise InputError(f"calibrate: a C compiler is needed ({', '.join(COMPILERS)}); none is installed")
    source, program = folder / "probe.c", folder / "probe"
    source.write_bytes(resources.files(__package__).joinpath("probe.c").read_bytes())
    done = subprocess.run(
        [compiler, "-O2", "-pthread", "-o", str(program), str(source)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"calibrate: {compiler} cannot compile the probe: {last[:200]}")
    return program


def measure(repeats: int = REPEATS, progress: Callable[[float], None] | None = None) -> Samples:
    """Run the probe on this machine.  *progress* is called with the fraction done.

    Raises InputError on a machine that is not x86-64 Linux, without a compiler, or if the probe fails.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise InputError(f"calibrate: measures x86-64 Linux machines, this is {platform.system()} {platform.machine()}")
    with tempfile.TemporaryDirectory(prefix="svs-sim-") as folder:
        program = _compile(Path(folder))
        with subprocess.Popen([str(program), str(repeats)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stderr is not None
            text = ""
            try:
                for line in process.stdout:
                    text += line
                    if progress is not None:
                        progress(text.count("clock_hz") / (repeats + 1))
                error = process.stderr.read()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise InputError(f"calibrate: the probe failed: {error.strip()[:200] or process.returncode}")
    return parse_samples(text)
