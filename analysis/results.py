"""Writing and reading the result of a paired run: ``summary.json`` and one Parquet file a frame.

Same scenario and seed, same bytes: keys are sorted, no clock and no host is asked, integers stay integers, and the
only fractions, the percentages, are rounded to six places.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.fidelity import fidelity
from analysis.folder import SUMMARY, Kind
from analysis.provenance import parquet_metadata
from analysis.shares import share
from analysis.units import percent
from scenarios.assumptions import rule
from sim.errors import InputError, closest
from sim.inputs.door import GIB, open_regular
from sim.inputs.json import read_json
from sim.timed.schema import FRAMES

if TYPE_CHECKING:
    import pandas as pd

    from sim.timed.paired import PairedResult, RunResult

RUNS = ("baseline", "profile")
OTHER_KINDS = {"sweep": "sweep", "results": "check"}  # by a key that only their summaries have
MOST_BYTES = 16 * GIB  # of a frame
ROWS_AT_ONCE = 8192
NO_MORE = " (a sample has no more; 'svs-sim run' without --sample writes it)"
KIND = Kind(
    ("scenario", "profile", "baseline", "ledger", "counters"),
    ("chart.png", "chart.svg", "charts", "report.html", "perfetto.json",
     *(f"{name}.{form}" for name in FRAMES for form in ("parquet", "csv"))),
)  # fmt: skip


def summarize(
    pair: PairedResult, *, scenario: str, seed: int, engine: str, costs: str, file: str | None = None,
    window: tuple[int, int] | None = None, repeats: Mapping[str, Any] | None = None,
    sample: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return the content of ``summary.json``: see ``docs/results.rst`` for every key."""
    baseline, profile = pair.baseline, pair.profile
    counts = dict(profile.assumptions)
    return {
        "scenario": scenario,
        "profile": profile.profile,
        "baseline": baseline.profile,
        "file": file,
        "seed": seed,
        "window_cycles": None if window is None else list(window),
        "cpus": profile.cpus,
        "frequency_hz": profile.frequency_hz,
        "engine": engine,
        "costs": costs,
        "pcid": _both(baseline.pcid, profile.pcid),
        "conserved": baseline.conserved and profile.conserved,
        "elapsed_cycles": _both(baseline.elapsed_cycles, profile.elapsed_cycles),
        "busy_cycles": _both(baseline.busy_cycles, profile.busy_cycles),
        "overhead_percent": percent(baseline.busy_cycles, profile.busy_cycles),
        "elapsed_percent": None if sample else percent(baseline.elapsed_cycles, profile.elapsed_cycles),
        "ledger": _ledger(baseline, profile),
        "counters": dict(sorted(profile.counters.items())),
        "baseline_counters": dict(sorted(baseline.counters.items())),
        "assumptions": [{"what": name, "rule": rule(name), "count": counts[name]} for name in sorted(counts)],
        "recorded": dict(sorted(baseline.recorded.items())),
        "notes": list(baseline.notes),
        "whose": share(pair),
        "repeats": dict(repeats) if repeats else None,
        "sample": dict(sample) if sample else None,
        "fidelity": fidelity(pair),
    }


def _both(baseline: Any, profile: Any) -> dict[str, Any]:
    return {"baseline": baseline, "profile": profile}


def _ledger(baseline: RunResult, profile: RunResult) -> list[dict[str, Any]]:
    """The causes, those that add most first; *count* is the profile's."""
    rows: list[dict[str, Any]] = []
    for cause in [*profile.ledger, *(cause for cause in baseline.ledger if cause not in profile.ledger)]:
        base_count, base_cycles = baseline.ledger.get(cause, (0, 0))
        count, cycles = profile.ledger.get(cause, (0, 0))
        rows.append(
            {
                "cause": cause,
                "count": count,
                "baseline_count": base_count,
                "baseline_cycles": base_cycles,
                "profile_cycles": cycles,
            }
        )
    # Idle time is not a cost: it stands last.
    rows.sort(key=lambda r: (r["cause"] == "idle", r["baseline_cycles"] - r["profile_cycles"], r["cause"]))
    return rows


def summary_text(summary: Mapping[str, Any]) -> str:
    """Return the text of ``summary.json``."""
    return json.dumps(summary, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def write_result(stage: Path, pair: PairedResult, summary: Mapping[str, Any]) -> None:
    """Write ``summary.json`` and the frames into *stage*, a folder of :func:`analysis.folder.result_folder`."""
    for name in FRAMES:
        if any(name in run.frames for run in (pair.baseline, pair.profile)):
            runs = [pair.baseline.frames, pair.profile.frames]
            _write_frame(stage / f"{name}.parquet", name, runs, parquet_metadata(summary))
    (stage / SUMMARY).write_text(summary_text(summary), encoding="utf-8")


def _write_frame(
    path: Path, name: str, runs: list[dict[str, dict[str, list[object]]]], metadata: dict[bytes, bytes]
) -> None:
    """Write one frame, the baseline's rows before the profile's."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = FRAMES[name].columns
    schema = pa.schema(
        [pa.field(c.name, pa.type_for_alias(c.type), nullable=False) for c in columns], metadata=metadata
    )
    with (
        path.open("wb") as stream,  # a name might be one that the library cannot take
        parquet.ParquetWriter(stream, schema, compression="zstd", version="2.6", store_schema=False) as writer,
    ):
        for run, frames in zip(RUNS, runs, strict=True):
            values = frames.get(name) or {c.name: [] for c in columns}
            rows = len(values[columns[-1].name])
            arrays = [[run] * rows if field.name == "run" else values[field.name] for field in schema]
            writer.write_table(pa.table([pa.array(a, f.type) for a, f in zip(arrays, schema, strict=True)], schema))
        writer.add_key_value_metadata(metadata)


class Result:
    """A result folder.

    Attributes:
        path: the folder.
        summary: the content of ``summary.json``.
    """

    def __init__(self, path: Path, summary: dict[str, Any]) -> None:
        self.path = path
        self.summary = summary

    def __repr__(self) -> str:
        """Return the headline and where the result is."""
        from analysis.overview import headline

        return f"<Result of {headline(self.summary)}; in {str(self.path)!r}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: headline, chart and ledger."""
        from analysis.notebook import result_html

        return result_html(self.summary, self.path, self.frames())

    def frames(self) -> list[str]:
        """Return the names of the frames that are there."""
        return sorted(file.stem for file in self.path.glob("*.parquet"))

    def frame(self, name: str, columns: Iterable[str] = ()) -> pd.DataFrame:
        """Return a frame as a DataFrame.

        Raises InputError if it is missing or damaged, or lacks one of *columns* (besides the columns that
        :data:`sim.timed.schema.FRAMES` gives the frame).
        """
        return read_frame(self.path, name, columns)

    def ms(self, cycles: int) -> float:
        """Return cycles as milliseconds."""
        return 1e3 * cycles / int(self.summary["frequency_hz"])


def read_frame(path: Path, name: str, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Read the frame *name* of the folder *path*; see :meth:`Result.frame`."""
    import pandas as pd
    import pyarrow as pa

    file = path / f"{name}.parquet"
    if not file.is_file():
        there = sorted(other.stem for other in path.glob("*.parquet"))
        hint = closest(name, there)
        if name in FRAMES:
            command = "run --window" if name == "timeline" else "run --sample" if name == "windows" else "run"
            hint = f" (this version's 'svs-sim {command}' writes it: make the result anew)"
            if "windows" in there:
                hint = NO_MORE
        raise InputError(f"'{path}' has no frame '{name}'; there are {', '.join(there) or 'none'}{hint}")
    try:
        with open_regular(file, MOST_BYTES) as stream:
            # A thread of Arrow's may let go of the stream when the interpreter is ending, which aborts the process.
            frame = pd.read_parquet(stream, engine="pyarrow", use_threads=False, pre_buffer=False)
    except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
        raise InputError(f"'{file}' is damaged or no Parquet file: {str(error).splitlines()[0]}") from None
    wanted = [column.name for column in FRAMES[name].columns] if name in FRAMES else []
    for column in (*wanted, *columns):
        if column not in frame.columns:
            hint = "; another version wrote it, make the result anew" if name in FRAMES else ""
            raise InputError(f"'{file}' has no column '{column}'{closest(column, frame.columns)}{hint}")
    return frame


def rows_of(path: Path, name: str, run: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one run of a frame, in their order, a batch of the file in memory at a time.

    Raises InputError if the frame is missing or damaged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    file = path / f"{name}.parquet"
    if not file.exists():
        raise InputError(f"'{path}' has no frame '{name}'{NO_MORE if (path / 'windows.parquet').exists() else ''}")
    try:
        with open_regular(file, MOST_BYTES) as stream, parquet.ParquetFile(stream) as frame:
            for batch in frame.iter_batches(batch_size=ROWS_AT_ONCE, use_threads=False):
                yield from (row for row in batch.to_pylist() if row["run"] == run)
    except (pa.ArrowInvalid, pa.ArrowException, KeyError, OSError) as error:
        raise InputError(f"'{file}' is damaged or no Parquet file: {str(error).splitlines()[0]}") from None


def read_summary(path: Path, required: Iterable[str] = ()) -> dict[str, Any]:
    """Read ``summary.json`` of the folder *path*; InputError if it is missing, damaged or lacks a *required* key."""
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"there is no folder '{path}'{closest(path.name, siblings)}")
    if not path.is_dir():
        raise InputError(f"'{path}' is a file; give the folder of a result")
    file = path / SUMMARY
    if not file.exists():
        raise InputError(f"'{path}' holds no result: {SUMMARY} is missing")
    summary = read_json(file)
    require(summary, path, required)
    return summary


def require(summary: Mapping[str, Any], path: Path, keys: Iterable[str]) -> None:
    """InputError if the summary of the folder *path* lacks a key."""
    for key in keys:
        if key not in summary:
            raise InputError(f"'{path / SUMMARY}' has no key '{key}'")


def read_result(path: Path | str) -> Result:
    """Read the result of a paired run from its folder; InputError if it is missing, damaged or something else's."""
    path = Path(path)
    summary = read_summary(path)
    kind = next((kind for key, kind in OTHER_KINDS.items() if key in summary), None)
    if kind is not None:
        raise InputError(f"'{path}' is the result of a {kind}; give the folder of a run")
    keys = ("scenario", "profile", "baseline", "frequency_hz", "busy_cycles", "elapsed_cycles", "ledger", "counters")
    require(summary, path, keys)
    return Result(path, summary)
