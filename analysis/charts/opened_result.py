"""What charts are drawn from: the folder of a run, of a sweep or of explorations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.overview import caption as run_caption
from analysis.results import read_frame, read_summary, require
from analysis.units import counted
from sim.errors import InputError

POINTS = "points"
EXPLORATIONS = "explorations"
POINT_COLUMNS = (
    "scenario", "profile", "pcid", "costs", "cpus", "frequency_hz", "syscalls", "overhead_percent",
    "baseline_busy_cycles",
)  # fmt: skip
# What tells the folders apart, and what else charts take from the summary of each.
KINDS = {
    "sweep": ("sweep", ("scenarios", "points", "replications", "seed")),
    "results": ("check", ()),
    "ledger": ("run", ("scenario", "profile", "baseline", "cpus", "frequency_hz", "seed", "busy_cycles")),
}


@dataclass(slots=True)
class OpenedResult:
    """A folder with results.

    Attributes:
        path: the folder.
        kind: "run", "sweep" or "check".
        summary: the content of ``summary.json``.
    """

    path: Path
    kind: str
    summary: dict[str, Any]

    def frames(self) -> list[str]:
        """Names of the frames that are there."""
        return sorted(file.stem for file in self.path.glob("*.parquet"))

    def frame(self, name: str, columns: tuple[str, ...] = ()) -> pd.DataFrame:
        """A frame; InputError if it is missing or damaged, or lacks a column."""
        if name == POINTS:
            columns = (*POINT_COLUMNS, *columns)
            if self.summary.get("failed") and not len(read_frame(self.path, name).columns):
                raise InputError(f"'{self.path}' has no finished point; 'failed' in its summary.json says why")
        return read_frame(self.path, name, columns)

    @property
    def frequency_hz(self) -> int:
        """Cycles a second (of a run; a sweep's rows have their own)."""
        return int(self.summary["frequency_hz"])

    @property
    def sample(self) -> str | None:
        """What a sweep ran of its recordings, as ``0.1:20``; None if they were run whole."""
        return self.summary.get("sample") if self.kind == "sweep" else None

    @property
    def caption(self) -> str:
        """What the numbers stand on, for the foot of a picture."""
        if self.kind == "run":
            return run_caption(self.summary)
        if self.kind == "sweep":
            costs = ", ".join(sorted(set(self.frame(POINTS, ("costs",))["costs"])))
            what = f"samples ({self.sample}) of" if self.sample else "scenarios"
            replications = "" if self.sample else f"{counted(self.summary['replications'], 'replication')}, "
            return (
                f"sweep {self.summary['sweep']}, {what} {', '.join(self.summary['scenarios'])}, costs {costs}, "
                f"{counted(self.summary['points'], 'point')}, {replications}seed {self.summary['seed']}"
            )
        results = self.summary["results"]
        words = [f"svs-sim check, {counted(len(results), 'exploration')}"]
        for key, what in (("strategy", "strategy"), ("memory", "memory model"), ("seed", "seed")):
            values = dict.fromkeys(str(result[key]) for result in results if key in result)
            words += [f"{what} {', '.join(values)}"] if values else []
        return ", ".join(words)


def open_result(path: Path | str) -> OpenedResult:
    """Open a result folder of any kind.  Raises InputError if there is none."""
    path = Path(path)
    summary = read_summary(path)
    for mark, (kind, keys) in KINDS.items():
        if mark in summary:
            require(summary, path, keys)
            return OpenedResult(path, kind, summary)
    raise InputError(f"'{path / 'summary.json'}' is the result of no run, sweep or check")
