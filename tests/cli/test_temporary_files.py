"""A folder of temporary files that is full or missing is named, and not the result's; nothing is left behind."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from sim.cli import main
from tests.recordings.traces import IDLE, call, ftrace, switch, write

ALPHA = ("alpha", 10)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: with a recording, and a sweep over it."""
    monkeypatch.chdir(tmp_path)
    events = [e for n in range(50) for e in (*call(20 * n, 20 * n + 5, 0, *ALPHA, 39),
              switch(20 * n + 6, 0, ALPHA, "S", IDLE), switch(20 * n + 9, 0, IDLE, "R", ALPHA))]  # fmt: skip
    write(tmp_path / "mine.txt", ftrace(events))
    (tmp_path / "grid.toml").write_text('scenarios = ["mine.txt"]\nprofiles = ["pti"]\n')
    return tmp_path


COMMANDS = [
    ["run", "mine.txt", "--out", "out"],
    ["sweep", "grid.toml", "--out", "out"],
    ["inspect", "mine.txt", "--at", "10us", "--out", "out"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_full_folder(
    folder: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    assert main([*words, "--quiet"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"cannot write temporary files to '{tempfile.gettempdir()}' (TMPDIR): No space left on device" in err
    assert "out" not in err
    assert not any((folder / "out").glob("*.parquet")) or words[0] == "sweep"


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_no_folder(
    folder: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "none"))
    assert main([*words, "--quiet"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"cannot write temporary files to '{folder / 'none'}' (TMPDIR): No such file or directory" in err
