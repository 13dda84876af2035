"""Frames as CSV, beside their Parquet files."""

from __future__ import annotations

from pathlib import Path


def write_csv(folder: Path) -> list[Path]:
    """Write each Parquet file of *folder* as CSV beside it, some rows in memory at a time; return the new files."""
    from pyarrow import csv, parquet

    written = []
    for file in sorted(folder.glob("*.parquet")):
        path = file.with_suffix(".csv")
        with (
            file.open("rb") as stream,
            path.open("wb") as lines,
            parquet.ParquetFile(stream) as frame,
            csv.CSVWriter(lines, frame.schema_arrow) as out,
        ):
            for batch in frame.iter_batches(use_threads=False):
                out.write_batch(batch)
        written.append(path)
    return written
