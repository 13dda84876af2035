"""Where a result is from: the version, the command line, and hashes of what was read.

No clock, no host and no folder is in it, so that the same command gives the same bytes everywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sim.inputs.door import RECORDING, sha256
from sim.inputs.shown import escaped, printable
from sim.version import code_version, release

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("version", "command", "inputs")
CODE_LETTERS = 12  # of the code's hash: enough to tell two versions apart

Input = dict[str, str]


def provenance(inputs: Iterable[Input], command: str | None) -> dict[str, Any]:
    """Return the keys of ``summary.json`` that say where it is from.

    *command* is the command line without folders and without what changes no result, or None if there was none.
    """
    found = {(entry["kind"], entry["name"], entry["sha256"]): entry for entry in inputs}
    return {
        "version": f"{release()} (code {code_version()[:CODE_LETTERS]})",
        "command": None if command is None else escaped(command),
        "inputs": [found[key] for key in sorted(found)],
    }


def file_input(kind: str, path: Path) -> Input:
    """Name a file that a result stands on, with its SHA-256.  Raises InputError if it can no longer be read."""
    return {"kind": kind, "name": printable(path.name), "sha256": sha256(path, RECORDING)}


def text_input(kind: str, name: str, text: str) -> Input:
    """Name a text that a result stands on, with its SHA-256."""
    return {"kind": kind, "name": name, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def write_frame(target: Path | IO[bytes], frame: pd.DataFrame, summary: Mapping[str, Any]) -> None:
    """Write a frame as Parquet with what its ``summary.json`` says of where it is from."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**table.schema.metadata, **parquet_metadata(summary)})
    with nullcontext(target) if not isinstance(target, Path) else target.open("wb") as stream:
        parquet.write_table(table, stream, compression="zstd")


def parquet_metadata(summary: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return what the Parquet files beside a ``summary.json`` carry of it: key ``svs-sim``, a JSON object."""
    known = {key: summary[key] for key in KEYS if key in summary}
    return {b"svs-sim": json.dumps(known, sort_keys=True, ensure_ascii=False).encode()}
