"""The gallery: every kind is there, the pictures are small, the commands work."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from analysis.charts import CHARTS

ROOT = Path(__file__).parents[2]
LARGEST = 120_000
# Run here: quick ones, of each kind of folder.
RUN_HERE = ("ledger", "switches", "premises", "reach")


def load() -> ModuleType:
    """The tool that makes the pictures; it knows how to read the page."""
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "tools" / "gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gallery"] = module
    spec.loader.exec_module(module)
    return module


ENTRIES = {entry.name: entry for entry in load().entries()}


def test_every_image_of_the_page_has_its_command_and_every_kind_its_image() -> None:
    page = (ROOT / "docs" / "gallery.rst").read_text(encoding="utf-8")
    assert page.count(".. image::") == len(ENTRIES)
    assert {chart.name for chart in CHARTS} <= set(ENTRIES)


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_the_picture_is_there_and_small(name: str) -> None:
    data = (ROOT / "docs" / "_static" / "gallery" / f"{name}.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) <= LARGEST


@pytest.mark.parametrize("name", RUN_HERE)
def test_the_command_draws_the_picture(name: str, tmp_path: Path) -> None:
    entry = ENTRIES[name]
    launcher = tmp_path / "svs-sim"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sim "$@"\n', encoding="utf-8")
    launcher.chmod(0o755)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(entry.command, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / entry.draws).read_bytes().startswith(b"\x89PNG")
