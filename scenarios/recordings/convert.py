"""``trace.dat`` and ``perf.data``: the tool that wrote one prints its text, with the options that keep everything."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from scenarios.recordings.source import first_bytes, unchanged
from sim.errors import InputError


class _Tool(NamedTuple):
    """What a tool's files begin with, and the command that prints one (its path is appended)."""

    magic: bytes
    file: str
    command: tuple[str, ...]


_TOOLS = (
    _Tool(b"\x17\x08Dtracing", "trace.dat", ("trace-cmd", "report", "-q", "-t", "-i")),
    _Tool(b"PERFILE2", "perf.data",
          ("perf", "script", "--ns", "-F", "comm,pid,tid,cpu,time,event,trace", "-i")),
)  # fmt: skip


class TextOf:
    """A recording as text: the file itself, or what its tool prints of it, kept as long as this object lives.

    Attributes:
        path: the text.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        start = first_bytes(path)
        tool = next((tool for tool in _TOOLS if start.startswith(tool.magic)), None)
        if tool is not None:
            self._folder = tempfile.TemporaryDirectory(prefix="svs-sim-")
            self.path = Path(self._folder.name) / f"{path.name}.txt"
            _print(tool, path, self.path)


def _print(tool: _Tool, path: Path, text: Path) -> None:
    """Let *tool* print *path* into *text*.  Raises InputError if it is not installed or fails."""
    name = tool.command[0]
    said = f"{path}: not text but a {tool.file}"
    if shutil.which(name) is None:
        command = " ".join(tool.command)
        raise InputError(f"{said}, and {name} is not installed: print it with '{command} {path.name} > recording.txt'")
    with unchanged(path), text.open("wb") as out:
        done = subprocess.run([*tool.command, str(path)], stdout=out, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        why = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise InputError(f"{said}, which {name} cannot print: {why[-1]}")
