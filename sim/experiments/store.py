"""The cache of finished points and cells: one file each, written whole or not at all, with a checksum inside."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from analysis.files import clear_stale, write_whole
from sim.errors import InputError
from sim.inputs.door import MIB, read_text

Row = dict[str, Any]
ENTRY = re.compile(r"[0-9a-f]{64}\.json")


class Store:
    """Finished points by key.  ``damaged`` counts entries that failed their checksum and were discarded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged = 0
        self.made = [place for place in (folder, *folder.parents) if not place.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            clear_stale(folder)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"a full disk is reported before anything is computed")
        except OSError as error:
            self.remove_if_empty()
            raise InputError(f"cannot write to '{folder}': {error.strerror}") from None

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def get(self, key: str) -> Row | None:
        """The row of a point; None if it is not there, or damaged."""
        try:
            text = read_text(self._path(key), MIB)
        except InputError:  # a folder, a FIFO, no text: whatever it is, it is no entry
            self.damaged += self._path(key).exists()
            return None
        checksum, _, body = text.partition("\n")
        if _checksum(key, body) != checksum:
            self.damaged += 1
            return None
        row: Row = json.loads(body)
        return row

    def put(self, key: str, row: Row) -> Row:
        """Keep the row of a point; returns it as a later run will read it, order of its keys included."""
        body = json.dumps(row, sort_keys=True)
        if self._path(key).is_dir():
            shutil.rmtree(self._path(key))
        write_whole(self._path(key), f"{_checksum(key, body)}\n{body}".encode())
        kept: Row = json.loads(body)
        return kept

    def remove_if_empty(self) -> None:
        """Leave nothing behind where no point was kept: the folder and the parents made for it."""
        for folder in self.made:
            try:
                folder.rmdir()
            except OSError:
                return


def _checksum(key: str, body: str) -> str:
    """Of a row and the point it belongs to: an entry under another point's name is damaged, too."""
    return hashlib.sha256(f"{key}\n{body}".encode()).hexdigest()
