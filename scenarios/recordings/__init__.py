"""Recordings of real programs: ftrace text to programs of LWPs (docs/recordings.rst states the rules)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scenarios.recordings.lines import LineReader
from scenarios.recordings.recording import Recording
from scenarios.recordings.whose import EVERYBODY, Whose
from sim.kernel.program import Workload


def looks_like_recording(path: Path) -> bool:
    """Whether a file is to be read as a recording: everything that is not TOML."""
    return path.suffix != ".toml"


def open_recording(
    path: Path, frequency_hz: int, seed: int = 0, whose: Whose = EVERYBODY, untraced_cpu_s: float | None = None
) -> Callable[[], Workload]:
    """Read a recording for one machine; the arguments are those of :class:`Recording` and its source."""
    return Recording(path, whose, untraced_cpu_s).source(frequency_hz, seed)


__all__ = ["LineReader", "Recording", "looks_like_recording", "open_recording"]
